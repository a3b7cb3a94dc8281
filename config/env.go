package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// envPrefix begins the name of every variable that is ours.
const envPrefix = "RAVE_"

// foreign reports whether a variable beginning with RAVE_ is not configuration: it is read elsewhere in the project, or
// Kubernetes sets it for a service called rave.
func foreign(name string, reserved []string) bool {
	switch name {
	case "RAVE_CACHE", "RAVE_PEERS", "RAVE_REQUIRE_PEERS", "RAVE_LIB", "RAVE_BIN", "RAVE_PORT":
		return true
	}
	return strings.HasPrefix(name, "RAVE_SERVICE_") || strings.HasPrefix(name, "RAVE_PORT_") ||
		slices.Contains(reserved, name)
}

// variable is one setting of the environment; its name is without RAVE_.
type variable struct{ name, value string }

// overlay puts the environment's values into the tree of the file, as if they had been written there.
func (d *decoder) overlay(root *yaml.Node, schema section, environ, reserved []string) {
	var vars []variable
	for _, pair := range environ {
		name, text, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, envPrefix) || foreign(name, reserved) {
			continue
		}
		vars = append(vars, variable{strings.TrimPrefix(name, envPrefix), text})
	}
	slices.SortFunc(vars, func(a, b variable) int { return strings.Compare(a.name, b.name) })
	if len(vars) == 0 { // to list all that could be set takes its time
		return
	}
	index := indexLeaves(root, schema)
	for _, v := range vars {
		if l, ok := newEntry(v.name); ok && len(index[v.name]) == 0 {
			d.put(root, l.path, d.envNode(l, v))
		}
	}
	index = indexLeaves(root, schema)
	for _, v := range vars {
		switch found := index[v.name]; len(found) {
		case 1:
			d.put(root, found[0].path, d.envNode(found[0], v))
		case 0:
			d.fail("", d.mark(&yaml.Node{}, v), "%s", suggestVariable(v.name, index))
		default:
			d.fail("", d.mark(&yaml.Node{}, v), "may mean %s or %s; set it in the file", pathString(found[0].path),
				pathString(found[1].path))
		}
	}
}

// indexLeaves maps names of variables to what they may set.
func indexLeaves(root *yaml.Node, schema section) map[string][]leaf {
	index := map[string][]leaf{}
	for _, l := range schema.leaves(root) {
		if !slices.Contains(l.path, anyName) {
			index[l.env] = append(index[l.env], l)
		}
	}
	return index
}

// newEntry returns what a variable adds that the file does not have: a stream by its source, or a model.
func newEntry(name string) (leaf, bool) {
	if model, ok := strings.CutPrefix(name, "MODELS_"); ok && model != "" {
		return leaf{path: []string{"models", strings.ToLower(model)}}, true
	}
	stream, ok := strings.CutPrefix(name, "STREAMS_")
	stream, source := strings.CutSuffix(stream, "_SOURCE")
	if ok && source && stream != "" {
		return leaf{path: []string{"streams", strings.ToLower(stream), "source"}}, true
	}
	return leaf{}, false
}

func suggestVariable(name string, index map[string][]leaf) string {
	var names []string
	for n := range index {
		names = append(names, n)
	}
	slices.Sort(names)
	if best, ok := nearest(name, names); ok {
		return fmt.Sprintf("unknown variable; did you mean %s%s?", envPrefix, best)
	}
	if strings.HasPrefix(name, "STREAMS_") {
		return "unknown variable; set the stream's source in the file or by " + envPrefix + "STREAMS_NAME_SOURCE"
	}
	return "unknown variable; the name is " + envPrefix + " and the key's path, such as " + envPrefix + "RTSP_LISTEN"
}

// envNode returns a variable's value as it would stand in the file.
func (d *decoder) envNode(l leaf, v variable) *yaml.Node {
	if !utf8.ValidString(v.value) {
		v.value = "\x00" // refused later, by its path
	}
	if !l.list {
		return d.mark(textNode(v.value), v)
	}
	n := d.mark(&yaml.Node{Kind: yaml.SequenceNode}, v)
	for item := range strings.SplitSeq(v.value, ",") {
		if item = strings.TrimSpace(item); item != "" {
			n.Content = append(n.Content, d.mark(textNode(item), v))
		}
	}
	return n
}

func (d *decoder) mark(n *yaml.Node, v variable) *yaml.Node {
	d.origins[n] = strings.TrimSuffix(strings.TrimPrefix(strconv.Quote(clip(envPrefix+v.name)), `"`), `"`)
	return n
}

// put sets the value at path, adding the mappings that lead there. What stands in the way stays: it is an error of the
// file. Nodes that an alias shares are copied before they change.
func (d *decoder) put(n *yaml.Node, path []string, value *yaml.Node) {
	for len(path) > 0 {
		slot := d.slot(n, path[0], d.origins[value])
		if slot == nil {
			return
		}
		if path = path[1:]; len(path) == 0 {
			*slot = value
			return
		}
		if next := resolve(*slot); next == nil || isNull(next) {
			*slot = &yaml.Node{Kind: yaml.MappingNode}
			d.origins[*slot] = d.origins[value]
		} else if next != *slot {
			shared := *next
			shared.Content = slices.Clone(next.Content)
			*slot = &shared
		}
		n = *slot
	}
}

// slot returns where the value of a key or the item "[i]" is kept, adding the key as set by origin; nil if n cannot have one.
func (d *decoder) slot(n *yaml.Node, key, origin string) **yaml.Node {
	if n.Kind == yaml.SequenceNode {
		for i := range n.Content {
			if key == fmt.Sprintf("[%d]", i) {
				return &n.Content[i]
			}
		}
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if resolve(n.Content[i]).Value == key {
			return &n.Content[i+1]
		}
	}
	k := textNode(key)
	d.origins[k] = origin
	n.Content = append(n.Content, k, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"})
	return &n.Content[len(n.Content)-1]
}

func pathString(path []string) string {
	s := ""
	for _, p := range path {
		s = keyPath(s, p)
	}
	return s
}

// envName returns how a key or name is written in a variable: upper case, everything but letters and digits as _.
func envName(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' {
			return r - 'a' + 'A'
		}
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '*' {
			return r
		}
		return '_'
	}, name)
}
