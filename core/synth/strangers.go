package synth

import (
	"bytes"

	"coredrop/core/cpu"
	"coredrop/core/mem"
)

// identityBytes is how much memory firmware maps one to one.
const identityBytes = 1 << 32

// strangerState makes the registers of a CPU that is not in Windows, though the
// guest has a processor for it. The hypervisor leaves Windows' KERNEL_GS_BASE in
// place, which holds the control region's address while Windows runs user mode.
func (g *Editor) strangerState(s *cpu.State, mode Mode, p int) {
	g.general(s)
	switch mode {
	case Management:
		resetState(s)
		s.SetAll(cpu.Values{cpu.RIP: 0x8012, cpu.CR0: 0x60000010})
		s.SetSegment(cpu.CS, cpu.Segment{Selector: 0x7fb0, Limit: 0xffffffff, Flags: 0x8f9300, Base: 0x7fb00000})
		return
	case Firmware:
		t := g.other("firmware", func(t *tables) {
			for at := uint64(0); at < identityBytes; at += 2 << 20 {
				t.set(at, 2, at|ptePresent|pteWrite|pteUsed|pteLarge)
			}
		})
		s.SetAll(cpu.Values{cpu.CR3: uint64(t.root), cpu.RIP: 0x7eb12345, cpu.RSP: 0x7ec00ff0})
		s.SetSegment(cpu.GDT, cpu.Segment{Limit: 0x47, Base: 0x7ec10000})
		s.SetSegment(cpu.IDT, cpu.Segment{Limit: 0xfff, Base: 0x7ec11000})
		return
	case Secure:
		t := g.other(InVTL1, func(t *tables) {
			g.otherImage(t, secureAt, "securekernel.exe")
			k := make(image, mem.PageSize)
			copy(k, g.Read(sharedAt, mem.PageSize))
			g.otherPage(t, sharedAt, k)
			t.selfMap()
		})
		s.SetAll(cpu.Values{cpu.CR3: uint64(t.root), cpu.RIP: secureAt + rvaText + 0x234, cpu.RSP: secureAt + rvaData + 0xff0, cpu.GSBase: secureAt + 0x40000, cpu.KernelGSBase: 0})
		s.SetSegment(cpu.GDT, cpu.Segment{Limit: 0x57, Base: secureAt + rvaData})
		s.SetSegment(cpu.IDT, cpu.Segment{Limit: 0xfff, Base: secureAt + rvaData + 0x1000})
		return
	}
	t := g.other(InHypervisor, func(t *tables) { g.otherImage(t, hypervisorAt, "hvix64.exe") })
	s.SetAll(cpu.Values{cpu.CR3: uint64(t.root), cpu.RIP: hypervisorAt + rvaText + 0x123, cpu.RSP: hypervisorAt + rvaData + 0xff0,
		cpu.GSBase: 0, cpu.KernelGSBase: g.Truth.KPCR[p], cpu.RFLAGS: 2})
	s.SetSegment(cpu.GDT, cpu.Segment{Limit: 0x57, Base: hypervisorAt + rvaData})
	s.SetSegment(cpu.IDT, cpu.Segment{Limit: 0xfff, Base: hypervisorAt + rvaData + 0x1000})
}

// other gives the tables of something beside Windows, made once.
func (g *Editor) other(name string, fill func(*tables)) *tables {
	if g.others == nil {
		g.others = map[string]*tables{}
	}
	t, ok := g.others[name]
	if !ok {
		t = g.newTables()
		fill(t)
		g.others[name] = t
	}
	return t
}

// Kinds of code beside Windows, for UnmapOther.
const (
	InHypervisor = "hypervisor"
	InVTL1       = "secure"
)

// UnmapOther takes away a page of what is beside Windows.
func (g *Editor) UnmapOther(kind string, va uint64) { g.others[kind].set(va, 1, 0) }

// OtherBase is where its image is.
func OtherBase(kind string) uint64 {
	return map[string]uint64{InHypervisor: hypervisorAt, InVTL1: secureAt}[kind]
}

// otherPage maps a page in tables that are not Windows'.
func (g *Editor) otherPage(t *tables, va uint64, p []byte) {
	pa := g.ram.alloc(1, mem.PageSize)
	g.WritePhysical(pa, p)
	t.set(va, 1, uint64(pa)|kernelPage)
}

// otherImage maps an image in tables that are not Windows', with an interrupt
// table in its data whose gates lead into it.
func (g *Editor) otherImage(t *tables, base uint64, name string) {
	b := peImage([]DebugEntry{{Type: 2, Data: RSDS([16]byte{7}, 1, name[:len(name)-4]+".pdb")}}, name)
	b.u64(0x80+0x30, base)
	b.text(bytes.Index(b, []byte("POOLCODE")), "PAGE\x00\x00\x00\x00") // only ntoskrnl has that section
	for v := range 32 {
		handler := base + rvaText + uint64(v)*0x40
		at := rvaData + 0x1000 + 16*v
		b.u16(at, uint16(handler))
		b.u16(at+2, 0x10)
		b.u16(at+4, 0x8e00)
		b.u16(at+6, uint16(handler>>16))
		b.u32(at+8, uint32(handler>>32))
	}
	for off := 0; off < len(b); off += mem.PageSize {
		g.otherPage(t, base+uint64(off), b[off:min(off+mem.PageSize, len(b))])
	}
}
