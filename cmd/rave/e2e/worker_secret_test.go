package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
)

// knowsNoPassword looks for the password in all that a worker has: its environment, its arguments and its memory, which
// holds what it was told.
func knowsNoPassword(t *testing.T, pid int) {
	t.Helper()
	secrets := [][]byte{[]byte(password), []byte(passwordInURL), []byte(passwordEscaped), []byte("RAVE_STREAMS")}
	search := func(where string, data []byte) {
		for _, s := range secrets {
			if bytes.Contains(data, s) {
				t.Errorf("%s of the worker has %q", where, s)
			}
		}
	}
	for _, name := range []string{"environ", "cmdline"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		search(name, data)
	}
	read := 0
	err := eachRegion(pid, func(name string, data []byte) {
		read += len(data)
		search("memory "+name, data)
	})
	if errors.Is(err, fs.ErrPermission) {
		t.Log("the worker's memory is not looked into: ", err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if read < 1<<20 {
		t.Errorf("the worker has %d bytes of memory: the test tests nothing", read)
	}
}

// eachRegion reads the writable memory of a process (proc(5): maps, mem).
func eachRegion(pid int, found func(name string, data []byte)) error {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return err
	}
	defer memory.Close()
	const most = 256 << 20 // of a region; the rest is reserved and not used
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		var from, to int64
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x rw", &from, &to); err != nil {
			continue
		}
		data := make([]byte, min(to-from, most))
		n, err := memory.ReadAt(data, from)
		if errors.Is(err, fs.ErrPermission) {
			return err
		}
		found(lines.Text(), data[:n]) // what cannot be read is not mapped any more
	}
	return nil
}
