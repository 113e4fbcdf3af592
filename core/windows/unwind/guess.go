package unwind

import (
	"encoding/binary"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// guessBytes is how far up the stack a return address is looked for.
const guessBytes = 16 << 10

// guess looks up the stack for the first address that lies in code behind a
// call, as a debugger does where it has no exception data.
func (w *walk) guess(f *Frame) (Frame, bool) {
	at := (f.SP() + 7) &^ 7
	end := at + guessBytes
	if w.top > at && w.top < end {
		end = w.top
	}
	page := make([]byte, mem.PageSize)
	for at < end {
		n := min(mem.PageSize-at%mem.PageSize, end-at)
		p := page[:n&^7]
		if len(p) == 0 || w.memory.ReadAt(p, mem.VA(at)) != nil {
			return Frame{}, false
		}
		for off := 0; off < len(p); off += 8 {
			rip := binary.LittleEndian.Uint64(p[off:])
			trust, ok := w.behindCall(&w.memory, rip)
			if !ok {
				continue
			}
			rsp := at + uint64(off) + 8
			if w.move(f.SP(), rsp, false).Code != "" {
				return Frame{}, false
			}
			w.trust = max(w.trust, trust)
			caller := Frame{Registers: Registers{RIP: rip, Known: 1 << RSP}, Kind: Return, User: f.User}
			caller.R[RSP] = rsp
			return caller, true
		}
		at += n
	}
	return Frame{}, false
}

// BehindCall reports whether an address can be a return address: in code of an
// image, covered by its exception data where there is any, and behind a call.
// It is Weak where the code could not be read, else Guessed.
func (w *Walker) BehindCall(rip uint64) (Trust, bool) { return w.behindCall(w.Memory, rip) }

func (w *Walker) behindCall(m pe.Memory, rip uint64) (Trust, bool) {
	if rip == 0 {
		return 0, false
	}
	image := w.At(rip - 1)
	if image == nil {
		return 0, false
	}
	rva := uint32(rip - 1 - uint64(image.Base))
	if !image.Executable(rva) {
		return 0, false
	}
	if _, err := image.find(rva); err == errNoEntry {
		return 0, false
	}
	var p [callBytes]byte
	if rva+1 < callBytes {
		return 0, false
	}
	if m.ReadAt(p[:], mem.VA(rip-callBytes)) != nil {
		return Weak, true
	}
	if p[2] == 0xe8 { // call near
		target := rip + uint64(int64(int32(binary.LittleEndian.Uint32(p[3:]))))
		if w.At(target) != nil {
			return Guessed, true
		}
	}
	for n := 2; n <= callBytes; n++ {
		if q := p[callBytes-n:]; q[0] == 0xff && q[1]>>3&7 == 2 && operandBytes(q) == n {
			return Guessed, true
		}
	}
	return 0, false
}

// callBytes is the length of the longest call that is recognised, without its
// prefix.
const callBytes = 7

// operandBytes gives the length of an instruction FF /2 from its operand's
// form. Source: Intel SDM volume 2, ModR/M and SIB bytes.
func operandBytes(p []byte) int {
	mod, rm := p[1]>>6, p[1]&7
	n := 2
	scaled := mod != 3 && rm == 4
	if scaled {
		n++
	}
	switch {
	case mod == 1:
		n++
	case mod == 2, mod == 0 && rm == 5, mod == 0 && scaled && len(p) > 2 && p[2]&7 == 5:
		n += 4
	}
	return n
}
