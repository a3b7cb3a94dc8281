package model

import (
	_ "embed"
	"maps"
	"slices"
)

// Network is one that RAVE ships. The recipes are in train/.
type Network struct {
	Name  string
	Scale int
	Data  []byte // the .onnx file
}

//go:embed live-x2.onnx
var liveX2 []byte

// Embedded returns the shipped network of that name.
func Embedded(name string) (Network, bool) {
	n, ok := embedded()[name]
	return n, ok
}

// Names returns the names of the shipped networks, sorted.
func Names() []string { return slices.Sorted(maps.Keys(embedded())) }

func embedded() map[string]Network {
	return map[string]Network{
		"live-x2": {Name: "live-x2", Scale: 2, Data: liveX2},
	}
}
