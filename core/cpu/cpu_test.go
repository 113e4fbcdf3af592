package cpu

import (
	"bytes"
	"testing"
)

var archs = []*Arch{X64, X86, ARM64}

// TestEveryRegisterIsNamedOnce: no two numbers share a name, no series of numbers
// reaches into another or beyond the bank.
func TestEveryRegisterIsNamedOnce(t *testing.T) {
	for _, a := range archs {
		by := map[string]Reg{}
		for r := a.bank; a.Has(r); r++ {
			names := 0
			for _, list := range a.names {
				for i := 0; list != nil && i < len(*list); i++ {
					if (*list)[i].name(r) != "" {
						names++
					}
				}
			}
			name := a.RegName(r)
			if names > 1 {
				t.Errorf("%s: %d series name register %d", a.Name, names, r.index())
			}
			if before, twice := by[name]; twice && name != "" {
				t.Errorf("%s: %q is the name of %d and of %d", a.Name, name, before.index(), r.index())
			}
			by[name] = r
		}
		for _, r := range append([]Reg{a.PC, a.SP, a.Flags, a.Root, a.Kernel.Reg, a.Paging.Reg}, a.Listed...) {
			if a.RegName(r) == "" {
				t.Errorf("%s: register %d has no name", a.Name, r.index())
			}
		}
	}
	for _, c := range []struct {
		a    *Arch
		r    Reg
		name string
	}{
		{X64, RAX, "rax"}, {X64, RSP, "rsp"}, {X64, R15, "r15"}, {X64, RIP, "rip"}, {X64, RFLAGS, "rflags"}, {X86, RAX, "eax"}, {X86, RDI, "edi"}, {X86, R8, ""}, {X86, RIP, "eip"},
		{X64, CR0, "cr0"}, {X64, CR8, "cr8"}, {X64, DR7, "dr7"}, {X64, KernelGSBase, "kernel_gs_base"}, {X64, SysenterEIP, "sysenter_eip"}, {X64, MXCSR, "mxcsr"},
		{X64, ES, "es"}, {X64, GS, "gs"}, {X64, GSBase, "gs_base"}, {X64, TR + partLimit, "tr_limit"}, {X64, TR + partFlags, "tr_flags"},
		{X64, GDTBase, "gdtr"}, {X64, IDTBase, "idtr"}, {X64, IDT + partLimit, "idtr_limit"},
		{X64, ST0 + 15, "st7_high"}, {X64, XMM0, "xmm0"}, {X64, XMM0 + 31, "xmm15_high"}, {X64, XMM0 + 32, ""},
		{ARM64, X30, "x30"}, {ARM64, ArmSP, "sp"}, {ARM64, ArmPC, "pc"}, {ARM64, TTBR1, "ttbr1_el1"}, {ARM64, TPIDR, "tpidr_el1"}, {ARM64, FPSR, "fpsr"},
		{ARM64, V0 + 63, "v31_high"}, {ARM64, BCR0 + 7, "bcr7"}, {ARM64, WCR0 + 1, "wcr1"}, {ARM64, WCR0 + 2, ""}, {ARM64, RAX, ""}, {nil, RAX, ""},
	} {
		if got := c.a.RegName(c.r); got != c.name {
			t.Errorf("%s %#x: %q, want %q", c.a, c.r, got, c.name)
		}
	}
	if n := WCR0 + watchpoints - bankARM; n > maxRegisters {
		t.Errorf("ARM64 has %d numbers of %d", n, maxRegisters)
	}
	if n := XMM0 + 2*sseCount - bankX86; n > maxRegisters {
		t.Errorf("x86-64 has %d numbers of %d", n, maxRegisters)
	}
	if len(General) != 16 || General[15] != R15 || R15 != RAX+15 {
		t.Error("the general registers are not in the order of their encoding")
	}
}

