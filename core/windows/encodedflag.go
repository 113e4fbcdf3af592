package windows

import (
	"context"
	"encoding/binary"
	"math/bits"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// Bounds of the search for KdpDataBlockEncoded in the image's code.
const (
	flagWindow     = 256 << 10
	flagReach      = 0x100    // the code that encodes or decodes the block is shorter
	flagCodeBytes  = 64 << 20 // of code that is looked through
	flagMentions   = 64       // references to the block that are looked around
	flagCandidates = 4 * flagReach
)

// FindEncodedFlag gives the address of KdpDataBlockEncoded for a block that was
// decoded by known plaintext; 0: it is not to be had. The functions that encode
// and decode the block refer to it, to the flag, to KiWaitNever and to
// KiWaitAlways close together, relative to the instruction pointer. Which
// reference is which, the key proves: only with the right three does the
// constant come out that decodes the block. It reads the image's code, so it is
// not part of Locate; the error is the context's.
func (k *Kernel) FindEncodedFlag(ctx context.Context) (mem.VA, error) {
	if k.EncodedFlag != 0 || !k.KDBG.Encoded || k.KDBG.FoundBy != FoundByKnownPlaintext {
		return k.EncodedFlag, nil
	}
	left, mentions := uint64(flagCodeBytes), 0
	window := make([]byte, flagWindow+2*flagReach)
	sections := k.Image.Sections
	if len(sections) == 0 { // no table that can be used: all of the image may be code
		sections = []pe.Section{pe.Whole(k.Image.SizeOfImage)}
	}
	for _, sec := range sections {
		if !sec.Executable() || sec.VirtualAddress >= k.Image.SizeOfImage {
			continue
		}
		size := min(uint64(sec.VirtualSize), uint64(k.Image.SizeOfImage-sec.VirtualAddress), left)
		left -= size
		start := k.Image.Base + mem.VA(sec.VirtualAddress)
		for at := uint64(0); at < size; at += flagWindow {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			p := window[:min(uint64(len(window)), size-at)]
			if k.Space.ReadBest(p, start+mem.VA(at)) == 0 {
				continue
			}
			for off := 0; off+4 <= len(p) && mentions < flagMentions; off++ {
				if !refers(p, off, start+mem.VA(at), k.KDBG.VA) {
					continue
				}
				mentions++
				near := p[max(0, off-flagReach):min(len(p), off+flagReach)]
				if flag := k.flagNear(near, start+mem.VA(at)+mem.VA(max(0, off-flagReach))); flag != 0 {
					return flag, nil
				}
			}
		}
	}
	return 0, nil
}

// refers reports whether the four bytes at an offset of the code p, which lies
// at va, are a displacement from the next instruction to target.
func refers(p []byte, off int, va, target mem.VA) bool {
	d := mem.VA(int64(int32(binary.LittleEndian.Uint32(p[off:]))))
	return va+mem.VA(off)+4+d == target
}

// flagNear looks for the flag among what a piece of code refers to.
func (k *Kernel) flagNear(code []byte, va mem.VA) mem.VA {
	// Behind the displacement an immediate byte or double word may follow.
	targets := map[mem.VA]uint64{}
	for off := 0; off+4 <= len(code) && len(targets) < flagCandidates; off++ {
		d := mem.VA(int64(int32(binary.LittleEndian.Uint32(code[off:]))))
		for _, immediate := range []mem.VA{0, 1, 4} {
			to := va + mem.VA(off) + 4 + immediate + d
			if _, known := targets[to]; known || !k.inData(to) {
				continue
			}
			if v, err := k.Space.Uint64(to); err == nil {
				targets[to] = v
			}
		}
	}
	values := map[uint64]bool{}
	for _, v := range targets {
		values[v] = true
	}
	for _, never := range targets {
		if int(never%64) != k.KDBG.key.rotation {
			continue
		}
		for flag, v := range targets {
			always := bits.ReverseBytes64(bits.RotateLeft64(never, k.KDBG.key.rotation)^uint64(flag)) ^ k.KDBG.key.constant
			if byte(v) == 1 && values[always] && always != never {
				return flag
			}
		}
	}
	return 0
}

// inData reports whether an address lies in a writable section of the kernel, or
// anywhere in it where there is no section table that can be used.
func (k *Kernel) inData(va mem.VA) bool {
	if !InImage(va, k.Image.Base, k.Image.SizeOfImage, 1) {
		return false
	}
	if len(k.Image.Sections) == 0 {
		return true
	}
	rva := uint32(va - k.Image.Base)
	s, ok := k.Image.SectionAt(rva)
	return ok && s.Writable()
}
