package linux

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/linux/linuxtest"
)

// Offsets in struct pt_regs, as the kernel's headers give them.
const (
	regsBP = 32
	regsIP = 128
	regsCS = 136
	regsSP = 152
)

// orcBytes encodes an entry in the numbering up to 7.1, orcBytesIn in any.
func orcBytes(sp, bp int16, spReg, bpReg orcReg, flags byte) []byte {
	return orcBytesIn(0, sp, bp, spReg, bpReg, flags)
}

func orcBytesIn(numbering int, sp, bp int16, spReg, bpReg orcReg, flags byte) []byte {
	p := binary.LittleEndian.AppendUint16(nil, uint16(sp))
	p = binary.LittleEndian.AppendUint16(p, uint16(bp))
	number := func(r orcReg) byte { return byte(max(0, slices.Index(orcNumbers[numbering][:], r))) }
	return append(p, number(spReg)|number(bpReg)<<4, flags)
}

func TestDecodeOrc(t *testing.T) {
	for _, c := range []struct {
		types3 bool
		flags  byte
		spReg  orcReg
		kind   orcKind
		signal bool
		ok     bool
	}{
		{false, 0, orcSP, orcCall, false, true},
		{false, 1, orcSP, orcRegs, true, true},
		{false, 2, orcSP, orcRegsPartial, true, true},
		{false, 4, orcSP, orcEnd, false, true},
		{false, 0, orcUndefined, orcEnd, false, true},
		{true, 0, orcSP, orcEnd, false, false},
		{true, 1, orcSP, orcEnd, false, true},
		{true, 2, orcSP, orcCall, false, true},
		{true, 3 | 8, orcSP, orcRegs, true, true},
		{true, 4, orcSP, orcRegsPartial, false, true},
		{true, 7, orcSP, orcEnd, false, false},
	} {
		for n := range orcNumbers {
			e, ok := decodeOrc(orcBytesIn(n, -8, 16, c.spReg, orcPrevSP, c.flags), orcFormat{c.types3, &orcNumbers[n]})
			if ok != c.ok || ok && (e.kind != c.kind || e.signal != c.signal || e.spOffset != -8 || e.bpOffset != 16 || e.spReg != c.spReg || e.bpReg != orcPrevSP) {
				t.Errorf("numbering %d, %+v: %+v %v", n, c, e, ok)
			}
		}
	}
	if _, ok := decodeOrc(make([]byte, orcEntrySize-1), orcFormat{false, &orcNumbers[0]}); ok {
		t.Error("five bytes are an entry")
	}
}