func TestAStateKnowsWhatItWasTold(t *testing.T) {
	s := New(X64)
	if s.Known(RAX) || s.Get(RAX) != 0 || s.System() || *s != *Of(X64, nil) {
		t.Error("a new state knows something")
	}
	s.Set(RAX, 7)
	s.Set(RBX, 0)
	copied := *s
	copied.Set(RAX, 8)
	if s.Get(RAX) != 7 || copied.Get(RAX) != 8 || !s.Known(RBX) || *s == copied {
		t.Error("a copy is not a state of its own")
	}
	if s.Get(X0) != 0 { // it has RAX's place in another bank
		t.Error("a state gave a register of another architecture")
	}
	s.Forget(RAX, X0)
	if s.Known(RAX) || s.Get(RAX) != 0 || *s != *Of(X64, Values{RBX: 0}) {
		t.Error("a forgotten register is still there")
	}
	// The registers of another processor are neither kept nor taken for its own.
	s.Set(X0, 1)
	if s.Known(X0) || s.Get(X0) != 0 || s.Known(None) || s.Known(RAX) {
		t.Error("a state took a register of another architecture")
	}
	if none := (&State{}); none.Known(RAX) || none.Get(None) != 0 {
		t.Error("a state of no architecture knows something")
	}
}

func TestModesOfExecution(t *testing.T) {
	for _, c := range []struct {
		name                   string
		s                      *State
		kernel, paging, system bool
	}{
		{"kernel", Of(X64, Values{CS: 0x10, CR0: 0x80050033, CR3: 0}), true, true, true},
		{"user", Of(X64, Values{CS: 0x33, CR0: 0x80050033}), false, true, false},
		{"reset", Of(X64, Values{CS: 0xf000, CR0: 0x60000010, CR3: 0}), true, false, true},
		{"32 bits, user", Of(X86, Values{CS: 0x1b, CR0: 0x80050033, CR3: 1}), false, true, true},
		{"EL1", Of(ARM64, Values{PSTATE: 0x3c5, SCTLR: 0x30d0198d, TTBR1: 1}), true, true, true},
		{"EL0", Of(ARM64, Values{PSTATE: 0, SCTLR: 1}), false, true, false},
		{"EL2", Of(ARM64, Values{PSTATE: 0x3c9}), false, false, false},
	} {
		if c.s.Kernel() != c.kernel || c.s.Paging() != c.paging || c.s.System() != c.system {
			t.Errorf("%s: kernel %v, paging %v, system %v", c.name, c.s.Kernel(), c.s.Paging(), c.s.System())
		}
	}
	s := Of(X64, Values{RIP: 1, RSP: 2, CR3: 3})
	if s.PC() != 1 || s.SP() != 2 || s.Root() != 3 {
		t.Error(s.PC(), s.SP(), s.Root())
	}
	a := Of(ARM64, Values{ArmPC: 1, ArmSP: 2, TTBR1: 3, TTBR0: 4})
	if a.PC() != 1 || a.SP() != 2 || a.Root() != 3 {
		t.Error(a.PC(), a.SP(), a.Root())
	}
}

func TestSegments(t *testing.T) {
	s := New(X64)
	want := Segment{Selector: 0x33, Limit: 0xffffffff, Flags: 0x20fb00, Base: 1 << 40}
	s.SetSegment(GS, want)
	if s.Segment(GS) != want || s.Get(GS) != 0x33 || s.Get(GSBase) != 1<<40 || s.Known(FS) || s.Known(LDT) {
		t.Errorf("%+v", s.Segment(GS))
	}
}

// record has a register of each width, one in two places, and one of two parts.
var record = Layout{Bytes: 0x40, Fields: append(append(At(0x00, 8, RAX, None, RCX), Field{RFLAGS, 0x18, 4}, Field{CS, 0x1c, 2}, Field{FTW, 0x1e, 1}, Field{CS, 0x20, 2}),
	append(Each(0x22, 12, []Field{{0, 0, 8}, {1, 8, 2}}, Range(ST0, 2, 2)...), At(0x3a, 2, DS, ES)...)...)}

