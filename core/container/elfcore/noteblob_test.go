package elfcore_test

import (
	"context"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// TestTheNotesTellTheProcessor: statuses of each processor have a length of their
// own, which is believed before what the container says.
func TestTheNotesTellTheProcessor(t *testing.T) {
	for _, c := range []struct {
		bytes int
		given *cpu.Arch
		want  *cpu.Arch
		pc    uint64 // as it is read
	}{
		{336, nil, cpu.X64, 0x0807060504030201}, {336, cpu.X86, cpu.X64, 0x0807060504030201},
		{144, nil, cpu.X86, 0x04030201}, {144, cpu.X64, cpu.X86, 0x04030201},
		{392, nil, cpu.ARM64, 0x0807060504030201}, {392, cpu.X64, cpu.ARM64, 0x0807060504030201},
		{400, nil, cpu.X64, 0x0807060504030201}, {400, cpu.ARM64, cpu.ARM64, 0x0807060504030201}, // of no known length: what the container says
	} {
		desc := make([]byte, c.bytes)
		switch c.want {
		case cpu.X64:
			copy(desc[112+16*8:], "\x01\x02\x03\x04\x05\x06\x07\x08") // rip
		case cpu.X86:
			copy(desc[72+12*4:], "\x01\x02\x03\x04\xff") // eip
		case cpu.ARM64:
			copy(desc[112+32*8:], "\x01\x02\x03\x04\x05\x06\x07\x08") // pc
		}
		s := synth.Source(synth.Note("CORE", 1, desc))
		n, err := elfcore.ReadNotes(context.Background(), s, source.Range{Bytes: s.Size}, c.given)
		if err != nil || n.Arch != c.want || len(n.CPUs) != 1 || n.CPUs[0].State == nil {
			t.Errorf("%d bytes, %s: %+v %v", c.bytes, c.given, n, err)
			continue
		}
		if x := n.CPUs[0].State; x.PC() != c.pc || x.System() {
			t.Errorf("%d bytes, %s: %#x", c.bytes, c.given, x.PC())
		}
	}
}
