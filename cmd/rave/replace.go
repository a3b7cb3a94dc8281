package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile puts another text in the place of a file's, as a whole or not at all. Links lead to the file as before, and
// mode and owner stay.
func replaceFile(path string, text []byte) (err error) {
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o200 == 0 { // as the copy is that a service gets: what is written there would not last
		return fmt.Errorf("%s is read-only: %w", path, os.ErrPermission)
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".rave-*") // the same folder: a rename crosses no file system
	if err != nil {
		return fmt.Errorf("%w: allow RAVE to write the folder", err)
	}
	defer func() {
		if err != nil {
			_ = next.Close()
			_ = os.Remove(next.Name())
		}
	}()
	if sys, ok := info.Sys().(*syscall.Stat_t); ok && (int(sys.Uid) != os.Geteuid() || int(sys.Gid) != os.Getegid()) {
		if err := next.Chown(int(sys.Uid), int(sys.Gid)); err != nil {
			return fmt.Errorf("%w: the file must belong to who runs RAVE", err)
		}
	}
	if err := next.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if _, err := next.Write(text); err != nil {
		return err
	}
	if err := next.Sync(); err != nil { // else a crash of the machine may leave an empty file
		return err
	}
	if err := next.Close(); err != nil {
		return err
	}
	if err := os.Rename(next.Name(), path); err != nil {
		return fmt.Errorf("%w: a file that is mounted by itself cannot be replaced; mount its folder", err)
	}
	return nil
}
