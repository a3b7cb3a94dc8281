package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// place is where a value was set.
type place struct {
	file   string
	line   int    // 0: nowhere in particular
	origin string // a variable's name, or the command line; empty: the file
}

func (p place) String() string {
	switch {
	case p.origin != "":
		return p.origin
	case p.line > 0 && p.file != "":
		return fmt.Sprintf("%s:%d", p.file, p.line)
	case p.file != "":
		return p.file
	default:
		return "configuration"
	}
}

// problem is one error of a file.
type problem struct {
	place place
	path  string
	text  string
}

func (p problem) Error() string {
	if p.path == "" {
		return fmt.Sprintf("%s: %s", p.place, p.text)
	}
	return fmt.Sprintf("%s: %s: %s", p.place, p.path, p.text)
}

// maxTold is how many problems an error tells; whoever mends those sees the next ones.
const maxTold = 20

// join returns the first problems as one error, in the order of the file; what the environment set comes last.
func join(problems []problem) error {
	slices.SortStableFunc(problems, func(a, b problem) int {
		if a.place.origin != b.place.origin {
			return strings.Compare(a.place.origin, b.place.origin)
		}
		return a.place.line - b.place.line
	})
	var errs []error
	for _, p := range problems[:min(len(problems), maxTold)] {
		errs = append(errs, p)
	}
	if more := len(problems) - maxTold; more > 0 {
		errs = append(errs, fmt.Errorf("%s: … and %d more from here on", problems[maxTold].place, more))
	}
	return errors.Join(errs...)
}

// decoder reads one file.
type decoder struct {
	file     string
	origins  map[*yaml.Node]string // nodes that are not of the file
	places   map[string]place
	problems []problem
}

func newDecoder(file string) *decoder {
	return &decoder{file: file, origins: map[*yaml.Node]string{}, places: map[string]place{}}
}

func (d *decoder) place(n *yaml.Node) place {
	return place{file: d.file, line: n.Line, origin: d.origins[n]}
}

func (d *decoder) fail(path string, n *yaml.Node, format string, args ...any) {
	d.problems = append(d.problems, problem{d.place(n), path, fmt.Sprintf(format, args...)})
}

// syntax matches how the YAML library names a line.
var syntax = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// parse returns the top mapping of the file, which is empty for an empty file; nil if it cannot be read.
func (d *decoder) parse(data []byte) *yaml.Node {
	empty := &yaml.Node{Kind: yaml.MappingNode}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) || err == nil && len(doc.Content) == 0 {
		return empty
	} else if err != nil {
		d.syntaxError(data, err)
		return nil
	}
	var second yaml.Node
	if err := dec.Decode(&second); err == nil {
		d.fail("", &second, "a second document begins; keep everything in one")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntaxError(data, err)
		return nil
	}
	root := resolve(doc.Content[0])
	if isNull(root) {
		return empty
	}
	return root
}

// syntaxError reports the library's error, but for what it quotes of the file.
func (d *decoder) syntaxError(data []byte, err error) {
	text := err.Error()
	var n yaml.Node
	if m := syntax.FindStringSubmatch(text); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if anchor, ok := strings.CutPrefix(text, "unknown anchor '"); ok {
		anchor = strings.TrimSuffix(anchor, "' referenced")
		if before, _, found := bytes.Cut(data, []byte("*"+anchor)); found {
			n.Line = bytes.Count(before, []byte("\n")) + 1
		}
		d.fail("", &n, "not valid YAML: unknown anchor; quote a value that begins with *")
		return
	}
	d.fail("", &n, "not valid YAML: %s (quote values with special characters)", text)
}

func (s section) read(d *decoder, path string, n *yaml.Node) {
	if !d.kind(path, n, yaml.MappingNode) {
		return
	}
	values := map[string]*yaml.Node{}
	d.entries(path, n, func(key string, k, v *yaml.Node) {
		if slices.ContainsFunc(s, func(f field) bool { return f.key == key }) {
			values[key] = v
			return
		}
		d.fail(keyPath(path, showKey(key)), k, "unknown key; %s", s.suggest(key))
	})
	for _, f := range s {
		if v := values[f.key]; v != nil {
			f.rule.read(d, keyPath(path, f.key), v)
		}
	}
}

func (m dict) read(d *decoder, path string, n *yaml.Node) {
	if !d.kind(path, n, yaml.MappingNode) {
		return
	}
	d.entries(path, n, func(name string, k, v *yaml.Node) {
		if err := m.check(name); err != nil {
			d.fail(path, k, "%s %s", show(name), err)
			return
		}
		m.entry(name).read(d, keyPath(path, name), v)
	})
}

// entries calls yield for every key of a mapping, once, with aliases resolved.
func (d *decoder) entries(path string, n *yaml.Node, yield func(key string, k, v *yaml.Node)) {
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := resolve(n.Content[i]), resolve(n.Content[i+1])
		switch first, twice := lines[k.Value]; {
		case k.Kind != yaml.ScalarNode || k.Tag == "!!merge":
			d.fail(path, n.Content[i], "only plain keys are understood; to share settings use stream_defaults")
			continue
		case twice:
			d.fail(keyPath(path, showKey(k.Value)), k, "given twice, first in line %d", first)
			continue
		}
		lines[k.Value] = k.Line
		d.places[keyPath(path, k.Value)] = d.place(v)
		yield(k.Value, k, v)
	}
}

func (r records) read(d *decoder, path string, n *yaml.Node) {
	if !d.kind(path, n, yaml.SequenceNode) {
		return
	}
	for i, item := range n.Content {
		item = resolve(item)
		at := fmt.Sprintf("%s[%d]", path, i)
		d.places[at] = d.place(item)
		r.add().read(d, at, item)
	}
}

func (l list) read(d *decoder, path string, n *yaml.Node) {
	if !d.kind(path, n, yaml.SequenceNode) {
		return
	}
	var items []string
	seen := map[string]bool{}
	for i, item := range n.Content {
		item = resolve(item)
		at := fmt.Sprintf("%s[%d]", path, i)
		d.places[at] = d.place(item)
		text, ok := d.text(at, item)
		switch {
		case !ok:
			continue
		case seen[text]:
			d.fail(at, item, "%s is in the list twice", show(text))
			continue
		case l.check != nil:
			if err := l.check(text); err != nil {
				d.fail(at, item, "%s %s", show(text), err)
				continue
			}
		}
		items, seen[text] = append(items, text), true
	}
	if len(n.Content) == 0 && l.atLeast != "" {
		d.fail(path, n, "is empty; %s", l.atLeast)
		return
	}
	l.set(items)
}

func (s scalar) read(d *decoder, path string, n *yaml.Node) {
	text, ok := d.text(path, n)
	if !ok {
		return
	}
	if err := s.set(text); err != nil {
		quote := s.show
		if quote == nil {
			quote = show
		}
		d.fail(path, n, "%s", strings.TrimPrefix(quote(text)+" "+err.Error(), " "))
	}
}
