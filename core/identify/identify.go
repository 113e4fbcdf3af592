// Package identify says what a file is, from its first 64 KiB, its size and its
// name; a reader adds what its end and the inside of an archive tell. It opens
// nothing for use: a file that it calls a core may still be damaged. It names
// the neighbours of a memory core (other tools' dumps, disk images, archives,
// logs, symbol files, error pages) with the next step for each.
package identify

import (
	"errors"
	"io"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// HeadBytes is how much of a file is looked at.
const HeadBytes = 64 << 10

// Class is what a file is good for here.
type Class string

// The classes.
const (
	Core    Class = "core"    // memory of a machine; Code says why it is not read, if it is not
	Dump    Class = "dump"    // a Windows dump
	Symbols Class = "symbols" // a PDB, or what one is packed in
	Log     Class = "log"     // text that may hold race reports
	Packed  Class = "packed"  // compressed, or an archive
	Damaged Class = "damaged" // was a core
	Other   Class = "other"
)

// Kind is one row of what is known by name.
type Kind struct {
	ID    string // stable, lower-case: "qcow2"
	Class Class
	Noun  string // "a qcow2 disk image"
	Note  string // what the sentence adds: "not a memory core"
	// Code is the code of its refusal; "": it is a core to open.
	Code  fault.Code
	Steps []fault.Step // in place of the code's own; nil: those
}

// File is a file by what it is.
type File struct {
	Kind
	Guest  string // of a core whose notes tell: "windows" or "linux"
	Arch   string // of an ELF file: "x86-64", "32-bit x86", "ARM64", …
	Inside *File  // what a packed file begins with; nil: that could not be seen
}

// Sentence says what the file is: "this is a qcow2 disk image, not a memory
// core".
func (f *File) Sentence() string {
	var b strings.Builder
	b.WriteString("this is " + f.Noun)
	for in := f.Inside; in != nil; in = in.Inside {
		b.WriteString("; inside it is " + in.Noun)
	}
	if f.Note != "" {
		b.WriteString(", " + f.Note)
	}
	return b.String()
}

// Fault is the refusal of the file, with the next steps of its kind; nil: it is
// a core to open.
func (f *File) Fault() *fault.Error {
	if f.Code == "" {
		return nil
	}
	e := fault.New(f.Code, "%s", f.Sentence())
	if f.Steps != nil {
		return e.Instead(f.Steps...)
	}
	return e
}

// view is a file as far as it can be seen.
type view struct {
	head  []byte
	size  int64 // -1: unknown, because the file lies packed in another one
	name  string
	more  io.ReaderAt // nil: the head is all
	depth int         // of packing
}

// Head identifies a file by its first HeadBytes bytes (all of a shorter file).
func Head(head []byte, size int64, name string) *File {
	return identify(&view{head: head[:min(len(head), HeadBytes)], size: size, name: name})
}

// Look identifies a file that can be read: beyond its head also its end, and
// more of a packed file where that is needed; at most a few MiB. The error is a
// *fault.Error of reading the head.
func Look(s source.Source) (*File, error) {
	head := make([]byte, max(0, min(HeadBytes, s.Size)))
	if err := s.Full(head, 0); err != nil {
		return nil, err
	}
	return identify(&view{head: head, size: s.Size, name: s.Name, more: s.ReaderAt}), nil
}

// identify asks one detector after the other: the certain ones first.
func identify(v *view) *File {
	for _, detect := range []func(*view) *File{empty, bySignature, mangled, elf, text, headless, diskOrRaw} {
		if f := detect(v); f != nil {
			return f
		}
	}
	return &File{Kind: Kind{ID: "unknown", Class: Other, Noun: "not a memory core we know", Code: fault.UnknownFormat}}
}

func empty(v *view) *File {
	if v.size > 0 || v.size < 0 && len(v.head) > 0 {
		return nil
	}
	return &File{Kind: Kind{ID: "empty", Class: Other, Noun: "an empty file", Code: fault.EmptyFile}}
}

// read fills p from off; false: it is not there, or cannot be read.
func (v *view) read(p []byte, off int64) bool {
	if off < 0 || off > 1<<62 {
		return false
	}
	if off+int64(len(p)) <= int64(len(v.head)) {
		copy(p, v.head[off:])
		return true
	}
	if v.more == nil || v.size >= 0 && off+int64(len(p)) > v.size {
		return false
	}
	n, err := v.more.ReadAt(p, off)
	return n == len(p) && (err == nil || errors.Is(err, io.EOF))
}

// hasAt reports whether the file has the text at off.
func (v *view) hasAt(off int64, text string) bool {
	p := make([]byte, len(text))
	return v.read(p, off) && string(p) == text
}

func say(text string) fault.Step         { return fault.Step{Text: text} }
func do(text, command string) fault.Step { return fault.Step{Text: text, Command: command} }
func cli(text, command string) fault.Step {
	return fault.Step{Text: text, Command: command, For: []fault.Surface{fault.CLI}}
}
