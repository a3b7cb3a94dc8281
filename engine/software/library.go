package software

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// apiSymbol is what ONNX Runtime exports; its symbol version tells the library's, as in OrtGetApiBase@@VERS_1.31.1.
const (
	apiSymbol     = "OrtGetApiBase"
	versionPrefix = "VERS_"
)

// checkLibrary judges a file before it is loaded, since loading runs its code: whether it is a shared library for this
// machine, ONNX Runtime, and new enough.
func checkLibrary(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // opening a pipe would wait
		return fmt.Errorf("%s is not a file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info.Size() == 0 {
		return fmt.Errorf("%s is empty, and not a shared library; copy or unpack it again", path)
	}
	lib, err := elf.NewFile(f)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return endsEarly(path, f)
	}
	if err != nil {
		return fmt.Errorf("%s is not a shared library: %w", path, err)
	}
	if lib.Type != elf.ET_DYN || lib.Class != elf.ELFCLASS64 || lib.Machine != elf.EM_X86_64 {
		return fmt.Errorf("%s is not a shared library for this machine (x86-64) but %v, %v, %v", path, lib.Type, lib.Class, lib.Machine)
	}
	symbols, err := lib.DynamicSymbols()
	if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	for _, s := range symbols {
		if s.Name != apiSymbol || s.Section == elf.SHN_UNDEF {
			continue
		}
		version, ok := strings.CutPrefix(s.Version, versionPrefix)
		if ok && older(version, MinRuntime) {
			return fmt.Errorf("%s is ONNX Runtime %s, and %s or newer is needed", path, version, MinRuntime)
		}
		return nil // GetApi has the last word
	}
	return fmt.Errorf("%s is not ONNX Runtime: it has no %s", path, apiSymbol)
}

// endsEarly tells the beginning of a library from a short file of another kind.
func endsEarly(path string, f io.ReaderAt) error {
	magic := make([]byte, len(elf.ELFMAG))
	if n, _ := f.ReadAt(magic, 0); string(magic[:n]) != elf.ELFMAG {
		return fmt.Errorf("%s is not a shared library: it does not begin like one", path)
	}
	return fmt.Errorf("%s is incomplete: the file ends before the library does; copy or unpack it again", path)
}

// older compares versions such as 1.17.0 and 1.31.
func older(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil {
			return false // GetApi will tell
		}
		if x != y {
			return x < y
		}
	}
	return false
}

// explainLibrary says in plain words what onnxruntime_go found: its error 2 is a GetApi that knows no such version.
func explainLibrary(path string, err error) error {
	if strings.Contains(err.Error(), "Error setting ORT API base: 2") {
		return fmt.Errorf("%s is an ONNX Runtime that does not have the API of %s: it is too old", path, MinRuntime)
	}
	return fmt.Errorf("%s: %w", path, err)
}
