package unwind

import (
	"encoding/binary"
	"fmt"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// A machine frame, as the processor pushes it: bytes from the return address.
const (
	frameCS  = 0x08
	frameRSP = 0x18
)

// step is the work of going from one frame to the next.
type step struct {
	m     pe.Memory
	image *Image
	r     Registers
	rip   uint32 // RVA; R.RIP becomes the caller's
	exact bool   // the address is the instruction itself, not behind a call

	unchecked bool   // the code could not be read, so that an epilog may have been missed
	machine   bool   // a machine frame was undone
	slot      uint64 // where it lay
	cs        uint64 // its code segment
}

func (s *step) load(va uint64) (uint64, error) {
	var p [8]byte
	err := s.m.ReadAt(p[:], mem.VA(va))
	return binary.LittleEndian.Uint64(p[:]), err
}

// leaf returns from a function that has no frame.
func (s *step) leaf() error {
	ip, err := s.load(s.r.SP())
	if err != nil {
		return err
	}
	s.r.RIP = ip
	s.r.R[RSP] += 8
	s.r.Known &= nonvolatile
	return nil
}

// machineFrame returns by what the processor has pushed at an address.
func (s *step) machineFrame(at uint64) error {
	var p [frameRSP + 8]byte
	if err := s.m.ReadAt(p[:], mem.VA(at)); err != nil {
		return err
	}
	le := binary.LittleEndian
	s.machine, s.slot, s.cs = true, at, le.Uint64(p[frameCS:])
	s.r.RIP, s.r.R[RSP] = le.Uint64(p[:]), le.Uint64(p[frameRSP:])
	// What the handler has in its volatile registers is not what was interrupted.
	s.r.Known &= nonvolatile
	return nil
}

// function returns from a function by its unwind information.
func (s *step) function(f pe.Function) error {
	f, indirect, err := s.image.described(f)
	if err != nil {
		return err
	}
	info, err := Decode(s.m, s.image.Base, s.image.Size, f.Unwind)
	if err != nil {
		return err
	}
	// An indirect entry stands for a block behind the prolog, without an epilog.
	whole := indirect || s.rip-f.Begin >= uint32(info.Prolog)
	if s.exact && !indirect {
		if done, err := s.epilog(f, info); done || err != nil {
			return err
		}
		s.unchecked = s.unchecked && whole
	}
	for range maxDepth {
		if err := s.undo(f, info, whole); err != nil || s.machine {
			return err
		}
		if info.Chain == nil {
			return s.leaf()
		}
		if f, _, err = s.image.described(*info.Chain); err != nil {
			return err
		}
		if info, err = Decode(s.m, s.image.Base, s.image.Size, f.Unwind); err != nil {
			return err
		}
		whole = s.rip < f.Begin || s.rip-f.Begin >= uint32(info.Prolog)
	}
	return fmt.Errorf("chained function entries beyond a depth of %d: %w", maxDepth, pe.ErrDamaged)
}

// undo undoes the operations of one entry's prolog that have been executed:
// all of them, or those that end at or before the address.
func (s *step) undo(f pe.Function, info *Info, whole bool) error {
	executed := func(c Code) bool { return whole || uint32(c.Offset) <= s.rip-f.Begin }
	// The base of the saves, before the stack pointer moves.
	base := s.r.SP()
	if info.Frame != 0 {
		set := info.Chain != nil
		for _, c := range info.Codes {
			set = set || c.Op == SetFrameReg && executed(c)
		}
		if whole || set {
			if !s.r.knows(info.Frame) {
				return errFrameRegister
			}
			base = s.r.R[info.Frame] - uint64(info.FrameOffset)
		}
	}
	for _, c := range info.Codes {
		if !executed(c) {
			continue
		}
		switch c.Op {
		case PushNonvol:
			s.restore(Register(c.Info), s.r.SP())
			s.r.R[RSP] += 8
		case AllocLarge, AllocSmall:
			s.r.R[RSP] += uint64(c.Value)
		case SetFrameReg:
			if !s.r.knows(info.Frame) {
				return errFrameRegister
			}
			s.r.R[RSP] = s.r.R[info.Frame] - uint64(info.FrameOffset)
		case SaveNonvol, SaveFar:
			s.restore(Register(c.Info), base+uint64(c.Value))
		case MachineFrame:
			return s.machineFrame(s.r.SP() + 8*uint64(c.Info))
		}
	}
	return nil
}

// restore takes a register from where it was saved. One whose place cannot be
// read is lost; the frames may still be found.
func (s *step) restore(n Register, at uint64) {
	if n == RSP {
		return // no compiler saves it, and its value comes from the frame
	}
	v, err := s.load(at)
	if err != nil {
		s.r.lose(n)
		return
	}
	s.r.set(n, v)
}

var errFrameRegister = fmt.Errorf("the frame register's value is not known")