func TestLayoutsLoadWhatTheyStore(t *testing.T) {
	for _, big := range []bool{false, true} {
		l := record
		l.BigEndian = big
		s := Of(X64, Values{RAX: 0x1122334455667788, RCX: 1, RFLAGS: 0x246, CS: 0x10, FTW: 0xff, ST0: 1 << 63, ST0 + 1: 0x3fff, ST0 + 2: 5, ST0 + 3: 6, DS: 0x2b, ES: 0x2c})
		p := make([]byte, l.Bytes)
		l.Store(s, p)
		got := New(X64)
		l.Load(got, p)
		if *got != *s {
			t.Errorf("big-endian %v: %x", big, p)
		}
		first := []byte{0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}
		flags := []byte{0x46, 2, 0, 0}
		if big {
			first, flags = []byte{0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88}, []byte{0, 0, 2, 0x46}
		}
		if !bytes.Equal(p[:8], first) || !bytes.Equal(p[0x18:0x1c], flags) || p[0x1e] != 0xff {
			t.Errorf("big-endian %v: %x", big, p)
		}
		if !bytes.Equal(p[0x1c:0x1e], p[0x20:0x22]) || p[0x1c]|p[0x1d] != 0x10 {
			t.Errorf("a register that stands in two places: %x", p)
		}
		if p[8]|p[15] != 0 {
			t.Errorf("the gap was written: %x", p)
		}
	}
}

// What a state does not know is not stored, what a record does not hold is not
// loaded: neither becomes zero.
func TestWhatIsNotThereStays(t *testing.T) {
	p := bytes.Repeat([]byte{0xee}, record.Bytes)
	record.Store(Of(X64, Values{RCX: 0}), p)
	want := bytes.Repeat([]byte{0xee}, record.Bytes)
	copy(want[0x10:], make([]byte, 8))
	if !bytes.Equal(p, want) {
		t.Errorf("%x", p)
	}
	for n := range record.Bytes + 1 {
		s := New(X64)
		record.Load(s, want[:n])
		for _, f := range record.Fields {
			whole := int(f.Off)+int(f.Bytes) <= n
			if s.Known(f.Reg) != whole && f.Reg != CS {
				t.Errorf("%d bytes: register %#x known %v", n, f.Reg, s.Known(f.Reg))
			}
		}
		short := want[:n:n]
		record.Store(s, short) // and nothing behind the end is written
	}
	s := Of(X64, Values{RAX: 1, RDX: 2})
	record.Load(s, want[:16])
	if s.Get(RAX) != 0xeeeeeeeeeeeeeeee || s.Get(RDX) != 2 || s.Known(RCX) {
		t.Error("a register that the record does not have changed")
	}
	// A record of one processor is nothing to another.
	arm := New(ARM64)
	if record.Load(arm, p); *arm != *New(ARM64) {
		t.Error("ARM64 took registers of x86")
	}
}

func TestSegmentLayout(t *testing.T) {
	l := Layout{Bytes: 40, Fields: Segments(4, 18, SegmentParts{Selector: Field{Off: 0, Bytes: 4}, Base: Field{Off: 4, Bytes: 8}, Limit: Field{Off: 12, Bytes: 4}}, ES, CS)}
	s := New(X64)
	s.SetSegment(ES, Segment{1, 2, 3, 4})
	s.SetSegment(CS, Segment{5, 6, 7, 8})
	p := make([]byte, l.Bytes)
	l.Store(s, p)
	got := New(X64)
	l.Load(got, p)
	if e, c := got.Segment(ES), got.Segment(CS); e != (Segment{1, 2, 0, 4}) || c != (Segment{5, 6, 0, 8}) || got.Known(ES+partFlags) || p[4] != 1 || p[22] != 5 {
		t.Errorf("%+v %+v %x", e, c, p)
	}
}
