package dmp

import (
	"bytes"
	"testing"

	"coredrop/core/cpu"
)

// TestContextsClaimWhatIsKnown: a saved state knows more than a core does, and the
// record has it; of what is not known it claims nothing.
func TestContextsClaimWhatIsKnown(t *testing.T) {
	core := state(0)
	u16 := func(p []byte, at int) uint64 { return uint64(le.Uint16(p[at:])) }
	u32 := func(p []byte, at int) uint64 { return uint64(le.Uint32(p[at:])) }
	u64 := func(p []byte, at int) uint64 { return le.Uint64(p[at:]) }

	p := contextRecord(core)
	if len(p) != 0x4d0 || u32(p, 0x30) != 0x100007 || u32(p, 0x34) != 0x1f80 || u32(p, 0x118) != 0x1f80 || u64(p, 0xf8) != core.PC() || u64(p, 0x98) != core.SP() {
		t.Errorf("of a core: %x", p[:0x120])
	}
	// Behind the integers there is nothing but that MXCSR.
	rest := bytes.Clone(p[0x100:])
	copy(rest[0x18:], make([]byte, 4))
	if !bytes.Equal(rest, make([]byte, len(rest))) || !bytes.Equal(p[0x48:0x78], make([]byte, 0x30)) {
		t.Errorf("of a core: %x", p)
	}

	saved := *core
	saved.SetAll(cpu.Values{cpu.MXCSR: 0x1fa0, cpu.FCW: 0x27f, cpu.FSW: 0x3800, cpu.FTW: 0x80, cpu.DR0: 7, cpu.DR7: 0x401,
		cpu.ST0: 1 << 63, cpu.ST0 + 1: 0x3fff})
	for i := range cpu.Reg(32) {
		saved.Set(cpu.XMM0+i, uint64(i)+1)
	}
	p = contextRecord(&saved)
	if u32(p, 0x30) != 0x10001f || u32(p, 0x34) != 0x1fa0 || u32(p, 0x118) != 0x1fa0 || u16(p, 0x100) != 0x27f || u16(p, 0x102) != 0x3800 || p[0x104] != 0x80 ||
		u64(p, 0x48) != 7 || u64(p, 0x70) != 0x401 || u64(p, 0x120) != 1<<63 || u16(p, 0x128) != 0x3fff || u64(p, 0x1a0) != 1 || u64(p, 0x1a8) != 2 || u64(p, 0x298) != 32 {
		t.Errorf("of a saved state: %x", p)
	}
	for name, r := range map[string]cpu.Reg{"floating": cpu.FCW, "sse": cpu.XMM0} {
		half := saved
		half.Forget(r)
		if flags := u32(contextRecord(&half), 0x30); flags != 0x100017 {
			t.Errorf("%s not known: flags %#x", name, flags)
		}
	}

	p = minimalRecord(1, 2)
	if u32(p, 0x30) != 0x100005 || u64(p, 0xf8) != 1 || u64(p, 0x98) != 2 || u16(p, 0x38) != 0x10 || u16(p, 0x3e) != 0x53 || u16(p, 0x42) != 0x18 || u64(p, 0x78) != 0 {
		t.Errorf("minimal: %x", p[:0x100])
	}
}
