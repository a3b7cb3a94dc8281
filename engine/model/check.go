package model

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// The bounds of a network that may be loaded. What real-time networks have is far below.
const (
	maxNodes  = 20_000
	maxDepth  = 8       // of graphs inside operators
	maxValues = 10_000  // inputs, which in old files include the weights, and outputs
	maxName   = 1 << 10 // of an input, an output or a weight
	maxText   = 64 << 10
	maxProps  = 1000
	maxBits   = 8 * (1 << 32) // of one tensor
)

// Load judges an .onnx file without running anything and before any code in C sees it, and returns what the engine must
// know of it. It refuses what a network on pictures has no need of and what could harm: operators that are not built
// into ONNX Runtime, weights in other files, weights that are larger than the file, loops, sequences and texts,
// functions, damaged files. Errors say what to change. What a network computes, and how long it takes, nobody can tell
// beforehand: that is bounded while it runs.
func Load(data []byte) (Spec, error) {
	c := checker{metadata: map[string]string{}}
	if err := c.model(data); err != nil {
		return Spec{}, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	var inputs []Tensor
	for _, in := range c.inputs {
		if !c.weights[in.Name] {
			inputs = append(inputs, in)
		}
	}
	return Read(inputs, c.outputs, c.metadata)
}

// checker walks the messages of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); the numbers below
// are its field numbers.
type checker struct {
	inputs, outputs []Tensor
	weights         map[string]bool // names of inputs that have a default
	metadata        map[string]string
	nodes, depth    int
	graphs          int // of the model itself
}

func (c *checker) model(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("it cannot be read as ONNX: it is empty; copy or export it again")
	}
	err := fields(b, only(1, 7), func(f field) error {
		switch f.number {
		case 7:
			c.graphs++
			return c.graph(f.bytes, true)
		case 14:
			return c.property(f.bytes)
		case 25:
			return fmt.Errorf("it defines functions of its own; inline them (onnx.inliner, or export again with an older opset)")
		}
		return nil
	})
	if err == nil && c.graphs == 0 {
		err = fmt.Errorf("it cannot be read as ONNX: it holds no graph")
	}
	return err
}

func (c *checker) property(b []byte) error {
	if len(c.metadata) >= maxProps || len(b) > maxText {
		return fmt.Errorf("it has too much metadata: at most %d entries of %d bytes are read", maxProps, maxText)
	}
	var key, value string
	err := fields(b, only(1, 2), func(f field) error {
		switch f.number {
		case 1:
			key = string(f.bytes)
		case 2:
			value = string(f.bytes)
		}
		return nil
	})
	c.metadata[key] = value
	return err
}

// graph checks a graph; top is the model's own, whose inputs and outputs are the network's.
func (c *checker) graph(b []byte, top bool) error {
	if c.depth++; c.depth > maxDepth {
		return fmt.Errorf("its graphs are nested more than %d deep; flatten it (onnxsim does)", maxDepth)
	}
	defer func() { c.depth-- }()
	if top { // inputs come after weights in the file
		if err := c.values(b); err != nil {
			return err
		}
	}
	return fields(b, only(2, 10), func(f field) error {
		switch f.number {
		case 1:
			return c.node(f.bytes)
		case 5:
			t, err := readTensor(f.bytes)
			if top && c.weights != nil {
				if _, is := c.weights[t.name]; is {
					c.weights[t.name] = true
				}
			}
			return err
		case 12, 13:
			if !top {
				_, err := readValue(f.bytes)
				return err
			}
		case 15:
			return fmt.Errorf("it has sparse weights; export it with dense ones")
		}
		return nil
	})
}

// values collects the network's inputs and outputs.
func (c *checker) values(b []byte) error {
	c.weights = map[string]bool{}
	return fields(b, 0, func(f field) error {
		if f.number != 11 && f.number != 12 {
			return nil
		}
		if len(c.inputs)+len(c.outputs) >= maxValues {
			return fmt.Errorf("it has more than %d inputs and outputs", maxValues)
		}
		v, err := readValue(f.bytes)
		if f.number == 11 {
			c.inputs = append(c.inputs, v)
			c.weights[v.Name] = false
		} else {
			c.outputs = append(c.outputs, v)
		}
		return err
	})
}

func (c *checker) node(b []byte) error {
	if c.nodes++; c.nodes > maxNodes {
		return fmt.Errorf("it has more than %d operators", maxNodes)
	}
	var op, domain, name string
	err := fields(b, only(3, 4, 7), func(f field) error {
		switch f.number {
		case 3:
			name = cut(f.bytes)
		case 4:
			op = cut(f.bytes)
		case 7:
			domain = cut(f.bytes)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := checkOperator(op, domain); err != nil {
		return fmt.Errorf("operator %q: %w", name, err)
	}
	return fields(b, 0, func(f field) error {
		if f.number != 5 {
			return nil
		}
		if err := c.attribute(f.bytes, op); err != nil {
			return fmt.Errorf("operator %q (%s): %w", name, op, err)
		}
		return nil
	})
}

func (c *checker) attribute(b []byte, op string) error {
	return fields(b, only(1, 2, 3, 4, 5, 6, 20), func(f field) error {
		switch f.number {
		case 5, 10:
			_, err := readTensor(f.bytes)
			return err
		case 6, 11:
			if op != "If" {
				return fmt.Errorf("it runs a graph of its own; only If may")
			}
			return c.graph(f.bytes, false)
		case 22, 23:
			return fmt.Errorf("it has sparse tensors; export it with dense ones")
		}
		return nil
	})
}

// cut shortens a name from the file, for errors; no name that means something is that long.
func cut(b []byte) string {
	const most = 100
	if len(b) <= most {
		return string(b)
	}
	return string(b[:most]) + "…"
}

// field is one field of a message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	bytes  []byte // of a length-delimited field
	varint uint64
}

// only makes the set of fields that may occur but once. Parsers disagree on what a second one means.
func only(numbers ...int) (set uint64) {
	for _, n := range numbers {
		set |= 1 << n
	}
	return set
}

// fields calls f with each field of a message.
func fields(b []byte, once uint64, f func(field) error) error {
	var seen uint64
	for rest := b; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return damaged(protowire.ParseError(n))
		}
		rest = rest[n:]
		v := field{number: number, kind: kind}
		switch kind {
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(rest)
		case protowire.VarintType:
			v.varint, n = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			_, n = protowire.ConsumeFixed32(rest)
		case protowire.Fixed64Type:
			_, n = protowire.ConsumeFixed64(rest)
		default: // groups, which onnx.proto does not have
			return damaged(fmt.Errorf("field %d has the wire type %d", number, kind))
		}
		if n < 0 {
			return damaged(protowire.ParseError(n))
		}
		rest = rest[n:]
		if number < 64 {
			if seen&once&(1<<number) != 0 {
				return damaged(fmt.Errorf("field %d stands twice", number))
			}
			seen |= 1 << number
		}
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

func damaged(err error) error {
	return fmt.Errorf("it cannot be read as ONNX: %w; is the file complete?", err)
}
