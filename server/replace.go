package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/source"
)

// replacing is the rule by which an existing output may be replaced: it is
// empty, or it is a crash dump and the input is none. force is for the rest.
type replacing struct {
	force       bool
	inputIsDump bool
}

// check refuses a path that cannot or must not become the output: info is what
// is there now, nil if nothing is.
func (r replacing) check(path string, in fs.FileInfo) (info fs.FileInfo, err error) {
	info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		dir := filepath.Dir(path)
		if d, err := os.Stat(dir); err != nil || !d.IsDir() {
			return nil, fault.Wrap(err, fault.OutputFailed, "could not write %s: there is no directory %s", path, dir)
		}
		return nil, nil
	case err != nil:
		return nil, outputFailed(path, err)
	case in != nil && os.SameFile(info, in):
		return info, fault.New(fault.OutputFailed, "%s is the core itself", path).Hint("give the dump another name; a core is never changed")
	case !info.Mode().IsRegular():
		return info, fault.New(fault.OutputFailed, "could not write %s: it is not a regular file", path).Hint("- writes the dump to a pipe")
	case r.force || info.Size() == 0 && writable(info):
		return info, nil
	case !writable(info):
		return info, fault.New(fault.OutputExists, "%s exists and is protected against writing (mode %04o)", path, info.Mode().Perm())
	}
	what, dump := r.existing(path, info)
	if dump && !r.inputIsDump {
		return info, nil
	}
	return info, fault.New(fault.OutputExists, "%s exists and is %s", path, what)
}

func writable(info fs.FileInfo) bool { return info.Mode().Perm()&0o200 != 0 }

// existing says what is at the output's name, and whether that is a crash dump.
func (replacing) existing(path string, info fs.FileInfo) (what string, dump bool) {
	f, err := os.Open(path)
	if err != nil {
		return "not readable: " + reasonOf(err), false
	}
	defer f.Close() // only read
	kind, err := identify.Look(source.Source{ReaderAt: f, Size: info.Size(), Name: filepath.Base(path)})
	if err != nil {
		return "not readable: " + reasonOf(err), false
	}
	if kind.ID == "unknown" {
		return "no crash dump", false
	}
	return kind.Noun, kind.ID == "dmp64" || kind.ID == "dmp32"
}
