package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/synth"
)

// resetCPUs makes a core of QEMU look as it does when the guest was reset a
// moment ago: the processors are back in real mode, memory is as it was.
func resetCPUs(t *testing.T, core []byte) []byte {
	t.Helper()
	out := bytes.Clone(core)
	le := binary.LittleEndian
	le.PutUint16(out[0x12:], 3)
	n := 0
	for at := 0; ; n++ {
		i := bytes.Index(out[at:], []byte("\x05\x00\x00\x00\xb8\x01\x00\x00\x00\x00\x00\x00QEMU\x00\x00\x00\x00"))
		if i < 0 {
			break
		}
		at += i + 20
		note := out[at : at+440]
		clear(note[8:])
		le.PutUint64(note[0x88:], 0xfff0)
		le.PutUint64(note[0x90:], 2)
		le.PutUint32(note[0x98:], 0xf000)
		le.PutUint64(note[0xa8:], 0xffff0000)
		le.PutUint64(note[0x188:], 0x60000010)
	}
	if n == 0 {
		t.Fatal("no CPU notes")
	}
	return out
}

// QEMU names the machine by the mode of CPU 0 at that moment. A 64-bit kernel in
// memory is found all the same; only when there is none is it said that the
// guest may be 32-bit.
func TestA64BitGuestThatWasJustReset(t *testing.T) {
	data, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	im, sum, err := Convert(context.Background(), synth.Source(resetCPUs(t, data)), Options{})
	if err != nil || im == nil || sum.Windows == nil || sum.Windows.KernelBase == "" {
		t.Fatalf("%v %q", err, fault.As(err).Remedy())
	}
	empty := resetCPUs(t, data)
	load := binary.LittleEndian.Uint64(empty[0xc0+0x38+8:])
	clear(empty[load : len(empty)-11])
	copy(empty[load:], synth.Noise(3, 1<<20)) // something, so that it is no unfinished copy
	copy(empty[len(empty)-1<<20-11:], synth.Noise(4, 1<<20))
	_, _, err = Convert(context.Background(), synth.Source(empty), Options{})
	if !fault.Is(err, fault.UnsupportedCPU) || !strings.Contains(err.Error(), "32-bit x86, or was in its firmware") {
		t.Fatal(err)
	}
}
