package unwind_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/pe"
	"coredrop/core/windows/unwind"
)

// made is an image made by hand, with a stack: what the vectors have no state
// for.
type made struct {
	code      map[uint32][]byte
	functions []pe.Function
	info      map[uint32][]byte
	stack     map[uint64]uint64
	rw        [2]uint32 // what is not code of [0x1000, 0x3000); zero: all is
	regs      map[unwind.Register]uint64
	known     uint16
}

const (
	madeBase  = 0xfffff80000000000
	madeSize  = 0x8000
	madeTable = 0x4000
	madeStack = 0xffff900000001000
	madeBytes = 0x4000
)

func (m made) walk(rip uint32, guess bool) *unwind.Stack {
	le := binary.LittleEndian
	img, stack := make([]byte, madeSize), make([]byte, madeBytes)
	for at, b := range m.code {
		copy(img[at:], b)
	}
	for at, b := range m.info {
		copy(img[at:], b)
	}
	for i, f := range m.functions {
		le.PutUint32(img[madeTable+12*i:], f.Begin)
		le.PutUint32(img[madeTable+12*i+4:], f.End)
		le.PutUint32(img[madeTable+12*i+8:], f.Unwind)
	}
	for at, v := range m.stack {
		le.PutUint64(stack[at-madeStack:], v)
	}
	memory := pieces{{madeBase, img}, {madeStack, stack}}
	table, err := pe.FunctionsAt(memory, madeBase, madeSize, madeTable, uint32(12*len(m.functions)))
	only := &unwind.Image{Base: madeBase, Size: madeSize, Functions: table, Why: err, Executable: func(rva uint32) bool {
		return rva >= 0x1000 && rva < 0x3000 && (rva < m.rw[0] || rva >= m.rw[1])
	}}
	w := unwind.Walker{Memory: memory, Guess: guess, At: func(va uint64) *unwind.Image {
		if va-madeBase < madeSize {
			return only
		}
		return nil
	}}
	r := unwind.Full(madeBase+uint64(rip), [16]uint64{})
	r.R[unwind.RSP] = madeStack
	for n, v := range m.regs {
		r.R[n] = v
	}
	if m.known != 0 {
		r.Known = m.known
	}
	return w.Walk(unwind.From{Registers: r})
}

// told words a walk: RVAs and stack pointers, ? for guesses, and its end.
func told(s *unwind.Stack) string {
	var b strings.Builder
	for _, f := range s.Frames {
		fmt.Fprintf(&b, "%x@%x", f.RIP-madeBase, f.SP()-madeStack)
		b.WriteString([]string{"", "?", "??"}[f.Trust])
		b.WriteString(" ")
	}
	return b.String() + string(s.End.Code)
}

