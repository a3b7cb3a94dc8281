package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A rule says what may stand at one place of the file. Rules are bound to the Config that they read into and write
// from.
type rule interface {
	// read takes the node over into the Config. n is never an alias.
	read(d *decoder, path string, n *yaml.Node)
	// write returns what the Config holds, with secrets replaced; nil for nothing.
	write() *yaml.Node
	// leaves lists the paths of all values, given the names that occur in n (which may be nil).
	leaves(n *yaml.Node) []leaf
}

// leaf is one value of the file.
type leaf struct {
	path []string // keys, names, and "[i]" for items; "*" stands for any name and item
	env  string   // the variable's name without RAVE_
	list bool
}

func (l leaf) under(key, env string) leaf {
	l.path = append([]string{key}, l.path...)
	l.env = strings.TrimSuffix(envName(env)+"_"+l.env, "_")
	return l
}

// field is one key of a section.
type field struct {
	key  string
	rule rule
}

// section is a mapping with known keys.
type section []field

func (s section) write() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range s {
		if v := f.rule.write(); v != nil {
			n.Content = append(n.Content, textNode(f.key), v)
		}
	}
	return n
}

func (s section) leaves(n *yaml.Node) []leaf {
	var out []leaf
	for _, f := range s {
		for _, l := range f.rule.leaves(child(n, f.key)) {
			out = append(out, l.under(f.key, f.key))
		}
	}
	return out
}

// scalar is one value. set's error goes on after the quoted value.
type scalar struct {
	set    func(text string) error
	get    func() string
	show   func(text string) string // quotes a refused value; nil: in full; "" for not at all
	redact func(text string) string // replaces a secret when it is printed; nil: there is none
	number bool                     // written without quotes
}

func (s scalar) write() *yaml.Node {
	text := s.get()
	if s.redact != nil {
		text = s.redact(text)
	}
	n := textNode(text)
	if s.redact != nil && text == "" {
		return nil
	}
	if s.number {
		n.Tag = ""
	}
	return n
}

func (s scalar) leaves(*yaml.Node) []leaf { return []leaf{{}} }

// list is a sequence of texts, each of its own and none twice.
type list struct {
	get     func() []string
	set     func([]string)
	check   func(item string) error // nil: any text
	atLeast string                  // the fix for an empty list; "": it may be empty
}

func (l list) write() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, item := range l.get() {
		n.Content = append(n.Content, textNode(item))
	}
	return n
}

func (l list) leaves(*yaml.Node) []leaf { return []leaf{{list: true}} }

// dict is a mapping whose keys are names that the user chose.
type dict struct {
	check func(name string) error
	entry func(name string) rule // adds the entry if it is new
	names func() []string
}

func (m dict) write() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, name := range m.names() {
		n.Content = append(n.Content, textNode(name), m.entry(name).write())
	}
	return n
}

func (m dict) leaves(n *yaml.Node) []leaf {
	var out []leaf
	for _, e := range append([]namedNode{{name: anyName}}, named(n)...) {
		for _, l := range m.entry(e.name).leaves(e.value) {
			out = append(out, l.under(e.name, e.name))
		}
	}
	return out
}

// anyName stands for every name in leaves.
const anyName = "*"

// records is a sequence of sections, named by one of their keys.
type records struct {
	key  string
	add  func() section
	at   func(i int) section
	size func() int
}

func (r records) write() *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range r.size() {
		n.Content = append(n.Content, r.at(i).write())
	}
	return n
}

func (r records) leaves(n *yaml.Node) []leaf {
	var out []leaf
	for _, l := range r.add().leaves(nil) {
		out = append(out, l.under(anyName, anyName))
	}
	if n == nil || n.Kind != yaml.SequenceNode {
		return out
	}
	for i, item := range n.Content {
		item = resolve(item)
		name := child(item, r.key)
		if name == nil || name.Kind != yaml.ScalarNode {
			continue
		}
		for _, l := range r.add().leaves(item) {
			out = append(out, l.under("["+strconv.Itoa(i)+"]", name.Value))
		}
	}
	return out
}

// value binds a scalar to a variable.
func value[T any](p *T, parse func(string) (T, error), format func(T) string) scalar {
	return scalar{
		set: func(text string) error {
			v, err := parse(text)
			if err == nil {
				*p = v
			}
			return err
		},
		get: func() string { return format(*p) },
	}
}

// number binds a scalar that reads like a number, if not always one.
func number[T fmt.Stringer](p *T, parse func(string) (T, error)) scalar {
	s := value(p, parse, T.String)
	s.number = true
	return s
}

func integer(p *int, parse func(string) (int, error)) scalar {
	s := value(p, parse, strconv.Itoa)
	s.number = true
	return s
}

func boolean(p *bool) scalar {
	s := value(p, func(text string) (bool, error) {
		if text != "true" && text != "false" {
			return false, errors.New("is neither true nor false")
		}
		return text == "true", nil
	}, strconv.FormatBool)
	s.number = true
	return s
}

func duration(p *time.Duration, low, high time.Duration) scalar {
	return value(p, parseDuration(low, high), formatDuration)
}

func choice[T ~string](p *T, what string, options ...T) scalar {
	return value(p, func(text string) (T, error) { return oneOf(what, text, options...) }, plain)
}

// secret binds a credential: any text but an empty one, never shown.
func secret[T ~string](p *T) scalar {
	s := value(p, func(text string) (T, error) {
		if text == "" {
			return "", errors.New("is empty; leave the key out, or quote a value that begins with a special character")
		}
		return T(text), nil
	}, plain)
	s.show, s.redact = hide, hide
	return s
}

// oneOf returns the option that text names.
func oneOf[T ~string](what, text string, options ...T) (T, error) {
	if slices.Contains(options, T(text)) {
		return T(text), nil
	}
	names := make([]string, len(options))
	for i, o := range options {
		names[i] = string(o)
	}
	return "", fmt.Errorf("is not %s; use %s", what, enumerate(names))
}

// enumerate returns "a", "a or b", "a, b or c".
func enumerate(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func plain[T ~string](text T) string { return string(text) }
