package config

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// NewStream is a stream to add to a file: the keys that it gets. Empty ones are left out.
type NewStream struct {
	Name      string
	Source    string
	Username  string
	Password  Secret
	Transport string
	Quality   []string
	Scale     float64
}

// ErrExists says that a file has a stream of that name.
var ErrExists = errors.New("there is a stream of that name")

// ErrNoPlace says that a stream cannot be added to a file without touching what is in it.
var ErrNoPlace = errors.New("write each stream on lines of its own below streams:, as rave.example.yaml does, or add this one by hand")

// BadStreamError says what is wrong with a stream that is to be added: on each line a key and the reason.
type BadStreamError struct{ text string }

func (e BadStreamError) Error() string { return e.text }

// AddStream returns a file's text with a stream behind the others; all else stays as it is, to the last blank. data is what
// the file called name holds now, and environ and reserved are as for Parse. Its error is ErrExists, ErrNoPlace, a
// BadStreamError, or what is wrong with the file as it is.
func AddStream(data []byte, name string, s NewStream, environ []string, reserved ...string) ([]byte, error) {
	before, err := Parse(data, name, environ, reserved...)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(before.Streams, func(o Stream) bool { return o.Name == s.Name }) {
		return nil, ErrExists
	}
	if _, err := s.Stream(); err != nil {
		return nil, err
	}
	var entry strings.Builder
	enc := yaml.NewEncoder(&entry)
	enc.SetIndent(2)
	if err := enc.Encode(s.node()); err != nil {
		return nil, fmt.Errorf("write stream: %w", err)
	}
	p, ok := findPlace(string(data), newDecoder(name).parse(data))
	if !ok {
		return nil, ErrNoPlace
	}
	text := p.insert(entry.String())
	if !onlyAdds(before, text, name, s.Name, environ, reserved) {
		return nil, ErrNoPlace
	}
	return []byte(text), nil
}

// node returns what stands below streams:.
func (s NewStream) node() *yaml.Node {
	keys := &yaml.Node{Kind: yaml.MappingNode}
	put := func(key string, value *yaml.Node) { keys.Content = append(keys.Content, textNode(key), value) }
	for _, k := range []struct{ key, value string }{
		{"source", s.Source}, {"username", s.Username}, {"password", string(s.Password)}, {"transport", s.Transport},
	} {
		if k.value != "" {
			put(k.key, textNode(k.value))
		}
	}
	if len(s.Quality) > 0 {
		put("quality", list{get: func() []string { return s.Quality }}.write())
	}
	if s.Scale != 0 {
		scale := &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(s.Scale, 'f', -1, 64)}
		put("output", &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{textNode("scale"), scale}})
	}
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{textNode(s.Name), keys}}
}

// Stream returns what the stream would be, with the defaults of an empty file. Its error is a BadStreamError.
func (s NewStream) Stream() (Stream, error) {
	file, err := yaml.Marshal(&yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{textNode("streams"), s.node()}})
	if err != nil {
		return Stream{}, BadStreamError{"holds bytes that are not text"}
	}
	c, err := Parse(file, "", nil)
	if err != nil {
		text := strings.ReplaceAll(err.Error(), "configuration: streams."+s.Name+".", "")
		return Stream{}, BadStreamError{strings.ReplaceAll(text, "configuration: ", "")}
	}
	return c.Streams[0], nil
}

// opening is where a stream goes into a file's text.
type opening struct {
	lines  []string // of the text, with their ends
	at     int      // the stream is before this one
	indent int
	head   string // a line before the stream, such as "streams:"
}

// findPlace finds it behind the last stream, or else where streams: is or could be. false: there is no place for lines.
func findPlace(text string, root *yaml.Node) (opening, bool) {
	p := opening{lines: strings.SplitAfter(text, "\n")}
	if last := len(p.lines) - 1; p.lines[last] == "" {
		p.lines = p.lines[:last]
	}
	if root.Style&yaml.FlowStyle != 0 {
		return p, false
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		if key := root.Content[i]; key.Value == "streams" {
			return p, p.below(key, root.Content[i+1])
		}
	}
	p.at = len(p.lines)
	if len(root.Content) > 0 {
		p.indent = root.Content[0].Column - 1
	}
	p.head = strings.Repeat(" ", p.indent) + "streams:"
	p.indent += 2
	return p, true
}

// below finds the place in the mapping that is the value of streams:.
func (p *opening) below(key, value *yaml.Node) bool {
	switch empty := len(value.Content) == 0; {
	case value.Kind == yaml.AliasNode:
		return false
	case empty && value.Value == "" && value.Kind == yaml.ScalarNode: // nothing is written
		p.at, p.indent = key.Line, key.Column+1
		return true
	case empty: // {} or null is
		p.at, p.indent = key.Line, key.Column+1
		return value.Line == key.Line && p.cut(value)
	case value.Style&yaml.FlowStyle != 0:
		return false
	}
	p.indent = value.Content[0].Column - 1
	last := value.Content[len(value.Content)-2]
	p.at = last.Line
	for i := last.Line; i < len(p.lines); i++ {
		line := strings.TrimLeft(p.lines[i], " ")
		inside := len(p.lines[i])-len(line) > p.indent
		switch comment := strings.HasPrefix(line, "#"); {
		case strings.TrimSpace(line) == "", comment && !inside:
		case inside, strings.HasPrefix(line, "}"), strings.HasPrefix(line, "]"):
			p.at = i + 1
		default:
			return true
		}
	}
	return true
}

// cut takes an empty value away that is written out.
func (p *opening) cut(value *yaml.Node) bool {
	line := []rune(p.lines[value.Line-1])
	for _, empty := range []string{"{}", "null", "Null", "NULL", "~"} {
		if rest, ok := strings.CutPrefix(string(line[value.Column-1:]), empty); ok {
			p.lines[value.Line-1] = strings.TrimRight(string(line[:value.Column-1]), " ") + rest
			return true
		}
	}
	return false
}

// insert returns the text with an entry, which is given without indentation.
func (p opening) insert(entry string) string {
	end := "\n"
	if len(p.lines) > 0 && strings.HasSuffix(p.lines[0], "\r\n") {
		end = "\r\n"
	}
	if last := p.at - 1; last >= 0 && !strings.HasSuffix(p.lines[last], "\n") {
		p.lines[last] += end
	}
	var added []string
	if p.head != "" {
		added = append(added, p.head+end)
	}
	for line := range strings.Lines(entry) {
		added = append(added, strings.Repeat(" ", p.indent)+strings.TrimSuffix(line, "\n")+end)
	}
	return strings.Join(slices.Insert(slices.Clone(p.lines), p.at, added...), "")
}

// onlyAdds reports that a text says what the configuration before says, and has the stream.
func onlyAdds(before *Config, text, file, stream string, environ, reserved []string) bool {
	after, err := Parse([]byte(text), file, environ, reserved...)
	if err != nil {
		return false
	}
	isNew := func(s Stream) bool { return s.Name == stream }
	if !slices.ContainsFunc(after.Streams, isNew) {
		return false
	}
	others := *after
	if others.Streams = slices.DeleteFunc(slices.Clone(after.Streams), isNew); len(others.Streams) == 0 {
		others.Streams = before.Streams // none, however that is written
	}
	return others.Equal(before) && len(others.Streams)+1 == len(after.Streams)
}
