package dmp_test

import (
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/server/corpustest"
)

// difference is a stretch in which our dump and QEMU's of one guest differ, and
// why. Addresses are offsets in the header, or in a structure in memory.
type difference struct {
	from, to int
	why      string
}

// qemuHeader explains the header of QEMU's dump-guest-memory -w: the guest's
// driver made it when it started, with zeros where a crash leaves the fill.
var qemuHeader = []difference{
	{0x3c, 0x40, "padding: fill"},
	{0x60, 0x80, "VersionUser: fill"},
	{0x80, 0x88, "KdDebuggerDataBlock: QEMU's is the driver's decoded copy, ours the block itself"},
	{0x90, 0xb8, "the run list: the driver's, as of its start, leaves out what the firmware keeps"},
	{0x348, 0xf00, "the context: QEMU writes none"},
	{0xf00, 0xf98, "the exception: as in a crash"},
	{0xf9c, 0xfa0, "padding: fill"},
	{0xfa0, 0xfa8, "RequiredDumpSpace: more pages"},
	{0xfb0, 0x1030, "Comment: fill"},
	{0x1030, 0x1038, "SystemUpTime: the driver does not know it"},
	{0x1038, 0x1040, "MiniDumpFields, SecondaryDataState: fill"},
	{0x104c, 0x104d, "unused: fill"},
	{0x104e, 0x2000, "unused, Attributes, BootId, reserved: fill"},
}

// qemuContext explains a context record: QEMU knows the debug registers, which
// the CPU notes do not hold, and claims floating point, which it leaves zero.
var qemuContext = []difference{
	{0x30, 0x34, "ContextFlags: ours claims what the note holds"},
	{0x68, 0x78, "Dr6, Dr7"},
}

func explained(list []difference, off int) bool {
	for _, d := range list {
		if off >= d.from && off < d.to {
			return true
		}
	}
	return false
}

// TestAgainstQEMU compares with the dump that QEMU itself wrote of the same
// stopped guest: every byte that differs is explained.
func TestAgainstQEMU(t *testing.T) {
	root := corpustest.Dir(t, "windows")
	dir := filepath.Join(root, "windows", "17-vmcoreinfo")
	core, err := os.ReadFile(corpustest.File(t, filepath.Join(dir, "core.elf.zst")).Name())
	if err != nil {
		t.Fatal(err)
	}
	f := corpustest.File(t, filepath.Join(dir, "qemu-win.dmp.zst"))
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := dmptest.Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	k, _, ours := convert(t, core, nil, dmp.Options{})
	for off := range ours.Header {
		if ours.Header[off] != theirs.Header[off] && !explained(qemuHeader, off) {
			t.Errorf("header %#x: %#x, QEMU's %#x", off, ours.Header[off], theirs.Header[off])
		}
	}
	// Where memory may differ: the block that we show in clear, the flag of its
	// encoding, the context records.
	type place struct {
		name string
		size int
		list []difference
	}
	places := map[uint64]place{uint64(k.KDBG.VA): {"the debugger block", int(k.KDBG.Size), []difference{{0, int(k.KDBG.Size), "in clear"}}}}
	flag, err := k.FindEncodedFlag(t.Context())
	if err != nil || flag == 0 {
		t.Fatal(flag, err)
	}
	places[uint64(flag)] = place{"the flag", 1, []difference{{0, 1, "cleared"}}}
	for _, p := range k.Processors {
		places[uint64(p.Context)] = place{"a context", 0x4d0, qemuContext}
	}
	allowed := map[uint64]bool{} // physical addresses
	for va, p := range places {
		for off := range p.size {
			if explained(p.list, off) {
				pa, err := ours.Translate(va + uint64(off))
				if err != nil {
					t.Fatal(p.name, err)
				}
				allowed[pa] = true
			}
		}
	}
	a, b := make([]byte, 4096), make([]byte, 4096)
	for _, r := range theirs.Runs {
		for i := range r.Count {
			pa := (r.Page + i) * 4096
			if err := theirs.Physical(a, pa); err != nil {
				t.Fatal(err)
			}
			if err := ours.Physical(b, pa); err != nil {
				t.Fatalf("QEMU has the page %#x, we have not: %v", pa, err)
			}
			for off := range a {
				if a[off] != b[off] && !allowed[pa+uint64(off)] {
					t.Fatalf("memory %#x: %#x, QEMU's %#x", pa+uint64(off), b[off], a[off])
				}
			}
		}
	}
}
