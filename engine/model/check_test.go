package model

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ox "rave/engine/model/onnxtest"
)

// hostile files, and what the error must say.
func hostile() map[string]struct {
	data ox.Message
	want string
} {
	type c = struct {
		data ox.Message
		want string
	}
	identity := []ox.Message{ox.Node("Identity", "", []string{"in"}, []string{"out"})}
	weight := func(t ox.Message) c { return c{ox.Luma(identity, t).Model(), ""} }
	want := func(x c, text string) c { x.want = text; return x }
	node := func(n ox.Message) ox.Message { return ox.Luma(append([]ox.Message{n}, identity...)).Model() }
	nested := ox.Copy().Encode()
	for range maxDepth + 1 {
		nested = ox.Graph{Nodes: []ox.Message{ox.Node("If", "", []string{"x"}, nil, ox.GraphOf("then_branch", nested))}}.Encode()
	}
	many := make([]ox.Message, maxNodes+1)
	for i := range many {
		many[i] = identity[0]
	}
	sequence := ox.Message(nil).Text(1, "in").Bytes(2, ox.Message(nil).Bytes(4, ox.Message(nil).Bytes(1, nil)))
	external := ox.Message(nil).Int(1, 4).Int(2, ox.Float32).Text(8, "w").
		Bytes(13, ox.Message(nil).Text(1, "location").Text(2, "../../etc/passwd")).Int(14, 1)
	var attribute ox.Message
	attribute = attribute.Text(1, "value").Bytes(5, external)
	huge := ox.Message(nil).Int(1, 1<<20).Int(1, 1<<20).Int(1, 1<<20).Int(2, ox.Float32).Text(8, "w")
	return map[string]c{
		"empty":                {nil, "it is empty; copy or export it again"},
		"no graph":             {ox.Message(nil).Int(1, 8), "holds no graph"},
		"text":                 {ox.Message("this is not a model"), "cannot be read as ONNX"},
		"two graphs":           {append(ox.Copy().Model(), ox.Copy().Model()...), "cannot be read as ONNX"},
		"group":                {append(ox.Copy().Model(), 0x7b), "cannot be read as ONNX"},
		"functions":            {ox.Copy().Model().Bytes(25, ox.Message(nil).Text(1, "f")), "functions"},
		"metadata":             {ox.Copy().Model().Bytes(14, make([]byte, maxText+1)), "too much metadata"},
		"custom operator":      {node(ox.Node("Hack", "my.ops", nil, nil)), `"my.ops" is a custom operator`},
		"unknown of microsoft": {node(ox.Node("BeamSearch", "com.microsoft", nil, nil)), "BeamSearch"},
		"of machine learning":  {node(ox.Node("TreeEnsemble", "ai.onnx.ml", nil, nil)), "custom operator"},
		"loop":                 {ox.Endless().Model(), "may never end"},
		"scan":                 {node(ox.Node("Scan", "", nil, nil)), "may never end"},
		"sequence operator":    {node(ox.Node("SequenceConstruct", "", nil, nil)), "not allowed"},
		"text operator":        {node(ox.Node("StringNormalizer", "", nil, nil)), "not allowed"},
		"hidden graph":         {node(ox.Node("Conv", "", nil, nil, ox.GraphOf("x", nil))), "only If may"},
		"loop in a branch": {node(ox.Node("If", "", []string{"x"}, nil, ox.GraphOf("then_branch",
			ox.Graph{Nodes: []ox.Message{ox.Node("Loop", "", nil, nil)}}.Encode()))), "may never end"},
		"nested":             {ox.Message(nil).Bytes(7, nested), "nested"},
		"many operators":     {ox.Luma(many).Model(), "operators"},
		"sequence input":     {ox.Graph{Inputs: []ox.Message{sequence}}.Model(), "sequence"},
		"text input":         {ox.Graph{Inputs: []ox.Message{ox.Value("in", ox.String, 1)}}.Model(), "texts"},
		"external weight":    want(weight(external), "another file"),
		"external constant":  {node(ox.Node("Constant", "", nil, nil, attribute)), "another file"},
		"sparse weight":      {ox.Message(nil).Bytes(7, ox.Message(nil).Bytes(15, nil)), "sparse"},
		"sparse constant":    {node(ox.Node("Constant", "", nil, nil, ox.Message(nil).Bytes(22, nil))), "sparse"},
		"dimensions only":    want(weight(huge), "too large"),
		"claims more":        want(weight(ox.Tensor("w", ox.Float32, make([]byte, 4), 1<<20)), "claims 1048576 values (float32) and holds 4"),
		"claims less":        want(weight(ox.Tensor("w", ox.Float32, make([]byte, 8), 1)), "claims 1 values"),
		"typed claims more":  want(weight(ox.Message(nil).Int(1, 9).Int(2, ox.Int64).Int(7, 1)), "holds 1 of 9"),
		"negative dimension": want(weight(ox.Tensor("w", ox.Float32, nil, -1)), "too large"),
		"overflow":           want(weight(ox.Tensor("w", ox.Float32, nil, 1<<31-1, 1<<31-1, 1<<31-1, 4)), "too large"),
		"many dimensions":    want(weight(ox.Tensor("w", ox.Float32, nil, make([]int64, 20)...)), "dimensions"),
		"segment":            want(weight(ox.Message(nil).Int(2, ox.Float32).Bytes(3, nil)), "segments"),
		"texts":              want(weight(ox.Message(nil).Int(2, ox.String).Text(6, "x")), "texts"),
		"complex":            want(weight(ox.Tensor("w", 14, nil, 1)), "type 14"),
		"dimensions twice":   want(weight(ox.Tensor("w", ox.Float32, nil, 1).Bytes(9, nil)), "twice"),
		"no input":           {ox.Graph{}.Model(), "0 inputs and 0 outputs"},
		"wrong rank":         {ox.Graph{Inputs: []ox.Message{ox.Value("in", ox.Float32, 3, 4, 4)}, Outputs: []ox.Message{ox.Value("out", ox.Float32, 1, 3, 4, 4)}}.Model(), "3 dimensions"},
		"huge picture": {ox.Graph{Inputs: []ox.Message{ox.Value("in", ox.Uint8, 1, 1, 1<<20, 1<<20)}, Outputs: []ox.Message{ox.Value("out", ox.Uint8, 1, 1, 1<<20, 1<<20)}}.Model(),
			"dynamic height"},
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range hostile() {
		_, err := Load(c.data)
		if err == nil || !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v lacks %q", name, err, c.want)
		} else if len(err.Error()) > 600 {
			t.Errorf("%s: the error has %d characters", name, len(err.Error()))
		}
	}
}

