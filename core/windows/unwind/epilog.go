package unwind

import (
	"encoding/binary"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// epilogBytes is the most that is looked at from the address on: an epilog
// frees, pops eight registers and returns.
const epilogBytes = 64

// epilog reports whether the address lies in an epilog, and finishes it.
func (s *step) epilog(f pe.Function, info *Info) (bool, error) {
	if info.Version == 2 {
		return s.epilogCodes(f, info)
	}
	p := s.code()
	if len(p) == 0 {
		s.unchecked = true
		return false, nil
	}
	e := matcher{p: p}
	if !e.match(func(target uint32) bool { return s.leaves(f, s.rip+target) }) {
		return false, nil
	}
	s.r.R[RSP] += e.add
	for _, n := range e.pops {
		s.restore(n, s.r.SP())
		s.r.R[RSP] += 8
	}
	return true, s.leaf()
}

// code reads the code from the address on, as far as it is there.
func (s *step) code() []byte {
	at := s.image.Base + mem.VA(s.rip)
	p := make([]byte, min(epilogBytes, uint64(s.image.Size-s.rip)))
	if s.m.ReadAt(p, at) == nil {
		return p
	}
	p = p[:min(uint64(len(p)), uint64(mem.PageSize-at%mem.PageSize))]
	if s.m.ReadAt(p, at) == nil {
		return p
	}
	return nil
}

// leaves reports whether a jump to an RVA ends the function: it goes out of it,
// or to its very start. A target inside another entry of the same function is
// inside.
func (s *step) leaves(f pe.Function, target uint32) bool {
	if target >= f.Begin && target < f.End {
		primary, err := s.image.Primary(s.m, f)
		return err == nil && target == primary.Begin
	}
	other, err := s.image.find(target)
	if err != nil {
		return true
	}
	mine, err1 := s.image.Primary(s.m, f)
	its, err2 := s.image.Primary(s.m, other)
	return err1 != nil || err2 != nil || mine.Begin != its.Begin || target == mine.Begin
}

// matcher matches the instructions of an epilog from an address on.
type matcher struct {
	p    []byte
	at   int
	add  uint64 // what is added to RSP: bytes, sign-extended
	pops []Register
}

// peek gives the byte n behind the place; 0, which begins nothing that is
// matched, behind the end.
func (m *matcher) peek(n int) byte {
	if m.at+n < len(m.p) {
		return m.p[m.at+n]
	}
	return 0
}

// signed8 and signed32 give a displacement n bytes behind the place.
func (m *matcher) signed8(n int) uint64 { return uint64(int64(int8(m.peek(n)))) }

func (m *matcher) signed32(n int) uint64 {
	return uint64(int64(int32(binary.LittleEndian.Uint32([]byte{m.peek(n), m.peek(n + 1), m.peek(n + 2), m.peek(n + 3)}))))
}

// The instruction bytes of epilogs. Source: Intel SDM volume 2.
const (
	rexW     = 0x48 // REX prefix with W; its low bits are R, X, B
	bndOrRep = 0xf2
	rep      = 0xf3
)

// match reports whether all of an epilog is there. leaves judges the target of
// a jump, relative to the address.
func (m *matcher) match(leaves func(target uint32) bool) bool {
	m.release()
	m.popping()
	if m.peek(0) == bndOrRep {
		m.at++
	}
	b0, b1, b2 := m.peek(0), m.peek(1), m.peek(2)
	switch {
	case b0 == 0xc3: // ret
		return true
	case b0 == 0xc2: // ret n
		return m.at+3 <= len(m.p)
	case b0 == rep && b1 == 0xc3:
		return true
	case b0 == 0xeb && m.at+2 <= len(m.p): // jmp short
		return leaves(uint32(m.at+2) + uint32(m.signed8(1)))
	case b0 == 0xe9 && m.at+5 <= len(m.p): // jmp near
		return leaves(uint32(m.at+5) + uint32(m.signed32(1)))
	case b0 == 0xff && b1 == 0x25: // jmp [rip+n]
		return true
	case b0&0xf8 == rexW && b1 == 0xff && b2>>3&7 == 4 && m.at+3 <= len(m.p): // tail call through a register
		return true
	}
	return false
}

// release matches what frees the frame by adding to RSP. The other way, lea from
// the frame register, needs no matching: where it stands nothing has been undone
// yet, and the frame register says the same by the prolog's operations.
func (m *matcher) release() {
	b0, b1, b2 := m.peek(0), m.peek(1), m.peek(2)
	switch {
	case b0 == rexW && b1 == 0x83 && b2 == 0xc4:
		m.add, m.at = m.signed8(3), m.at+4
	case b0 == rexW && b1 == 0x81 && b2 == 0xc4:
		m.add, m.at = m.signed32(3), m.at+7
	}
}

// popping matches any number of pops.
func (m *matcher) popping() {
	for len(m.pops) < int(registerCount) {
		b0, b1 := m.peek(0), m.peek(1)
		switch {
		case b0&0xf8 == 0x58:
			m.pops = append(m.pops, Register(b0&7))
			m.at++
		case b0&0xf0 == 0x40 && b1&0xf8 == 0x58:
			m.pops = append(m.pops, Register(b1&7|b0&1<<3))
			m.at += 2
		default:
			return
		}
	}
}

// epilogCodes is version 2's way: the regions of the epilogs are listed, and
// the pushes of the prolog say what is popped in them. Source: dotnet/runtime.
func (s *step) epilogCodes(f pe.Function, info *Info) (bool, error) {
	if len(info.Epilogs) == 0 {
		return false, nil
	}
	size := uint32(info.Epilogs[0].Low)
	start, in := uint32(0), false
	for i, e := range info.Epilogs {
		distance := uint32(e.Low) | uint32(e.Info)<<8
		if i == 0 {
			if e.Info&1 == 0 {
				continue
			}
			distance = size
		}
		if distance == 0 || distance > f.End-f.Begin {
			continue
		}
		start = f.End - distance
		if in = start <= s.rip && s.rip-start < size; in {
			break
		}
	}
	if !in {
		return false, nil
	}
	codes, err := s.pushes(info)
	if err != nil {
		return false, err
	}
	at := start
	for _, c := range codes {
		switch {
		case c.Op == PushNonvol:
			if at >= s.rip {
				s.restore(Register(c.Info), s.r.SP())
				s.r.R[RSP] += 8
			}
			at++
			if c.Info >= 8 {
				at++ // with a prefix
			}
		case c.Op == AllocSmall && c.Value == 8: // pushed flags, dropped by a pop
			if at >= s.rip {
				s.r.R[RSP] += 8
			}
			at++
		case c.Op == MachineFrame:
			return true, s.machineFrame(s.r.SP() + 8*uint64(c.Info))
		}
	}
	return true, s.leaf()
}

// pushes gives the operations from the first push on, of the first entry along
// the chain that has any.
func (s *step) pushes(info *Info) ([]Code, error) {
	for range maxDepth {
		for i, c := range info.Codes {
			if c.Op == PushNonvol {
				return info.Codes[i:], nil
			}
		}
		if info.Chain == nil {
			return nil, nil
		}
		f, _, err := s.image.described(*info.Chain)
		if err != nil {
			return nil, err
		}
		if info, err = Decode(s.m, s.image.Base, s.image.Size, f.Unwind); err != nil {
			return nil, err
		}
	}
	return nil, nil
}
