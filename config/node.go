package config

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// kind checks that n is what its rule can read. A mapping or list without a value is an empty one.
func (d *decoder) kind(path string, n *yaml.Node, want yaml.Kind) bool {
	switch {
	case !d.plainTag(path, n):
		return false
	case n.Kind == want:
		return true
	case isNull(n):
		return false
	}
	d.fail(path, n, "is %s where %s belongs", kindName(n.Kind), kindName(want))
	return false
}

// text returns the text of a scalar as it was written, whatever YAML makes of it: a password of 007 stays one.
func (d *decoder) text(path string, n *yaml.Node) (string, bool) {
	switch {
	case !d.plainTag(path, n):
	case n.Kind != yaml.ScalarNode:
		d.fail(path, n, "is %s where a single value belongs", kindName(n.Kind))
	case isNull(n):
		d.fail(path, n, "has no value; quote a value that begins with #, or leave the key out for the default")
	case strings.ContainsRune(n.Value, 0) || !utf8.ValidString(n.Value):
		d.fail(path, n, "holds bytes that are not text")
	default:
		return n.Value, true
	}
	return "", false
}

// plainTag refuses values that begin with an exclamation mark, which YAML takes for a type.
func (d *decoder) plainTag(path string, n *yaml.Node) bool {
	if n.Tag == "" || strings.HasPrefix(n.ShortTag(), "!!") && n.Style&yaml.TaggedStyle == 0 {
		return true
	}
	d.fail(path, n, "has a YAML tag; quote a value that begins with !")
	return false
}

func kindName(k yaml.Kind) string {
	switch k {
	case yaml.MappingNode:
		return "a mapping (key: value)"
	case yaml.SequenceNode:
		return "a list"
	default:
		return "a single value"
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// resolve follows an alias.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// child returns the value of a key in a mapping; nil if there is none.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if resolve(n.Content[i]).Value == key {
			return resolve(n.Content[i+1])
		}
	}
	return nil
}

// namedNode is a key of a mapping with its value.
type namedNode struct {
	name  string
	value *yaml.Node
}

// named returns the keys of a mapping with their values: of a key that is given twice, the first.
func named(n *yaml.Node) []namedNode {
	var all []namedNode
	if n == nil || n.Kind != yaml.MappingNode {
		return all
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if k := resolve(n.Content[i]).Value; !seen[k] {
			seen[k] = true
			all = append(all, namedNode{k, resolve(n.Content[i+1])})
		}
	}
	return all
}

func textNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

// keyPath returns the path of a key, or of an item "[i]", within what path names.
func keyPath(path, key string) string {
	if path == "" || strings.HasPrefix(key, "[") {
		return path + key
	}
	return path + "." + key
}

// show quotes a value for an error. What looks like a URL may have come to the wrong key with its credentials.
func show(text string) string {
	if strings.Contains(text, "://") {
		text = hideCredentials(text)
	}
	return strconv.Quote(clip(text))
}

// showKey returns a key for an error: as it is, unless it needs quotes.
func showKey(key string) string {
	if checkName(key, "") == nil {
		return key
	}
	return show(key)
}

// clip keeps the beginning of a text that is too long to be a value.
func clip(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
