package core_test

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"coredrop/core"
	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/source"
)

// input is any io.ReaderAt with a size: a file, a range of a bucket, bytes.
func input() source.Source {
	data, err := demo.Core()
	if err != nil {
		panic(err)
	}
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: demo.CoreName}
}

// The dump of a core, read like a file.
func ExampleConvert() {
	image, summary, err := core.Convert(context.Background(), input(), core.Options{})
	if err != nil {
		fmt.Println(err, fault.As(err).Remedy())
		return
	}
	head := make([]byte, 8)
	if _, err := image.ReadAt(head, 0); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%s, %d bytes, verified %v\n", head, image.Size(), summary.Dump.Verified)
	// Output: PAGEDU64, 12591104 bytes, verified true
}

// One file asked several questions: nothing is searched twice.
func ExampleOpen() {
	c, err := core.Open(context.Background(), input(), core.Options{})
	if err != nil {
		fmt.Println(err)
	}
	s := c.Summary()
	fmt.Println(s.Guest.Version)
	for _, t := range s.Convert.Types {
		fmt.Println(t.Type, t.Bytes)
	}
	// Output:
	// Windows 10 2004 to 22H2 (build 19041)
	// full 12591104
	// bitmap 12595200
	// kernel 12595200
	// triage 2097152
}

// A dump is a list of parts: bytes of its own, and ranges of the core that need
// no copy where the file system or the object store can share them.
func ExampleCase_Convert() {
	s := input()
	c, err := core.Open(context.Background(), s, core.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	image, err := c.Convert(context.Background(), dmp.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	var own, shared int64
	for _, p := range image.Parts() {
		if p.Kind == dmp.Copy {
			io.Copy(io.Discard, io.NewSectionReader(s, p.Off, p.Bytes)) // or copy_file_range
			shared += p.Bytes
			continue
		}
		own += p.Bytes
	}
	fmt.Println(own < 100<<10, own+shared == image.Size())
	// Output: true true
}

// store gives PDBs from anywhere: a directory, a database, a build server.
type store map[string][]byte

// PDB gives the PDB of an image's CodeView record and where it came from.
func (s store) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	data, ok := s[cv.Name+"/"+cv.Key()]
	if !ok {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "")
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, pdb.Origin{Kind: pdb.FromStore, Name: "ours"}, err
}

// Symbols of one's own, given to a case that is open already.
func ExampleCase_Use() {
	data, err := demo.PDB()
	if err != nil {
		fmt.Println(err)
		return
	}
	c, err := core.Open(context.Background(), input(), core.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(c.Summary().Symbols.Status)
	if err := c.Use(context.Background(), store{"ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1": data}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(c.Summary().Symbols.Status, "in", c.Summary().Symbols.From.Name)
	// Output:
	// none-needed
	// found in ours
}
