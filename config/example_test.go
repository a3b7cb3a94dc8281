package config

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const exampleFile = "../rave.example.yaml"

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(exampleFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// off matches a setting that is off: a # with no space behind it.
var off = regexp.MustCompile(`(?m)^( *)#([^ #\n])`)

func TestExampleIsTheDefaults(t *testing.T) {
	got, err := Parse([]byte(readExample(t)), "rave.example.yaml", nil)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Equal(Default()) {
		t.Errorf("the example differs from the defaults:\n%s\ndefaults:\n%s", got, Default())
	}
}

func TestExampleSettingsThatAreOffWork(t *testing.T) {
	text := readExample(t)
	if !off.MatchString(text) {
		t.Fatal("no settings are off")
	}
	text = off.ReplaceAllString(text, "$1$2")
	// A user has a password or a hash. Take each away in turn.
	for _, key := range []string{"password", "password_hash"} {
		one := regexp.MustCompile(`(?m)^    `+key+`: [a$].*\n`).ReplaceAllString(text, "")
		c, err := Parse([]byte(one), "rave.example.yaml", nil)
		if err != nil {
			t.Fatalf("without %s: %v", key, err)
		}
		if len(c.Users) != 1 || len(c.WebRTC.ICEServers) != 1 || len(c.Models) != 1 || len(c.Streams) != 2 {
			t.Fatalf("settings are missing:\n%s", c)
		}
		def := defaultUser()
		def.Name, def.Password, def.PasswordHash, def.TokenHash = c.Users[0].Name, c.Users[0].Password, c.Users[0].PasswordHash, c.Users[0].TokenHash
		if !c.Users[0].Equal(def) {
			t.Errorf("the example's user has %+v, by default it is %+v", c.Users[0], def)
		}
		cam := c.Streams[0]
		cam.Name, cam.Source, cam.Username, cam.Password = "", Source{}, "", ""
		if !cam.Equal(defaultStream()) {
			t.Errorf("the example's stream has %+v, by default it is %+v", cam, defaultStream())
		}
	}
}

// TestExampleDocumentsEveryKey walks the schema: a new key without documentation fails here.
func TestExampleDocumentsEveryKey(t *testing.T) {
	text := off.ReplaceAllString(readExample(t), "$1$2")
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(text, "\n")
	for _, l := range Default().schema().leaves(nil) {
		n := find(doc.Content[0], l.path)
		if l.path[0] == "streams" && n == nil { // what streams share is documented in stream_defaults
			n = find(doc.Content[0], append([]string{"stream_defaults"}, l.path[2:]...))
		}
		if n == nil {
			t.Errorf("%s is not in %s", pathString(l.path), exampleFile)
			continue
		}
		above := strings.TrimSpace(lines[n.Line-2])
		if !strings.HasPrefix(above, "# ") {
			t.Errorf("%s:%d: no comment stands above %s, but %q", exampleFile, n.Line, pathString(l.path), above)
		}
	}
}

// find returns the key at a path; "*" takes the first name or item.
func find(n *yaml.Node, path []string) *yaml.Node {
	var key *yaml.Node
	for _, p := range path {
		switch {
		case n.Kind == yaml.SequenceNode && p == anyName && len(n.Content) > 0:
			n = n.Content[0]
			continue
		case n.Kind == yaml.MappingNode && p == anyName && len(n.Content) > 0:
			key, n = n.Content[0], n.Content[1]
			continue
		case n.Kind != yaml.MappingNode:
			return nil
		}
		key = nil
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == p {
				key = n.Content[i]
				n = n.Content[i+1]
				break
			}
		}
		if key == nil {
			return nil
		}
	}
	return key
}
