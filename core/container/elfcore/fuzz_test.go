package elfcore_test

import (
	"errors"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/synth"
)

// check opens data and holds the result against what every caller relies on.
func check(t *testing.T, data []byte) {
	m, err := open(data)
	if err != nil {
		var f *fault.Error
		if m != nil || !errors.Is(err, machine.ErrNotMine) && !errors.As(err, &f) || fault.Is(err, fault.Internal) {
			t.Fatalf("%v %v", m, err)
		}
		return
	}
	for _, b := range m.ELF.Loads {
		if b.Offset < 0 || b.Bytes == 0 || b.Offset+int64(b.Bytes) > int64(len(data)) || b.End() < b.Start {
			t.Fatalf("block %v in %d bytes", b, len(data))
		}
	}
	extents := m.Mem.Extents()
	for i, e := range extents {
		if i > 0 && extents[i-1].End() > e.Start {
			t.Fatalf("extents overlap: %v", extents)
		}
		p := make([]byte, min(e.Bytes, mem.PageSize))
		if err := m.Mem.ReadAt(p, e.End()-mem.PA(len(p))); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range m.CPUs {
		if c.Index != i || c.State == nil {
			t.Fatalf("CPU %d: %+v", i, c)
		}
	}
	if m.MissingEnd < 0 || m.Arch != cpu.X64 || len(m.ELF.Loads) == 0 {
		t.Fatalf("%+v", m)
	}
}

func FuzzOpen(f *testing.F) {
	small := synth.Load{PA: 0x1000, Data: []byte("sixteen bytes...")}
	for _, e := range []synth.ELF{
		{Loads: []synth.Load{small}, CPUs: cpus(1)},
		{Loads: []synth.Load{small, {PA: 0x1008, Data: small.Data, Share: 1}, {PA: 0x4000, NotInFile: true, MemSize: 8}}, CPUs: cpus(2), NotePosition: 1, Gap: 3},
		{Loads: []synth.Load{small}, CPUs: cpus(1), Extended: true, OldState: true},
		{Loads: []synth.Load{small}, CPUs: cpus(1), HeadersBehind: true, SplitNotes: true, HeaderStride: 60, Truncate: 5},
		{Loads: []synth.Load{{PA: 1<<64 - 20, Data: small.Data}, {PA: 1, Data: small.Data, FileSize: 1 << 60}}, Guest: []machine.Note{{Name: "VMCOREINFO", Desc: []byte("a=b")}}},
	} {
		f.Add(synth.WriteELF(e))
	}
	f.Add([]byte("\x7fELF"))
	f.Fuzz(check)
}

// FuzzNotes puts the input where a valid core has its notes.
func FuzzNotes(f *testing.F) {
	f.Add(records(cpus(2)))
	f.Add(join(records(cpus(1)), synth.Note("VMCOREINFO", 0, []byte("OSRELEASE=6.1\n"))))
	f.Add(synth.Note("QEMU", 0, make([]byte, 0x1b0)))
	f.Add(synth.Note("VBCORE", 0xb00, make([]byte, 24)))
	f.Add([]byte{5, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 'Q', 'E', 'M', 'U', 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if raw == nil {
			raw = []byte{}
		}
		check(t, synth.WriteELF(synth.ELF{RawNotes: raw, Loads: []synth.Load{{PA: 0x1000, Data: []byte("memory")}}}))
	})
}
