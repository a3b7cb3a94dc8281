package model

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// elements of tensors that networks on pictures use: the name and the bits of each. Texts and complex numbers are not
// among them.
func element(kind uint64) (name string, bits uint64) {
	switch kind {
	case 1:
		return "float32", 32
	case 2:
		return "uint8", 8
	case 3:
		return "int8", 8
	case 4:
		return "uint16", 16
	case 5:
		return "int16", 16
	case 6:
		return "int32", 32
	case 7:
		return "int64", 64
	case 8:
		return "text", 0
	case 9:
		return "bool", 8
	case 10:
		return "float16", 16
	case 11:
		return "float64", 64
	case 12:
		return "uint32", 32
	case 13:
		return "uint64", 64
	case 16:
		return "bfloat16", 16
	case 17, 18, 19, 20, 24:
		return "float8", 8
	case 21, 22, 23:
		return "4 bits", 4
	default:
		return fmt.Sprintf("type %d", kind), 0
	}
}

// stored is a TensorProto: weights, or a constant.
type stored struct {
	name           string
	kind           uint64
	dims           []uint64
	raw            uint64 // bytes
	values         uint64 // in the typed lists
	hasRaw, extern bool
}

// readTensor checks that a tensor is in the file, and as large as it says: nothing is allocated for what is not there.
func readTensor(b []byte) (stored, error) {
	var t stored
	err := fields(b, only(2, 3, 8, 9, 14), func(f field) error { return t.field(f) })
	if err != nil {
		return t, err
	}
	return t, t.check()
}

func (t *stored) field(f field) error {
	var n uint64
	var err error
	switch f.number {
	case 1:
		return t.dimensions(f)
	case 2:
		t.kind = f.varint
	case 4:
		n, err = countFixed(f, 4)
	case 5, 7, 11:
		n, err = countVarints(f)
	case 10:
		n, err = countFixed(f, 8)
	case 8:
		t.name = string(f.bytes[:min(len(f.bytes), maxName)])
	case 9:
		t.raw, t.hasRaw = uint64(len(f.bytes)), true
	case 3:
		return fmt.Errorf("tensor %q is cut into segments; export it whole", t.name)
	case 6:
		return fmt.Errorf("tensor %q holds texts, which RAVE does not feed to networks", t.name)
	case 13, 14:
		t.extern = t.extern || f.number == 13 || f.varint != 0
	}
	t.values += n
	return err
}

func (t *stored) dimensions(f field) error {
	add := func(d uint64) error {
		const most = 16 // what ONNX Runtime and anybody could use
		if len(t.dims) >= most {
			return fmt.Errorf("tensor %q has more than %d dimensions", t.name, most)
		}
		t.dims = append(t.dims, d)
		return nil
	}
	if f.kind == protowire.VarintType {
		return add(f.varint)
	}
	for b := f.bytes; len(b) > 0; {
		d, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return damaged(protowire.ParseError(n))
		}
		if err := add(d); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func (t *stored) check() error {
	if t.extern {
		return fmt.Errorf("tensor %q lies in another file, which RAVE does not open; save the model as one file "+
			"(onnx.save with save_as_external_data=False)", t.name)
	}
	name, bits := element(t.kind)
	if bits == 0 {
		return fmt.Errorf("tensor %q holds %s, which RAVE does not feed to networks", t.name, name)
	}
	count := uint64(1)
	for _, d := range t.dims {
		if d > math.MaxInt32 || count*d > maxBits/bits {
			return fmt.Errorf("tensor %q claims the dimensions %v, which is too large", t.name, int64s(t.dims))
		}
		count *= d
	}
	held, want := t.raw, (count*bits+7)/8
	if !t.hasRaw {
		if held, want = t.values, count; bits == 4 {
			want = (count + 1) / 2
		}
	}
	if held != want {
		return fmt.Errorf("tensor %q claims %d values (%s) and holds %d of %d; export the model again", t.name, count, name, held, want)
	}
	return nil
}

func int64s(dims []uint64) []int64 {
	out := make([]int64, len(dims))
	for i, d := range dims {
		out[i] = int64(d)
	}
	return out
}

// countFixed counts the values of a list of fixed size, packed or not.
func countFixed(f field, size int) (uint64, error) {
	if f.kind != protowire.BytesType {
		return 1, nil
	}
	if len(f.bytes)%size != 0 {
		return 0, damaged(fmt.Errorf("a list of %d bytes", len(f.bytes)))
	}
	return uint64(len(f.bytes) / size), nil
}

// countVarints counts the values of a list of varints: each ends with a byte below 0x80.
func countVarints(f field) (n uint64, err error) {
	if f.kind != protowire.BytesType {
		return 1, nil
	}
	for _, b := range f.bytes {
		n += uint64(b>>7 ^ 1)
	}
	return n, nil
}

// readValue reads a ValueInfoProto. A shape that is not told is nil, a dimension that is not fixed -1.
func readValue(b []byte) (Tensor, error) {
	var t Tensor
	var typed []byte
	err := fields(b, only(1, 2), func(f field) error {
		switch f.number {
		case 1:
			if t.Name = cut(f.bytes); len(f.bytes) > maxName {
				return fmt.Errorf("the name %q of an input or output is too long", t.Name)
			}
			t.Name = string(f.bytes)
		case 2:
			typed = f.bytes
		}
		return nil
	})
	if err != nil {
		return t, err
	}
	err = fields(typed, only(1, 4, 5, 7, 8, 9), func(f field) error {
		switch f.number {
		case 1:
			return t.read(f.bytes)
		case 4, 5, 7, 8, 9:
			return fmt.Errorf("%q is a sequence, a map or the like; RAVE feeds dense tensors", t.Name)
		}
		return nil
	})
	return t, err
}

// read reads a TypeProto.Tensor.
func (t *Tensor) read(b []byte) error {
	return fields(b, only(1, 2), func(f field) error {
		switch f.number {
		case 1:
			t.Type, _ = element(f.varint)
			if f.varint == 8 {
				return fmt.Errorf("%q holds texts, which RAVE does not feed to networks", t.Name)
			}
		case 2:
			t.Dims = []int64{}
			return fields(f.bytes, 0, func(f field) error {
				if f.number != 1 {
					return nil
				}
				const most = 16
				if len(t.Dims) >= most {
					return fmt.Errorf("%q has more than %d dimensions", t.Name, most)
				}
				d := int64(-1)
				err := fields(f.bytes, 0, func(f field) error {
					if f.number == 1 {
						d = int64(f.varint)
					}
					return nil
				})
				t.Dims = append(t.Dims, d)
				return err
			})
		}
		return nil
	})
}
