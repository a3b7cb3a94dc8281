package cuda

// #cgo LDFLAGS: -ldl
// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"
)

// Library opens shared libraries and finds functions in them. It keeps no state, so that one serves for all of them.
type Library interface {
	// Open returns a handle of the library of this name, or file. An error is an ErrNoLibrary.
	Open(name string) (Handle, error)
	Lookup(library Handle, symbol string) (Symbol, error)
	Close(library Handle) error
}

// Handle is an open library.
type Handle uintptr

// Symbol is the address of a function in a library.
type Symbol uintptr

// ErrNoLibrary means that a library could not be opened: the text says whether it is missing, or why it does not load.
var ErrNoLibrary = errors.New("a shared library could not be opened")

// System opens the system's libraries: dlopen(3).
func System() Library { return system{} }

type system struct{}

// reasonSize is how much of dlerror(3)'s text is kept, in bytes.
const reasonSize = 1024

func (system) Open(name string) (Handle, error) {
	var why [reasonSize]C.char
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	h := C.rave_open(s, &why[0], reasonSize)
	if h == 0 {
		return 0, fmt.Errorf("%w: %s", ErrNoLibrary, C.GoString(&why[0]))
	}
	return Handle(h), nil
}

func (system) Lookup(library Handle, symbol string) (Symbol, error) {
	var why [reasonSize]C.char
	s := C.CString(symbol)
	defer C.free(unsafe.Pointer(s))
	p := C.rave_lookup(C.uintptr_t(library), s, &why[0], reasonSize)
	if p == 0 {
		return 0, fmt.Errorf("find %s: %s", symbol, C.GoString(&why[0]))
	}
	return Symbol(p), nil
}

func (system) Close(library Handle) error {
	var why [reasonSize]C.char
	if C.rave_close(C.uintptr_t(library), &why[0], reasonSize) != 0 {
		return errors.New("close library: " + C.GoString(&why[0]))
	}
	return nil
}

// table is an open library and its functions' addresses, in C's memory.
type table struct {
	lib    Library
	name   string
	handle Handle
	funcs  unsafe.Pointer
}

// open opens a library and fills a table of its functions, in the order of symbols, a list that NULL ends. With an error,
// what was found so far is in the table all the same; the caller closes it.
func open(lib Library, name string, symbols **C.char) (*table, error) {
	handle, err := lib.Open(name)
	if err != nil {
		return nil, err
	}
	n := 0
	for at := symbols; *at != nil; at = (**C.char)(unsafe.Add(unsafe.Pointer(at), unsafe.Sizeof(*at))) {
		n++
	}
	t := &table{lib: lib, name: name, handle: handle, funcs: C.calloc(C.size_t(n), C.size_t(unsafe.Sizeof(Symbol(0))))}
	found := unsafe.Slice((*Symbol)(t.funcs), n)
	for i, symbol := range unsafe.Slice(symbols, n) {
		if found[i], err = lib.Lookup(handle, C.GoString(symbol)); err != nil {
			return t, fmt.Errorf("%s is not as expected: %w", name, err)
		}
	}
	return t, nil
}

// close is idempotent.
func (t *table) close() error {
	if t == nil || t.funcs == nil {
		return nil
	}
	C.free(t.funcs)
	t.funcs = nil
	if err := t.lib.Close(t.handle); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	return nil
}