// record makes unwind information of version 1 or 2.
func record(version, flags, prolog, frame byte, slots []byte, chain ...uint32) []byte {
	b := append([]byte{version | flags<<3, prolog, byte(len(slots) / 2), frame}, slots...)
	if len(slots)/2%2 != 0 {
		b = append(b, 0, 0)
	}
	for _, v := range chain {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

const code = madeBase // to write addresses of the image

func TestRules(t *testing.T) {
	const sp = madeStack
	alloc28 := record(1, 0, 4, 0, []byte{4, 0x42})
	caller := pe.Function{Begin: 0x2000, End: 0x2100, Unwind: 0x5000}
	plain := map[uint32][]byte{0x5000: alloc28}
	with := func(more map[uint32][]byte) map[uint32][]byte {
		for k, v := range plain {
			more[k] = v
		}
		return more
	}
	for _, c := range []struct {
		name  string
		rip   uint32
		guess bool
		m     made
		want  string
	}{
		{"a leaf", 0x1800, false, made{functions: []pe.Function{caller}, info: plain,
			stack: map[uint64]uint64{sp: code + 0x2050}}, "1800@0 2050@8 thread-start"},
		{"a return address that nothing covers is no leaf", 0x1800, false, made{functions: []pe.Function{caller}, info: plain,
			stack: map[uint64]uint64{sp: code + 0x1900, sp + 8: code + 0x2050}}, "1800@0 1900@8 no-data"},
		{"an indirect entry's block has no prolog", 0x1001, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1010, Unwind: 0x5101}, caller},
			info:  with(map[uint32][]byte{0x5100: le32(0x1000, 0x1010, 0x5000)}),
			stack: map[uint64]uint64{sp: code + 0x2050, sp + 0x28: code + 0x2060}}, "1001@0 2060@30 thread-start"},
		{"an indirect entry's block has no epilog", 0x1008, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1010, Unwind: 0x5101}, caller},
			code:  map[uint32][]byte{0x1008: {0xc3}},
			info:  with(map[uint32][]byte{0x5100: le32(0x1000, 0x1010, 0x5000)}),
			stack: map[uint64]uint64{sp: code + 0x2050, sp + 0x28: code + 0x2060}}, "1008@0 2060@30 thread-start"},
		// The chained entry's saves are relative to the frame register that the
		// parent set, though its own prolog is not over.
		{"a chained entry's base", 0x1101, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, {Begin: 0x1100, End: 0x1180, Unwind: 0x5140}, caller},
			info: with(map[uint32][]byte{0x5100: record(1, 0, 8, 0x25, []byte{8, 3, 4, 0x42}),
				0x5140: record(1, 4, 8, 0x25, []byte{1, 0x34, 2, 0}, 0x1000, 0x1080, 0x5100)}),
			regs:  map[unwind.Register]uint64{unwind.RBP: sp + 0x120},
			stack: map[uint64]uint64{sp + 0x110: 0x77, sp + 0x128: code + 0x2060, sp + 0x158: 0}}, "1101@0 2060@130 thread-start"},
		{"a chain inside the parent's prolog", 0x1014, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1010, Unwind: 0x5100}, {Begin: 0x1010, End: 0x1080, Unwind: 0x5140}, caller},
			info: with(map[uint32][]byte{0x5100: record(1, 0, 0x20, 0, []byte{0x20, 0x42, 4, 0x30}),
				0x5140: record(1, 4, 0, 0, nil, 0x1000, 0x1010, 0x5100)}),
			stack: map[uint64]uint64{sp: 0x33, sp + 8: code + 0x2060}}, "1014@0 2060@10 thread-start"},
		{"a jump from a chained entry to the function's start leaves it", 0x1110, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, {Begin: 0x1100, End: 0x1180, Unwind: 0x5140}, caller},
			code:  map[uint32][]byte{0x1110: {0xe9, 0xeb, 0xfe, 0xff, 0xff}},
			info:  with(map[uint32][]byte{0x5100: alloc28, 0x5140: record(1, 4, 0, 0, nil, 0x1000, 0x1080, 0x5100)}),
			stack: map[uint64]uint64{sp: code + 0x2060}}, "1110@0 2060@8 thread-start"},
		{"a jump from a chained entry into the function stays in it", 0x1110, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, {Begin: 0x1100, End: 0x1180, Unwind: 0x5140}, caller},
			code:  map[uint32][]byte{0x1110: {0xe9, 0xfb, 0xfe, 0xff, 0xff}},
			info:  with(map[uint32][]byte{0x5100: alloc28, 0x5140: record(1, 4, 0, 0, nil, 0x1000, 0x1080, 0x5100)}),
			stack: map[uint64]uint64{sp: code + 0x2010, sp + 0x28: code + 0x2060}}, "1110@0 2060@30 thread-start"},
		{"an address beyond 57 bits", 0x1010, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, caller},
			info:  with(map[uint32][]byte{0x5100: record(1, 0, 0, 0, []byte{0, 0x0a})}),
			stack: map[uint64]uint64{sp: code + 0x2060, sp + 0x18: 0x1234567890abcde0}}, "1010@0 bad-stack"},
		{"a frame register that is not known", 0x1010, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, caller},
			info: with(map[uint32][]byte{0x5100: record(1, 0, 0, 0x25, []byte{0, 3})}), known: 1 << unwind.RSP}, "1010@0 no-data"},
		{"version 2: behind the pushes a pushed flags register", 0x1070, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1072, Unwind: 0x5100}, caller},
			// pop rbx; pop rcx (flags); ret: the region is 3 bytes and ends the function
			info:  with(map[uint32][]byte{0x5100: record(2, 0, 2, 0, []byte{3, 0x16, 0, 6, 2, 0x30, 1, 2})}),
			stack: map[uint64]uint64{sp: 0x202, sp + 8: code + 0x2060}}, "1070@0 2060@10 thread-start"},
		{"version 2: an interrupt's return", 0x1071, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1072, Unwind: 0x5100}, caller},
			info:  with(map[uint32][]byte{0x5100: record(2, 0, 1, 0, []byte{2, 0x16, 0, 6, 1, 0x30, 0, 0x0a})}),
			stack: map[uint64]uint64{sp: code + 0x2060, sp + 8: 0x10, sp + 0x18: sp + 0x100}}, "1071@0 2060@100 thread-start"},
		{"version 2: the pushes are the parent's", 0x1170, false, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, {Begin: 0x1100, End: 0x1172, Unwind: 0x5140}, caller},
			info: with(map[uint32][]byte{0x5100: record(2, 0, 1, 0, []byte{1, 0x30}),
				0x5140: record(2, 4, 0, 0, []byte{2, 0x16, 0, 6}, 0x1000, 0x1080, 0x5100)}),
			stack: map[uint64]uint64{sp: 0x33, sp + 8: code + 0x2060}}, "1170@0 2060@10 thread-start"},
		{"a guess passes over what no entry covers, and over data", 0x1010, true, made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x7fff0000}, caller, {Begin: 0x2b00, End: 0x2d00, Unwind: 0x5000}},
			code: map[uint32][]byte{0x17fe: {0xff, 0xd0}, 0x2bfe: {0xff, 0xd0}, 0x204e: {0xff, 0xd0}}, info: plain, rw: [2]uint32{0x2b00, 0x3000},
			stack: map[uint64]uint64{sp + 0x10: code + 0x1800, sp + 0x18: code + 0x2c00, sp + 0x20: code + 0x2060, sp + 0x28: code + 0x2050}}, "1010@0 2050@30? thread-start"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := c.m.walk(c.rip, c.guess)
			if got := told(s); got != c.want {
				t.Errorf("%s (%s), want %s", got, s.End.Text, c.want)
			}
		})
	}
}

