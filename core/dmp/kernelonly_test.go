package dmp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/core/windows/find"
	"coredrop/server/corpustest"
)

// mapped is what one half of an address space maps, walked here by literal
// numbers: virtual page to physical page, as far as the core holds the tables.
// The entry that leads back to the root is left out, and a large page is its
// first and its last page.
func mapped(m mem.Physical, root uint64, levels int, kernel bool) map[uint64]uint64 {
	pages := map[uint64]uint64{}
	root &= 0xffffffffff000
	var walk func(table uint64, level int, va uint64)
	walk = func(table uint64, level int, va uint64) {
		p := make([]byte, 4096)
		if m.ReadAt(p, mem.PA(table)) != nil {
			return
		}
		for i := range uint64(512) {
			if level == levels && (i >= 256) != kernel {
				continue
			}
			e := binary.LittleEndian.Uint64(p[8*i:])
			at := va | i<<(12+9*(level-1))
			if level == levels && i >= 256 {
				at |= ^uint64(0) << (12 + 9*levels)
			}
			next := e & 0xffffffffff000
			switch {
			case e&1 == 0 && e&0xc00 == 0x800 && level == 1:
				pages[at] = e & 0xfffffffff000 // in transition
			case e&1 == 0:
			case level == levels && next == root:
			case level == 1:
				pages[at] = next
			case level <= 3 && e&0x80 != 0:
				span := uint64(4096) << (9 * (level - 1))
				next &^= span - 1
				pages[at], pages[at+span-4096] = next, next+span-4096
			default:
				walk(next, level-1, at)
			}
		}
	}
	walk(root, levels, 0)
	return pages
}

// checkKernelOnly compares a kernel-only dump with its core: what the kernel's
// half maps reads the same, but for the patches; what only a user half maps is
// not there.
func checkKernelOnly(t *testing.T, s source.Source, o find.Options) {
	t.Helper()
	m, err := elfcore.Open(context.Background(), s, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, o)
	if err == nil {
		err = dmp.Check(k, false)
	}
	if err != nil {
		t.Skip(err)
	}
	full, err := dmp.New(context.Background(), k, dmp.Options{})
	if err != nil {
		t.Fatal(err)
	}
	im, err := dmp.New(context.Background(), k, dmp.Options{Type: dmp.TypeKernel})
	if err != nil {
		t.Fatal(err)
	}
	r, err := dmp.Verify(context.Background(), im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	if wrong := append(r.Differences(k, im), r.Problems...); len(wrong) > 0 {
		t.Errorf("read back: %q", wrong)
	}
	d, err := dmptest.Open(im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	if d.Bitmap() != "SDMPDUMP" || d.Type != 5 || im.Type != dmp.TypeKernel {
		t.Errorf("signature %q, type %d, %s", d.Bitmap(), d.Type, im.Type)
	}
	patched := map[uint64]bool{}
	for _, p := range im.Patches {
		for pa := p.PA.Page(); pa < p.PA+mem.PA(p.Bytes); pa += mem.PageSize {
			patched[uint64(pa)] = true
		}
	}
	levels := len(k.Space.Mode.Levels)
	d.Levels = levels
	roots := []uint64{uint64(k.DTB)}
	for _, p := range k.Processes {
		if p.DTB != 0 {
			roots = append(roots, uint64(p.DTB))
		}
	}
	reached, users := map[uint64]bool{}, map[uint64]bool{}
	compared := 0
	a, b := make([]byte, 4096), make([]byte, 4096)
	for n, root := range roots {
		for va, pa := range mapped(m.Mem, root, levels, true) {
			reached[pa] = true
			if m.Mem.ReadAt(a, mem.PA(pa)) != nil || patched[pa] {
				continue
			}
			if err := d.Physical(b, pa); err != nil || !bytes.Equal(a, b) {
				t.Fatalf("root %#x: %#x, page %#x: %v", root, va, pa, err)
			}
			compared++
			if n == 0 && k.HeaderDTB == k.DTB && k.Space.Resolves(mem.VA(va)) {
				if err := k.Space.ReadAt(a, mem.VA(va)); err == nil && d.Virtual(b, va) == nil && !bytes.Equal(a, b) {
					t.Fatalf("%#x reads another way", va)
				}
			}
		}
		for _, pa := range mapped(m.Mem, root, levels, false) {
			users[pa] = true
		}
	}
	only := 0
	tables := func(pa uint64) bool { // of some space: a page table is no user's page
		for _, root := range roots {
			if pa == root&0xffffffffff000 {
				return true
			}
		}
		return false
	}
	for pa := range users {
		if reached[pa] || tables(pa) {
			continue
		}
		only++
		if err := d.Physical(b, pa); err == nil {
			t.Errorf("page %#x is in the dump, and only a user half has it", pa)
		}
	}
	if compared < 20 {
		t.Errorf("only %d pages compared", compared)
	}
	if im.LeftOut < int64(only)*4096 || im.Size() > full.Size()+1<<20 {
		t.Errorf("%d bytes left out, %d pages are users' only; %d bytes, the full dump %d", im.LeftOut, only, im.Size(), full.Size())
	}
	t.Logf("%d of %d bytes, %d kernel pages compared, %d users' pages not in it", im.Size(), full.Size(), compared, only)
}

func TestKernelOnly(t *testing.T) {
	for name, o := range map[string]synth.Options{
		"alive":     {CPUs: modes(kernel, process, user)},
		"encoded":   {Encoded: true},
		"many runs": {ExtraRuns: 60},
	} {
		t.Run(name, func(t *testing.T) { checkKernelOnly(t, synth.Guest(o).Source(), find.Options{}) })
	}
}

// TestKernelOnlyCorpus: the same of every core of the corpus.
func TestKernelOnlyCorpus(t *testing.T) {
	eachCore(t, func(t *testing.T, s source.Source) { checkKernelOnly(t, s, find.Options{}) })
}

// eachCore tests every core of Windows that the corpus has, the bug checks too.
func eachCore(t *testing.T, test func(t *testing.T, s source.Source)) {
	root := corpustest.Dir(t, "windows")
	list, err := filepath.Glob(filepath.Join(root, "windows", "*", "core.elf.zst"))
	if err != nil || len(list) == 0 {
		t.Fatalf("%d cases, %v", len(list), err)
	}
	more, _ := filepath.Glob(filepath.Join(root, "bugcheck", "*", "core.elf.zst"))
	for _, path := range append(list, more...) {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			if testing.Short() {
				if info, err := os.Stat(path); err != nil || info.Size() > 1<<20 {
					t.Skip("large")
				}
			}
			f := corpustest.File(t, path)
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			test(t, source.Source{ReaderAt: f, Size: info.Size(), Name: "core"})
		})
	}
}

func TestKernelOnlyIsNotElf2dmps(t *testing.T) {
	b := synth.Guest(synth.Options{})
	m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []dmp.Options{{Type: dmp.TypeKernel, Compat: true}, {Type: "triangle"}} {
		if _, err := dmp.New(context.Background(), k, o); !fault.Is(err, fault.BadOption) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := dmp.New(ctx, k, dmp.Options{Type: dmp.TypeKernel}); err == nil {
		t.Error("not cancelled")
	}
}