func TestLoadTakes(t *testing.T) {
	branch := ox.Copy().Encode()
	constant := ox.Node("Constant", "", nil, []string{"c"}, ox.TensorOf("value", ox.Tensor("", ox.Float32, make([]byte, 8), 2)))
	old := ox.Copy() // weights are listed as inputs in old files
	old.Weights = []ox.Message{ox.Int64s("w", 1, 2)}
	old.Inputs = append(old.Inputs, ox.Value("w", ox.Int64, 2))
	silent := ox.Copy() // the output's shape is left to inference
	silent.Outputs = []ox.Message{ox.Message(nil).Text(1, "out").Bytes(2, ox.Message(nil).Bytes(1, ox.Message(nil).Int(1, ox.Uint8)))}
	for name, g := range map[string]ox.Graph{
		"copy": ox.Copy(), "hungry": ox.Hungry(), "old": old, "silent": silent,
		"branches":  ox.Luma([]ox.Message{ox.Node("If", "", []string{"x"}, []string{"out"}, ox.GraphOf("then_branch", branch), ox.GraphOf("else_branch", branch))}),
		"constant":  ox.Luma([]ox.Message{constant}),
		"quantised": ox.Luma([]ox.Message{ox.Node("QLinearAdd", "com.microsoft", nil, nil)}, ox.Tensor("w4", 22, make([]byte, 2), 3), ox.Tensor("none", ox.Float32, nil, 0)),
	} {
		spec, err := Load(g.Model())
		if err != nil || spec.Layout != Luma || spec.Input != "in" || spec.Output != "out" {
			t.Errorf("%s: %+v, %v", name, spec, err)
		}
	}
	for _, name := range Names() {
		n, _ := Embedded(name)
		if spec, err := Load(n.Data); err != nil || spec.Input == "" {
			t.Errorf("%s: %+v, %v", name, spec, err)
		}
	}
}

func FuzzLoad(f *testing.F) {
	for _, c := range hostile() {
		if len(c.data) < 16<<10 {
			f.Add([]byte(c.data))
		}
	}
	files, _ := filepath.Glob("testdata/*.onnx")
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) < 64<<10 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := Load(data)
		switch {
		case err != nil && !errors.Is(err, ErrUnsupported):
			t.Errorf("an error of another kind: %v", err)
		case err == nil && (spec.Layout != Luma && spec.Layout != RGB || spec.Align < 1 || spec.Width < 0 || spec.Width > maxSide || spec.Height > maxSide):
			t.Errorf("accepted as %+v", spec)
		}
	})
}

// BenchmarkLoad judges a file of 50 MB of weights, as raw bytes and as lists of numbers.
func BenchmarkLoad(b *testing.B) {
	const size = 50 << 20
	list := make([]byte, size)
	for i := range list {
		list[i] = 1
	}
	for name, t := range map[string]ox.Message{
		"raw":     ox.Tensor("w", ox.Float32, make([]byte, size), size/4),
		"varints": ox.Message(nil).Int(1, size).Int(2, ox.Int64).Bytes(7, list),
	} {
		data := ox.Luma(ox.Copy().Nodes, t).Model()
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Load(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
