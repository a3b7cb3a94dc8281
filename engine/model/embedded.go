package model

import (
	_ "embed"
	"maps"
	"slices"
)

// Network is one that RAVE ships. The recipes are in train/, the figures in docs/models.md.
type Network struct {
	Name  string
	Scale int
	Data  []byte // the .onnx file
}

var (
	//go:embed live-x2.onnx
	liveX2 []byte
	//go:embed live-x2-xs.onnx
	liveX2XS []byte
	//go:embed live-x2-s.onnx
	liveX2S []byte
	//go:embed live-x2-m.onnx
	liveX2M []byte
	//go:embed live-x2-xs-clean.onnx
	liveX2XSClean []byte
	//go:embed live-x2-s-clean.onnx
	liveX2SClean []byte
	//go:embed live-x2-m-clean.onnx
	liveX2MClean []byte
)

// Embedded returns the shipped network of that name.
func Embedded(name string) (Network, bool) {
	n, ok := embedded()[name]
	return n, ok
}

// Names returns the names of the shipped networks, sorted.
func Names() []string { return slices.Sorted(maps.Keys(embedded())) }

func embedded() map[string]Network {
	networks := map[string]Network{}
	for name, data := range map[string][]byte{
		"live-x2":          liveX2,
		"live-x2-xs":       liveX2XS,
		"live-x2-s":        liveX2S,
		"live-x2-m":        liveX2M,
		"live-x2-xs-clean": liveX2XSClean,
		"live-x2-s-clean":  liveX2SClean,
		"live-x2-m-clean":  liveX2MClean,
	} {
		networks[name] = Network{Name: name, Scale: 2, Data: data}
	}
	return networks
}
