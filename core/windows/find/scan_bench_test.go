package find

import (
	"bytes"
	"context"
	"math/rand"
	"testing"

	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/source"
)

// dense is memory full of noise: nothing in it is skipped for being zero.
func dense(b *testing.B, size int64) (mem.Physical, []byte) {
	data := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(data)
	m, err := mem.NewFile(source.Source{ReaderAt: bytes.NewReader(data), Size: size}, []mem.Extent{{Bytes: uint64(size)}}, 0)
	if err != nil {
		b.Fatal(err)
	}
	return m, data
}

// The passes over all of memory, against BenchmarkScanRead, which only reads.
func BenchmarkScanRead(b *testing.B) {
	m, data := dense(b, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if err := mem.ScanPages(context.Background(), m, func(mem.PA, []byte, int64, int64) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPass reads memory in which there is nothing: the worst case.
func BenchmarkPass(b *testing.B) {
	m, data := dense(b, 64<<20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Locate(context.Background(), &machine.Machine{Mem: m}, Options{}); err == nil {
			b.Fatal("a kernel in noise")
		}
	}
}

func BenchmarkBlockInImage(b *testing.B) {
	g := newGuest(b)
	k, err := g.locate(nil)
	if err != nil {
		b.Fatal(err)
	}
	f := &finder{p: x64}
	for b.Loop() {
		f.scan = scanBudget
		if len(f.findBlocks(paging.New(g.mem, demoDTB, paging.X64), areas(k.Image, pe.Section.Writable), k.Image.Base, false, &searched{})) != 1 {
			b.Fatal("not found")
		}
	}
}

func BenchmarkLocate(b *testing.B) {
	g := newGuest(b)
	for b.Loop() {
		if _, err := Locate(context.Background(), g.m, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
