package model

import (
	"maps"
	"slices"
)

// Network is one that RAVE ships.
type Network struct {
	Name  string
	Scale int
	Data  []byte // the .onnx file
}

// Embedded returns the shipped network of that name.
func Embedded(name string) (Network, bool) {
	n, ok := embedded()[name]
	return n, ok
}

// Names returns the names of the shipped networks, sorted.
func Names() []string { return slices.Sorted(maps.Keys(embedded())) }

func embedded() map[string]Network {
	return map[string]Network{}
}
