// Package onnxtest writes small .onnx files for tests, honest ones and hostile ones. It knows the field numbers of
// onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto) and nothing else.
package onnxtest

import (
	"math"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is an encoded protobuf message; its methods append fields.
type Message []byte

// Int appends a varint.
func (m Message) Int(number protowire.Number, v int64) Message {
	return protowire.AppendVarint(protowire.AppendTag(m, number, protowire.VarintType), uint64(v))
}

// Bytes appends bytes, a text or a message.
func (m Message) Bytes(number protowire.Number, b []byte) Message {
	return protowire.AppendBytes(protowire.AppendTag(m, number, protowire.BytesType), b)
}

// Text appends a text.
func (m Message) Text(number protowire.Number, s string) Message { return m.Bytes(number, []byte(s)) }

// Float appends a 32-bit number.
func (m Message) Float(number protowire.Number, v float32) Message {
	return protowire.AppendFixed32(protowire.AppendTag(m, number, protowire.Fixed32Type), math.Float32bits(v))
}

// The types of elements.
const (
	Float32 = 1
	Uint8   = 2
	Int64   = 7
	String  = 8
	Bool    = 9
)

// Value makes a ValueInfoProto of a tensor; dimensions of -1 are not fixed.
func Value(name string, kind int64, dims ...int64) Message {
	var shape Message
	for _, d := range dims {
		var dim Message
		if d >= 0 {
			dim = dim.Int(1, d)
		} else {
			dim = dim.Text(2, "n")
		}
		shape = shape.Bytes(1, dim)
	}
	return Message(nil).Text(1, name).Bytes(2, Message(nil).Bytes(1, Message(nil).Int(1, kind).Bytes(2, shape)))
}

// Tensor makes a TensorProto with raw data.
func Tensor(name string, kind int64, raw []byte, dims ...int64) Message {
	var m Message
	for _, d := range dims {
		m = m.Int(1, d)
	}
	return m.Int(2, kind).Text(8, name).Bytes(9, raw)
}

// Int64s makes a tensor of whole numbers.
func Int64s(name string, values ...int64) Message {
	m := Message(nil).Int(1, int64(len(values))).Int(2, Int64)
	for _, v := range values {
		m = m.Int(7, v)
	}
	return m.Text(8, name)
}

// Node makes a NodeProto; attributes come from Ints, Attribute and so on.
func Node(op, domain string, inputs, outputs []string, attributes ...Message) Message {
	var m Message
	for _, in := range inputs {
		m = m.Text(1, in)
	}
	for _, out := range outputs {
		m = m.Text(2, out)
	}
	m = m.Text(3, op+" "+strings.Join(outputs, " ")).Text(4, op).Text(7, domain)
	for _, a := range attributes {
		m = m.Bytes(5, a)
	}
	return m
}

// The types of attributes.
const (
	attrTensor = 4
	attrGraph  = 5
	attrInts   = 7
)

// Ints makes an attribute of whole numbers.
func Ints(name string, values ...int64) Message {
	m := Message(nil).Text(1, name)
	for _, v := range values {
		m = m.Int(8, v)
	}
	return m.Int(20, attrInts)
}

// GraphOf makes an attribute of a graph.
func GraphOf(name string, graph Message) Message {
	return Message(nil).Text(1, name).Bytes(6, graph).Int(20, attrGraph)
}

// TensorOf makes an attribute of a tensor.
func TensorOf(name string, tensor Message) Message {
	return Message(nil).Text(1, name).Bytes(5, tensor).Int(20, attrTensor)
}

// Graph is a GraphProto to be.
type Graph struct{ Nodes, Weights, Inputs, Outputs []Message }

// Encode makes the GraphProto.
func (g Graph) Encode() Message {
	m := Message(nil).Text(2, "graph")
	for _, list := range []struct {
		number protowire.Number
		values []Message
	}{{1, g.Nodes}, {5, g.Weights}, {11, g.Inputs}, {12, g.Outputs}} {
		for _, v := range list.values {
			m = m.Bytes(list.number, v)
		}
	}
	return m
}

// Model makes the ModelProto of a graph.
func (g Graph) Model() Message {
	return Message(nil).Int(1, 8).Bytes(7, g.Encode()).Bytes(8, Message(nil).Text(1, "").Int(2, 17))
}

// Luma makes a network on luma: uint8 [1,1,H,W] "in" to "out".
func Luma(nodes []Message, weights ...Message) Graph {
	return Graph{
		Nodes: nodes, Weights: weights,
		Inputs: []Message{Value("in", Uint8, 1, 1, -1, -1)}, Outputs: []Message{Value("out", Uint8, 1, 1, -1, -1)},
	}
}

// Copy is the honest network of scale 1.
func Copy() Graph {
	return Luma([]Message{Node("Identity", "", []string{"in"}, []string{"out"})})
}

// Hungry doubles a picture, by way of one that is 16,384 times as large.
func Hungry() Graph {
	return Luma([]Message{
		Node("Tile", "", []string{"in", "times"}, []string{"large"}),
		Node("MaxPool", "", []string{"large"}, []string{"out"}, Ints("kernel_shape", 64, 64), Ints("strides", 64, 64)),
	}, Int64s("times", 1, 1, 128, 128))
}

// Endless copies a picture after a loop that ends only with the largest of all numbers.
func Endless() Graph {
	body := Graph{
		Nodes: []Message{
			Node("Identity", "", []string{"go"}, []string{"goes"}),
			Node("Identity", "", []string{"picture"}, []string{"same"}),
		},
		Inputs:  []Message{Value("i", Int64), Value("go", Bool), Value("picture", Uint8, 1, 1, -1, -1)},
		Outputs: []Message{Value("goes", Bool), Value("same", Uint8, 1, 1, -1, -1)},
	}
	return Luma([]Message{Node("Loop", "", []string{"most", "true", "in"}, []string{"out"}, GraphOf("body", body.Encode()))},
		Message(nil).Int(2, Int64).Int(7, math.MaxInt64).Text(8, "most"), Message(nil).Int(2, Bool).Int(5, 1).Text(8, "true"))
}
