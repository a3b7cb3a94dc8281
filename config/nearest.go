package config

import "strings"

// suggest returns what the user may have meant by an unknown key: one of this section, one that lives further in, or
// else the list of what there is.
func (s section) suggest(key string) string {
	names := make([]string, len(s))
	for i, f := range s {
		names[i] = f.key
	}
	if name, ok := nearest(key, names); ok {
		return "did you mean " + name + "?"
	}
	for _, f := range s {
		inner, ok := f.rule.(section)
		if !ok {
			continue
		}
		for _, g := range inner {
			if g.key == key {
				return "did you mean " + f.key + "." + key + "?"
			}
		}
	}
	return "known here: " + strings.Join(names, ", ")
}

// nearest returns the candidate with the fewest edits to name, if it is near: at
// most three, and fewer for a short name.
func nearest(name string, candidates []string) (string, bool) {
	best, fewest := "", min(len(name)/3+2, 4)
	for _, c := range candidates {
		if n := edits(strings.ToLower(name), strings.ToLower(c)); n < fewest && n < len(c) {
			best, fewest = c, n
		}
	}
	return best, best != ""
}

// edits is the Levenshtein distance: insertions, deletions and replacements of single bytes.
func edits(a, b string) int {
	const most = 128 // names are short; a long text is not worth the time
	if len(a) > most || len(b) > most {
		return most
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
