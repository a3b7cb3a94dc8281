package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// live are the top-level keys that may change while the process runs. Every other one needs a restart: a new key that
// nobody has thought of is refused by CheckReload, not ignored.
func live() []string { return []string{"auth", "users", "models", "stream_defaults", "streams"} }

// CheckReload reports every key in which next differs from c, the configuration of the running process, and that cannot
// change while it runs.
func (c *Config) CheckReload(next *Config) error {
	var problems []problem
	before := c.schema()
	for i, f := range next.schema() {
		if slices.Contains(live(), f.key) {
			continue
		}
		differing(f.key, before[i].rule, f.rule, func(path, was, is string) {
			problems = append(problems, problem{next.placeOf(path), path, "is " + is + " now, and was " + was +
				" at the start: it cannot change while RAVE runs; restart rave, or set it back"})
		})
	}
	return join(problems)
}

// differing calls yield for every value in which two rules of one key differ.
func differing(path string, a, b rule, yield func(path, was, is string)) {
	if a, ok := a.(section); ok {
		if b, ok := b.(section); ok {
			for i, f := range a {
				differing(keyPath(path, f.key), f.rule, b[i].rule, yield)
			}
			return
		}
	}
	if a, ok := a.(records); ok { // whose secrets print alike
		if b, ok := b.(records); ok && a.size() == b.size() {
			for i := range a.size() {
				differing(fmt.Sprintf("%s[%d]", path, i), a.at(i), b.at(i), yield)
			}
			return
		}
	}
	was, is := printed(a), printed(b)
	differ := was != is
	if a, ok := a.(scalar); ok { // which may be a secret, printed alike whatever it is
		b, ok := b.(scalar)
		differ = !ok || a.get() != b.get()
	}
	if differ {
		yield(path, was, is)
	}
}

// printed is a value as it stands in the file, on one line, with secrets replaced.
func printed(r rule) string {
	n := r.write()
	if n == nil {
		return "not set"
	}
	if n.Kind == yaml.ScalarNode {
		return show(n.Value)
	}
	n.Style = yaml.FlowStyle
	text, err := yaml.Marshal(n)
	if err != nil {
		return "something else"
	}
	return clip(string(text[:max(0, len(text)-1)]))
}
