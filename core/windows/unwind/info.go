package unwind

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// Op is an operation of a prolog.
type Op uint8

// The operations. Source: Microsoft's "x64 exception handling"; opEpilog is of
// version 2 (dotnet/runtime, clrnt.h).
const (
	PushNonvol   Op = 0
	AllocLarge   Op = 1
	AllocSmall   Op = 2
	SetFrameReg  Op = 3
	SaveNonvol   Op = 4
	SaveFar      Op = 5
	Epilog       Op = 6
	SaveXMM      Op = 8
	SaveXMMFar   Op = 9
	MachineFrame Op = 10
)

// UNWIND_INFO, and the flags in it.
const (
	infoBytes   = 4
	slotBytes   = 2
	chainedFlag = 4 // UNW_FLAG_CHAININFO

	maxDepth = 32 // of chains and indirect entries: real ones have two or three
)

// Info is the unwind information of a function. Codes are as they are stored,
// the last instruction of the prolog first; the epilogs of version 2 are apart.
type Info struct {
	Version, Flags uint8
	Prolog         uint8    // its size in bytes
	Frame          Register // the frame register; 0: none
	FrameOffset    uint32   // bytes from RSP to what the frame register holds
	Epilogs        []EpilogCode
	Codes          []Code
	Chain          *pe.Function // the parent; nil: none
}

// Code is one operation. Offset is where its instruction ends in the prolog;
// Value is in bytes for allocations and saves, else Info again.
type Code struct {
	Offset uint8
	Op     Op
	Info   uint8
	Value  uint32
}

// EpilogCode is one EPILOG slot of version 2.
type EpilogCode struct{ Low, Info uint8 }

// ErrVersion says that the unwind information is of a version that is not known.
var ErrVersion = errors.New("unknown version")

// Decode reads the unwind information at an RVA of an image of size bytes at
// base. errors.Is finds ErrVersion, pe.ErrDamaged, or the memory's own error.
func Decode(m pe.Memory, base mem.VA, size, rva uint32) (*Info, error) {
	read := func(n int) ([]byte, error) {
		if rva >= size || uint64(size-rva) < uint64(n) {
			return nil, fmt.Errorf("unwind information at %#x of an image of %#x bytes: %w", rva, size, pe.ErrDamaged)
		}
		p := make([]byte, n)
		return p, m.ReadAt(p, base+mem.VA(rva))
	}
	h, err := read(infoBytes)
	if err != nil {
		return nil, err
	}
	info := &Info{Version: h[0] & 7, Flags: h[0] >> 3, Prolog: h[1],
		Frame: Register(h[3] & 0xf), FrameOffset: uint32(h[3]>>4) * 16}
	if info.Version != 1 && info.Version != 2 {
		return nil, fmt.Errorf("unwind information at %#x of version %d: %w", rva, info.Version, ErrVersion)
	}
	slots := int(h[2])
	end := infoBytes + (slots+1)&^1*slotBytes // padded to an even number
	total := end
	if info.Flags&chainedFlag != 0 {
		total += chainBytes
	}
	raw, err := read(total)
	if err != nil {
		return nil, err
	}
	if err := info.decode(raw[infoBytes : infoBytes+slots*slotBytes]); err != nil {
		return nil, fmt.Errorf("unwind information at %#x: %w", rva, err)
	}
	if info.Flags&chainedFlag != 0 {
		parent := pe.ParseFunction(raw[end:])
		info.Chain = &parent
	}
	return info, nil
}

const chainBytes = 12 // a function entry

// decode decodes the slots.
func (i *Info) decode(p []byte) error {
	le := binary.LittleEndian
	for len(p) > 0 {
		c := Code{Offset: p[0], Op: Op(p[1] & 0xf), Info: p[1] >> 4}
		slots := slotsOf(i.Version, c)
		if slots == 0 {
			return fmt.Errorf("operation %d with %d: %w", c.Op, c.Info, pe.ErrDamaged)
		}
		if len(p) < slots*slotBytes {
			return fmt.Errorf("operation %d is cut off: %w", c.Op, pe.ErrDamaged)
		}
		switch c.Op {
		case AllocSmall:
			c.Value = uint32(c.Info)*8 + 8
		case AllocLarge, SaveNonvol, SaveFar, SaveXMM, SaveXMMFar:
			c.Value = uint32(le.Uint16(p[slotBytes:])) * scale(c)
			if slots == 3 {
				c.Value = le.Uint32(p[slotBytes:]) // unscaled
			}
		default:
			c.Value = uint32(c.Info)
		}
		if c.Op == Epilog {
			i.Epilogs = append(i.Epilogs, EpilogCode{c.Offset, c.Info})
		} else {
			i.Codes = append(i.Codes, c)
		}
		p = p[slots*slotBytes:]
	}
	return nil
}

// slotsOf says how many slots an operation takes; 0: it is none.
func slotsOf(version uint8, c Code) int {
	switch c.Op {
	case PushNonvol, AllocSmall, SetFrameReg:
		return 1
	case MachineFrame:
		if c.Info <= 1 {
			return 1
		}
	case AllocLarge:
		if c.Info <= 1 {
			return 2 + int(c.Info)
		}
	case SaveNonvol, SaveXMM:
		return 2
	case SaveFar, SaveXMMFar:
		return 3
	case Epilog:
		if version == 2 {
			return 1
		}
	}
	return 0
}

// scale is the unit of an operation's 16-bit value in bytes.
func scale(c Code) uint32 {
	if c.Op == SaveXMM {
		return 16
	}
	return 8
}