// TestUnwindORC walks a stack of two calls and an interrupt, in all formats of
// entries: inner was interrupted in middle, which outer called; outer ends the
// stack.
func TestUnwindORC(t *testing.T) {
	for format := range 4 {
		types3, numbering := format&1 != 0, format>>1
		orcBytes := func(sp, bp int16, spReg, bpReg orcReg, flags byte) []byte {
			return orcBytesIn(numbering, sp, bp, spReg, bpReg, flags)
		}
		call, regs, end := byte(0), byte(1), byte(4)
		if types3 {
			call, regs, end = 2, 3|8, 1
		}
		g := linuxtest.New(linuxtest.Config{Release: "6.4.0", DataSymbols: true})
		code := make([]byte, 32)
		inner := g.Func("inner", code)
		middle := g.Func("middle", code)
		outer := g.Func("outer", code)
		type entry struct {
			at   uint64
			data []byte
		}
		entries := []entry{
			{inner, orcBytes(0, 0, orcSP, orcUndefined, regs)},
			{middle, orcBytes(24, -16, orcSP, orcPrevSP, call)},
			{outer, orcBytes(0, 0, orcUndefined, orcUndefined, end)},
		}
		for i := range 64 { // what the format is told by
			entries = append(entries, entry{outer + 64 + uint64(i), orcBytes(8, 0, orcSP, orcUndefined, call)})
		}
		ip := g.Data("__start_orc_unwind_ip", 4*len(entries))
		orc := g.Data("__start_orc_unwind", 6*len(entries))
		g.Symbol("__stop_orc_unwind_ip", 'r', ip+uint64(4*len(entries)))
		for i, e := range entries {
			at := ip + uint64(4*i)
			g.Poke(at, binary.LittleEndian.AppendUint32(nil, uint32(e.at-at)))
			g.Poke(orc+uint64(6*i), e.data)
		}
		stack := g.Heap(8192)
		task := stack + 4096
		// inner's stack: the interrupted code's registers.
		g.Poke64(stack+regsIP, middle+4)
		g.Poke64(stack+regsCS, 0x10)
		g.Poke64(stack+regsSP, task)
		g.Poke64(stack+regsBP, 0x1234)
		// middle's: two words of its own, the first of which is the saved frame
		// pointer, and the return address.
		g.Poke64(task+8, 0x5678)
		g.Poke64(task+16, outer+8)
		g.CPU(cpu.Values{cpu.RIP: inner + 4, cpu.RSP: stack})
		k, err := Locate(context.Background(), g.Machine(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := k.Unwind(0)
		want := []Frame{
			{Addr: inner + 4, SP: stack, End: stack, Exact: true},
			{Addr: middle + 4, SP: task, End: task + 24, Exact: true, Regs: stack},
			{Addr: outer + 8, SP: task + 24, End: task + 24},
		}
		if len(got) != len(want) {
			t.Fatalf("types3 %v, numbering %d: %d frames: %+v", types3, numbering, len(got), got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("types3 %v, numbering %d: frame %d is %+v, want %+v", types3, numbering, i, got[i], want[i])
			}
		}
	}
}

// TestUnwindFP walks frame pointers: code stopped before its frame, an encoded
// pointer to registers, and a chain that leads back to itself.
func TestUnwindFP(t *testing.T) {
	body := append([]byte{0x55, 0x31, 0xc0, 0x48, 0x89, 0xe5}, make([]byte, 28)...) // push, xor %eax,%eax, mov
	for _, loop := range []bool{false, true} {
		g := linuxtest.New(linuxtest.Config{Release: "6.1.0", DataSymbols: true})
		leaf := g.Func("leaf", body)
		a := g.Func("a", body)
		entry := g.Func("entry", body)
		b := g.Func("b", body)
		s := g.Heap(8192)
		g.Poke64(s, a+8)                // leaf's return address, its frame not set up
		g.Poke64(s+0x40, (s+0x200)|1)   // a's frame: the caller's is encoded
		g.Poke64(s+0x48, entry+8)       // its return address
		g.Poke64(s+0x200+regsIP, b+0xa) // entry's registers
		g.Poke64(s+0x200+regsCS, 0x10)
		g.Poke64(s+0x200+regsSP, s+0x400)
		g.Poke64(s+0x200+regsBP, s+0x440)
		g.Poke64(s+0x440, 0)
		g.Poke64(s+0x448, leaf+0x10)
		if loop {
			g.Poke64(s+0x440, s+0x480)
			g.Poke64(s+0x480, s+0x440)
			g.Poke64(s+0x488, leaf+0x10)
		}
		g.CPU(cpu.Values{cpu.RIP: leaf, cpu.RSP: s, cpu.RBP: s + 0x40})
		k, err := Locate(context.Background(), g.Machine(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := k.Unwind(0)
		if loop {
			if len(got) != MaxFrames {
				t.Errorf("a loop gives %d frames", len(got))
			}
			continue
		}
		var addrs []uint64
		for _, f := range got {
			addrs = append(addrs, f.Addr)
		}
		want := []uint64{leaf, a + 8, entry + 8, b + 0xa, leaf + 0x10}
		if len(addrs) != len(want) {
			t.Fatalf("frames %#x, want %#x", addrs, want)
		}
		for i := range want {
			if addrs[i] != want[i] {
				t.Errorf("frame %d at %#x, want %#x", i, addrs[i], want[i])
			}
		}
		if got[3].Regs != s+0x200 || got[3].SP != s+0x400 {
			t.Errorf("interrupted frame %+v", got[3])
		}
	}
}

func TestPrologue(t *testing.T) {
	for _, c := range []struct {
		code       []byte
		push, move int
		ok         bool
	}{
		{[]byte{0x55, 0x48, 0x89, 0xe5}, 0, 1, true},
		{[]byte{0x55, 0x31, 0xc0, 0x48, 0x89, 0xe5}, 0, 3, true},
		{[]byte{0xf3, 0x0f, 0x1e, 0xfa, 0x0f, 0x1f, 0x44, 0, 0, 0x55, 0x48, 0x89, 0xe5}, 9, 10, true},
		{[]byte{0xe8, 1, 2, 3, 4, 0x55, 0x48, 0x89, 0xe5}, 5, 6, true},
		{[]byte{0x90, 0x55, 0x48, 0x89, 0xe5}, 0, 0, false},
		{[]byte{0x55, 0x90}, 0, 0, false},
		{nil, 0, 0, false},
	} {
		push, move, ok := prologue(c.code)
		if ok != c.ok || ok && (push != c.push || move != c.move) {
			t.Errorf("% x: %d %d %v", c.code, push, move, ok)
		}
	}
}
