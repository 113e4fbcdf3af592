package linux

import (
	"bytes"

	"coredrop/core/cpu"
)

// Reg is a general register by its number in x86-64's encoding.
type Reg uint8

// The registers that arguments come in, and the stack and frame pointers.
const (
	RegCX Reg = 1
	RegDX Reg = 2
	RegSP Reg = 4
	RegBP Reg = 5
	RegSI Reg = 6
	RegDI Reg = 7
)

// preserved are the registers that a function must hand back as it got them:
// rbx, rbp and r12 to r15.
const preserved = 1<<3 | 1<<RegBP | 1<<12 | 1<<13 | 1<<14 | 1<<15

// Registers are a frame's registers, as far as they are known.
type Registers struct {
	value [16]uint64
	known uint16
}

// Get gives a register's value.
func (r Registers) Get(n Reg) (uint64, bool) { return r.value[n&15], r.known>>(n&15)&1 != 0 }

func (r *Registers) set(n Reg, v uint64) {
	r.value[n&15] = v
	r.known |= 1 << (n & 15)
}

// Saved restores the registers of frame at of a CPU's stack, as they were when it
// called: the preserved ones that the frames inside it pushed in their prologues
// are taken from there, at an interrupt all come from its struct pt_regs.
func (k *Kernel) Saved(n int, frames []Frame, at int) Registers {
	var r Registers
	x := k.state(n)
	if x == nil || at >= len(frames) {
		return r
	}
	r.all(x)
	for i := range at {
		f, next := frames[i], frames[i+1]
		if next.Regs != 0 { // f is the interrupt's first function
			r = Registers{}
			if p := k.view.prefix(next.Regs, RegsBytes); len(p) == RegsBytes {
				r.all(savedState(p))
			}
			continue
		}
		r.known &= preserved
		if f.End <= f.SP { // where it pushed is not known
			r = Registers{}
			continue
		}
		s, _, ok := k.Resolve(f.Addr - 1)
		if f.Exact {
			s, _, ok = k.Resolve(f.Addr)
		}
		if !ok {
			r = Registers{}
			continue
		}
		slot := f.End - 16 // behind the return address
		for _, push := range pushes(k.view.prefix(s.Addr, prologueBytes)) {
			if push.end > f.Addr-s.Addr {
				break // not executed yet
			}
			if v, ok := k.view.u64(slot); ok {
				r.set(push.reg, v)
			} else {
				r.known &^= 1 << push.reg
			}
			slot -= 8
		}
	}
	r.set(RegSP, frames[at].SP)
	return r
}

func (r *Registers) all(x *cpu.State) {
	for n, general := range cpu.General {
		r.set(Reg(n), x.Get(general))
	}
}

// push is a push of a register: which one, and how far into the function the
// instruction ends.
type push struct {
	reg Reg
	end uint64
}

// pushes lists the pushes of a function's prologue. Between them compilers place
// moves between registers; anything else ends it.
func pushes(code []byte) []push {
	at := 0
	if bytes.HasPrefix(code, endbr64) {
		at += len(endbr64)
	}
	if rest := code[at:]; bytes.HasPrefix(rest, nop5) || len(rest) > 5 && rest[0] == callRel {
		at += len(nop5)
	}
	var out []push
	for at < len(code) {
		c := code[at:]
		rex := byte(0)
		if c[0]&0xf0 == 0x40 && len(c) > 1 {
			rex, c = c[0], c[1:]
			at++
		}
		switch {
		case c[0]&0xf8 == 0x50:
			at++
			out = append(out, push{Reg(c[0]&7 | rex&1<<3), uint64(at)})
		case (c[0] == 0x89 || c[0] == 0x31) && len(c) > 1 && c[1] >= 0xc0: // mov, xor between registers
			at += 2
		default:
			return out
		}
	}
	return out
}

// Kept finds where a function keeps the arguments that came in registers: the
// first move of each to a preserved register or to its stack frame, and gives
// what stands there in the registers of its frame. An argument that is kept in no
// such way is not known.
func Kept(code []byte, r Registers, read func(uint64) (uint64, bool)) Registers {
	var out Registers
	for i := 0; i+3 < len(code); i++ {
		rex, c := byte(0), code[i:]
		if c[0]&0xf0 == 0x40 {
			rex, c = c[0], c[1:]
		}
		if c[0] != 0x89 || len(c) < 4 || rex&2 != 0 {
			continue // not mov to register or memory
		}
		if rex != 0 {
			i++ // the same move without its prefix is another
		}
		arg, to := Reg(c[1]>>3&7|rex&4<<1), Reg(c[1]&7|rex&1<<3)
		if _, known := out.Get(arg); known || arg != RegDI && arg != RegSI && arg != RegDX && arg != RegCX {
			continue
		}
		var v uint64
		ok := false
		switch {
		case c[1] >= 0xc0 && preserved>>to&1 != 0:
			v, ok = r.Get(to)
		case c[1]&0xc7 == 0x45: // disp8(%rbp)
			if bp, known := r.Get(RegBP); known && rex&1 == 0 {
				v, ok = read(bp + uint64(int64(int8(c[2]))))
			}
		case c[1]&0xc7 == 0x44 && c[2] == 0x24: // disp8(%rsp)
			if sp, known := r.Get(RegSP); known && rex&1 == 0 {
				v, ok = read(sp + uint64(int64(int8(c[3]))))
			}
		}
		if ok {
			if rex&8 == 0 {
				v = uint64(uint32(v))
			}
			out.set(arg, v)
		}
	}
	return out
}
