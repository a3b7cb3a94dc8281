package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The lists of reasons have every constant.
func TestReasonsAreComplete(t *testing.T) {
	for prefix, c := range map[string]struct {
		file string
		list []string
	}{"Drop": {"drop.go", DropReasons()}, "Change": {"pace.go", ChangeReasons()}} {
		file, err := parser.ParseFile(token.NewFileSet(), c.file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(v.Names[0].Name, prefix) {
				return true
			}
			found++
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil || !slices.Contains(c.list, text) {
				t.Errorf("%s is not listed: %v", v.Names[0].Name, err)
			}
			return true
		})
		if found != len(c.list) {
			t.Errorf("%d constants begin with %s, %d are listed", found, prefix, len(c.list))
		}
	}
}
