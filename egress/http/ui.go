package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"rave/engine/problem"
)

// The page: HTML, style sheets and modules, served as they are; nothing is built. ui/js/grid.js is where the wall of all
// streams begins, ui/js/stream.js the page of one.
//
//go:embed ui
var uiFiles embed.FS

// ui is the page: its documents, and the files that they load.
type ui struct {
	documents map[string][]byte       // by name, such as index.html
	files     map[string]http.Handler // by path, such as /ui/js/api.js
}

func readUI() (ui, error) {
	u := ui{documents: map[string][]byte{}, files: map[string]http.Handler{}}
	err := fs.WalkDir(uiFiles, "ui", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := uiFiles.ReadFile(name)
		if err != nil {
			return err
		}
		if path.Ext(name) == ".html" {
			u.documents[path.Base(name)] = data
		} else {
			u.files["/"+name] = uiFile(name, data)
		}
		return nil
	})
	if err != nil {
		return u, fmt.Errorf("read the page: %w", err)
	}
	return u, nil
}

// uiFile serves a file that changes with the program only: browsers ask whether it is still the same, and seldom fetch it.
func uiFile(name string, data []byte) http.Handler {
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(data))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", types[path.Ext(name)])
		w.Header().Set("Cache-Control", "no-cache")
		w.Header().Set("ETag", tag)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	})
}

// uiRoutes are the page's. Its files have nothing to hide from who may see anything at all: the page to publish has the same.
func (s *Server) uiRoutes() []route {
	all := []route{
		show("/{$}", watchers(), s.index), show("/{name}", watchers(), s.streamPage),
		show("/{name}/publish", []string{PermissionPublish}, s.publishPage),
	}
	for name, file := range s.ui.files {
		all = append(all, show(name, []string{PermissionStatus, PermissionRead, PermissionPublish}, plain(file)))
	}
	slices.SortFunc(all, func(a, b route) int { return strings.Compare(a.path, b.path) })
	for i := range all {
		all[i].asset = true
	}
	return all
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request, _ visitor) {
	document(w, http.StatusOK, s.ui.documents["index.html"])
}

// streamPage is the page of one stream. For a name that no stream has it is the same: its script says so.
func (s *Server) streamPage(w http.ResponseWriter, r *http.Request, v visitor) {
	known := func(st Stream) bool { return st.Name == r.PathValue("name") }
	code := http.StatusOK
	if !slices.ContainsFunc(visible(s.status().Streams, v), known) {
		code = http.StatusNotFound
	}
	document(w, code, s.ui.documents["stream.html"])
}

// publishPage publishes the visitor's camera to a stream that takes publishers.
func (s *Server) publishPage(w http.ResponseWriter, r *http.Request, _ visitor) {
	name := r.PathValue("name")
	streams := s.status().Streams
	i := slices.IndexFunc(streams, func(st Stream) bool { return st.Name == name })
	switch {
	case i < 0:
		noStream(w, name)
	case !streams[i].Publish:
		problem.WriteKey(w, http.StatusForbidden, "streams."+name+".source", `stream %s has a source of its own: to publish to it configure "source: publish"`, name)
	default:
		document(w, http.StatusOK, s.ui.documents["publish.html"])
	}
}

func document(w http.ResponseWriter, code int, html []byte) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write(html)
}
