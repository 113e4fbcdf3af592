package windows_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/windows"
)

// TestContextPlaces: where winnt.h has the fields of CONTEXT and of the
// XMM_SAVE_AREA32 in it, and what public listings say of KSPECIAL_REGISTERS.
func TestContextPlaces(t *testing.T) {
	type place struct {
		r     cpu.Reg
		off   uint16
		bytes uint8
	}
	check := func(name string, l *cpu.Layout, size int, places []place) {
		t.Helper()
		if l.Bytes != size {
			t.Errorf("%s has %#x bytes", name, l.Bytes)
		}
		for _, p := range places {
			f, ok := l.Place(p.r)
			if !ok || f.Off != p.off || f.Bytes != p.bytes {
				t.Errorf("%s: %s at %#x, %d bytes; want %#x, %d", name, cpu.X64.RegName(p.r), f.Off, f.Bytes, p.off, p.bytes)
			}
		}
		for i, f := range l.Fields {
			if end := int(f.Off) + int(f.Bytes); end > size {
				t.Errorf("%s: %s ends at %#x", name, cpu.X64.RegName(f.Reg), end)
			}
			for _, g := range l.Fields[:i] {
				if f.Off < g.Off+uint16(g.Bytes) && g.Off < f.Off+uint16(f.Bytes) {
					t.Errorf("%s: %s lies over %s", name, cpu.X64.RegName(f.Reg), cpu.X64.RegName(g.Reg))
				}
			}
		}
	}
	check("CONTEXT", &windows.Context, 0x4d0, []place{{cpu.MXCSR, 0x34, 4}, {cpu.CS, 0x38, 2}, {cpu.SS, 0x42, 2}, {cpu.RFLAGS, 0x44, 4},
		{cpu.DR0, 0x48, 8}, {cpu.DR6, 0x68, 8}, {cpu.DR7, 0x70, 8}, {cpu.RAX, 0x78, 8}, {cpu.RSP, 0x98, 8}, {cpu.RDI, 0xb0, 8}, {cpu.R15, 0xf0, 8}, {cpu.RIP, 0xf8, 8},
		{cpu.FCW, 0x100, 2}, {cpu.FSW, 0x102, 2}, {cpu.FTW, 0x104, 1}, {cpu.ST0, 0x120, 8}, {cpu.ST0 + 15, 0x198, 2}, {cpu.XMM0, 0x1a0, 8}, {cpu.XMM0 + 31, 0x298, 8}})
	check("KSPECIAL_REGISTERS", &windows.Special, 0x78, []place{{cpu.CR0, 0, 8}, {cpu.CR3, 0x10, 8}, {cpu.CR4, 0x18, 8}, {cpu.DR0, 0x20, 8}, {cpu.DR7, 0x48, 8},
		{cpu.GDTLimit, 0x56, 2}, {cpu.GDTBase, 0x58, 8}, {cpu.IDTLimit, 0x66, 2}, {cpu.IDTBase, 0x68, 8}, {cpu.TR, 0x70, 2}, {cpu.LDT, 0x72, 2}, {cpu.MXCSR, 0x74, 4}})
}

func TestRecordOf(t *testing.T) {
	s := cpu.Of(cpu.X64, cpu.Values{cpu.RIP: 0xfffff80012345678, cpu.RSP: 0xffffb10012345670, cpu.RCX: 1, cpu.RDX: 2, cpu.R8: 3, cpu.R9: 4, cpu.CR3: 5})
	p := make([]byte, windows.Context.Bytes)
	windows.Context.Store(s, p)
	for _, c := range []struct {
		flags        uint32
		valid, whole bool
	}{
		{0x100007, true, true}, {0x10001f, true, true}, {0x100001, true, false}, {0x100002, false, false}, {0x10007, false, false}, {0, false, false},
	} {
		binary.LittleEndian.PutUint32(p[0x30:], c.flags)
		r := windows.RecordOf(p)
		if r.Valid() != c.valid || r.Whole() != c.whole || r.PC != s.PC() || r.SP != s.SP() || r.Args != [4]uint64{1, 2, 3, 4} || r.State.Known(cpu.CR3) {
			t.Errorf("flags %#x: %+v", c.flags, r)
		}
	}
	binary.LittleEndian.PutUint32(p[0x30:], 0x100007)
	for _, r := range []cpu.Reg{cpu.RIP, cpu.RSP} {
		damaged := bytes.Clone(p)
		windows.Context.Store(cpu.Of(cpu.X64, cpu.Values{r: 1 << 60}), damaged)
		if windows.RecordOf(damaged).Valid() {
			t.Errorf("%s is no address", cpu.X64.RegName(r))
		}
		windows.Context.Store(cpu.Of(cpu.X64, cpu.Values{r: 0}), damaged)
		if r := windows.RecordOf(damaged); r.Valid() || r.Whole() {
			t.Errorf("no address: %+v", r)
		}
	}
	if r := windows.RecordOf(p[:0x4cf]); r != nil || r.Valid() || r.Whole() {
		t.Error("a record that ends early was taken")
	}
}
