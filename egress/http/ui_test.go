package web

import (
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"testing"
)

// loaded are the files that the page's documents and modules load.
func loaded(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	reference := regexp.MustCompile(`(?:href|src)="(/ui/[^"]*)"|from "(\./[^"]*)"|url\(([^)]*)\)`)
	err := fs.WalkDir(uiFiles, "ui", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := uiFiles.ReadFile(name)
		for _, m := range reference.FindAllStringSubmatch(string(data), -1) {
			if m[3] != "" {
				t.Errorf("%s loads %s", name, m[3])
			}
			if m[2] != "" {
				m[1] = path.Join("/", path.Dir(name), m[2])
			}
			found[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every file is served, and none for nothing: what the documents and modules load are exactly the files that there are.
func TestPageIsComplete(t *testing.T) {
	s := newServer(t, Config{})
	for file := range loaded(t) {
		w := get(s, "GET", file, "")
		if w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-cache" || !strings.Contains(w.Header().Get("Content-Type"), "/") {
			t.Errorf("%s: %d %v", file, w.Code, w.Header())
		}
		again := request("GET", file, "", "If-None-Match: "+w.Header().Get("ETag"))
		if w := send(s, again); w.Code != http.StatusNotModified {
			t.Errorf("%s, unchanged: %d", file, w.Code)
		}
		delete(s.ui.files, file)
	}
	for file := range s.ui.files {
		t.Errorf("%s is there, but nothing loads it", file)
	}
}

// The page keeps to its own policy: no inline style or script; and texts of cameras cannot become markup, since nothing
// takes markup.
func TestPageKeepsItsPolicy(t *testing.T) {
	forbidden := map[string]*regexp.Regexp{
		".html": regexp.MustCompile(`(?i)\sstyle=|<style|<script>|\son[a-z]+=|https?:`),
		".css":  regexp.MustCompile(`@import|url\(`),
		".js":   regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|setAttribute\("(style|on)`),
		".svg":  regexp.MustCompile(`(?i)<script|\son[a-z]+=`),
	}
	err := fs.WalkDir(uiFiles, "ui", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		pattern := forbidden[path.Ext(name)]
		if pattern == nil {
			t.Errorf("%s: what is that?", name)
			return nil
		}
		data, err := uiFiles.ReadFile(name)
		if bad := pattern.Find(data); bad != nil {
			t.Errorf("%s holds %q", name, bad)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPublishPages(t *testing.T) {
	s := newServer(t, Config{Status: func() Status { return Status{Streams: []Stream{{Name: "studio", Publish: true}, {Name: "cam"}}} }})
	for path, code := range map[string]int{"/studio/publish": 200, "/cam/publish": 403, "/none/publish": 404} {
		w := get(s, "GET", path, "")
		if page := strings.Contains(w.Body.String(), "Start publishing"); w.Code != code || page != (code == 200) {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, code, w.Body)
		}
	}
}

func TestStreamPages(t *testing.T) {
	s := newServer(t, Config{})
	for path, code := range map[string]int{"/": 200, "/front_door": 200, "/garage": 200, "/none": 404, "/front_door/x": 404} {
		w := get(s, "GET", path, "")
		if w.Code != code {
			t.Errorf("%s: %d, want %d", path, w.Code, code)
		}
		if page := strings.Contains(w.Body.String(), "<!DOCTYPE html>"); page != (path != "/front_door/x") {
			t.Errorf("%s: %s", path, w.Body)
		}
	}
}