func le32(v ...uint32) []byte {
	var b []byte
	for _, n := range v {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// TestFallingStack has machine frames that lead down again and again, to stacks
// that were never walked: that is followed a few times.
func TestFallingStack(t *testing.T) {
	m := made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}}, info: map[uint32][]byte{0x5100: record(1, 0, 0, 0, []byte{0, 0x0a})},
		stack: map[uint64]uint64{}, regs: map[unwind.Register]uint64{unwind.RSP: madeStack + 0x3000}}
	for i := range uint64(20) {
		at := uint64(madeStack+0x3000) - i*0x100
		m.stack[at], m.stack[at+0x18] = code+0x1010, at-0x100
	}
	s := m.walk(0x1010, false)
	if s.End.Code != unwind.BadStack || len(s.Frames) != 9 {
		t.Errorf("%d frames, %+v", len(s.Frames), s.End)
	}
}

// TestDeepStack has a recursion without an end.
func TestDeepStack(t *testing.T) {
	m := made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}}, info: map[uint32][]byte{0x5100: record(1, 0, 0, 0, nil)},
		stack: map[uint64]uint64{}}
	for at := uint64(0); at < madeBytes; at += 8 {
		m.stack[madeStack+at] = code + 0x1010
	}
	if s := m.walk(0x1010, false); s.End.Code != unwind.Limit || len(s.Frames) != unwind.MaxFrames {
		t.Errorf("%d frames, %+v", len(s.Frames), s.End)
	}
}

// TestChainedSave has a register that a chained entry saves relative to the
// frame register, which its parent set: the entry's own prolog is not over.
func TestChainedSave(t *testing.T) {
	m := made{functions: []pe.Function{{Begin: 0x1000, End: 0x1080, Unwind: 0x5100}, {Begin: 0x1100, End: 0x1180, Unwind: 0x5140}, {Begin: 0x2000, End: 0x2100, Unwind: 0x5000}},
		info: map[uint32][]byte{0x5000: record(1, 0, 0, 0, nil), 0x5100: record(1, 0, 8, 0x25, []byte{8, 3, 4, 0x42}),
			0x5140: record(1, 4, 8, 0x25, []byte{1, 0x34, 2, 0}, 0x1000, 0x1080, 0x5100)},
		regs:  map[unwind.Register]uint64{unwind.RBP: madeStack + 0x120},
		stack: map[uint64]uint64{madeStack + 0x110: 0x77, madeStack + 0x128: code + 0x2060}}
	s := m.walk(0x1101, false)
	if len(s.Frames) != 2 || s.Frames[1].R[unwind.RBX] != 0x77 {
		t.Errorf("%s, rbx %#x", told(s), s.Frames[len(s.Frames)-1].R[unwind.RBX])
	}
}
