package linux

import (
	"bytes"

	"coredrop/core/cpu"
)

// Frame is one entry of a stack: where code continues, and its part of the stack.
type Frame struct {
	Addr  uint64 // return address, or where the code was interrupted
	SP    uint64 // the stack pointer there: its own part begins here
	End   uint64 // where the caller's part begins; SP where that is not known
	Exact bool   // Addr is an instruction to execute, not one behind a call

	// Regs is the address of the interrupted code's struct pt_regs, 0 for a
	// frame that called.
	Regs uint64
}

// Lookup is the address by which the frame's function is looked up: behind a
// call the last byte of the call, as the next function may begin where it
// returns to.
func (f Frame) Lookup() uint64 {
	if f.Exact {
		return f.Addr
	}
	return f.Addr - 1
}

// MaxFrames bounds every stack walk.
const MaxFrames = 192

// walker is the state of a stack walk.
type walker struct {
	k      *Kernel
	ip     uint64
	sp, bp uint64
	signal bool   // ip was interrupted, not left by a call
	regs   uint64 // pt_regs of the interrupted code, complete
	cpu    *cpu.State
}

// Unwind walks the stack of a CPU, the innermost frame first. It ends where the
// kernel's own unwinder would: at the thread's first function or at user mode.
// It gives what it could read; a CPU in user mode has no frames.
func (k *Kernel) Unwind(n int) []Frame {
	x := k.state(n)
	if x == nil || !x.Kernel() || !k.InText(x.PC()) {
		return nil
	}
	w := &walker{k: k, ip: x.PC(), sp: x.SP(), bp: x.Get(cpu.RBP), signal: true, cpu: x}
	var out []Frame
	for len(out) < MaxFrames {
		out = append(out, Frame{Addr: w.ip, SP: w.sp, End: w.sp, Exact: w.signal, Regs: w.regs})
		if !w.step() || !k.InText(w.ip) {
			break
		}
		if last := &out[len(out)-1]; w.regs == 0 && w.sp > last.SP {
			last.End = w.sp
		}
	}
	return out
}

// step goes to the caller: by ORC where the kernel has it, else by frame
// pointers.
func (w *walker) step() bool {
	pc := w.ip
	if !w.signal {
		pc--
	}
	if t := w.k.orcFor(pc); t != nil {
		return w.stepORC(t, pc)
	}
	return w.stepFP()
}

// reg reads a register of the interrupted code: of the CPU while nothing was
// unwound, of complete pt_regs behind an interrupt.
func (w *walker) reg(r cpu.Reg) (uint64, bool) {
	switch {
	case w.cpu != nil:
		return w.cpu.Get(r), true
	case w.regs != 0:
		return w.k.view.saved(w.regs, r)
	}
	return 0, false
}

// stepORC does what unwind_next_frame of arch/x86/kernel/unwind_orc.c does.
func (w *walker) stepORC(t *orcTable, pc uint64) bool {
	e, ok := t.find(pc)
	if !ok || e.kind == orcEnd {
		return false
	}
	v := w.k.view
	var sp uint64
	indirect := false
	switch e.spReg {
	case orcSP:
		sp = w.sp + uint64(int64(e.spOffset))
	case orcBP:
		sp = w.bp + uint64(int64(e.spOffset))
	case orcSPIndirect:
		sp, indirect = w.sp, true
	case orcBPIndirect:
		sp, indirect = w.bp+uint64(int64(e.spOffset)), true
	case orcR10:
		sp, ok = w.reg(cpu.R10)
	case orcR13:
		sp, ok = w.reg(cpu.R13)
	case orcDI:
		sp, ok = w.reg(cpu.RDI)
	case orcAX:
		sp, ok = w.reg(cpu.RAX)
	case orcDX:
		sp, ok = w.reg(cpu.RDX)
	default:
		return false
	}
	if !ok {
		return false
	}
	if indirect {
		if sp, ok = v.u64(sp); !ok {
			return false
		}
		if e.spReg == orcSPIndirect {
			sp += uint64(int64(e.spOffset))
		}
	}
	oldBP, oldRegs := w.bp, w.regs
	ip, newSP, regs := uint64(0), uint64(0), uint64(0)
	switch e.kind {
	case orcCall:
		ip, ok = v.u64(sp - 8)
		newSP = sp
	default:
		regs = sp
		if e.kind == orcRegsPartial {
			regs = sp - pushedAt
		}
		var ok1, ok2, ok3 bool
		var cs uint64
		ip, ok1 = v.saved(regs, cpu.RIP)
		newSP, ok2 = v.saved(regs, cpu.RSP)
		cs, ok3 = v.saved(regs, cpu.CS)
		ok = ok1 && ok2 && ok3 && cs&3 == 0
	}
	if !ok {
		return false
	}
	switch e.bpReg {
	case orcPrevSP:
		w.bp, ok = v.u64(sp + uint64(int64(e.bpOffset)))
	case orcBP:
		w.bp, ok = v.u64(oldBP + uint64(int64(e.bpOffset)))
	case orcUndefined:
		// The interrupted code's own, when all of it is there.
		if e.kind == orcRegs {
			w.bp, ok = v.saved(regs, cpu.RBP)
		} else if w.cpu != nil {
			w.bp = w.cpu.Get(cpu.RBP)
		} else if oldRegs != 0 && e.kind != orcCall {
			w.bp, ok = v.saved(oldRegs, cpu.RBP)
		}
	}
	if !ok || newSP == w.sp && ip == w.ip {
		return false // no progress
	}
	w.ip, w.sp, w.cpu = ip, newSP, nil
	w.regs = 0
	if e.kind == orcRegs {
		w.regs = regs
	}
	w.signal = e.kind != orcCall || t.types3 && e.signal
	return true
}

// The code by which a function sets up its frame: push %rbp at its start, and
// mov %rsp,%rbp soon behind it (compilers schedule other instructions between).
// Before the push there may be endbr64 and the call of __fentry__ or its place.
const pushBP = 0x55

var (
	moveBP  = []byte{0x48, 0x89, 0xe5}
	endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	nop5    = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}
)

const callRel = 0xe8 // with four bytes of displacement

// prologueBytes is how far from a function's start its prologue is looked for.
const prologueBytes = 32

// encodedRegs marks a frame pointer that is the address of a struct pt_regs
// (ENCODE_FRAME_POINTER).
const encodedRegs = 1

// stepFP does what arch/x86/kernel/unwind_frame.c does, and for code that was
// stopped in its prologue takes the return address from where it still is.
func (w *walker) stepFP() bool {
	v := w.k.view
	if w.signal {
		if at, ok := w.beforeFrame(); ok {
			ip, ok := v.u64(w.sp + at)
			if !ok {
				return false
			}
			w.ip, w.sp, w.signal, w.regs, w.cpu = ip, w.sp+at+8, false, 0, nil
			return true
		}
	}
	w.cpu = nil
	if w.bp&encodedRegs != 0 {
		regs := w.bp &^ encodedRegs
		p, ok := v.bytes(regs, RegsBytes)
		if !ok {
			return false
		}
		s := savedState(p)
		if !s.Kernel() {
			return false
		}
		w.ip, w.sp, w.bp = s.PC(), s.SP(), s.Get(cpu.RBP)
		w.signal, w.regs = true, regs
		return true
	}
	if w.bp < kernelHalf || w.bp%8 != 0 {
		return false
	}
	bp, ok1 := v.u64(w.bp)
	ip, ok2 := v.u64(w.bp + 8)
	if !ok1 || !ok2 || bp == w.bp {
		return false
	}
	w.ip, w.sp, w.bp, w.signal, w.regs = ip, w.bp+16, bp, false, 0
	return true
}

// beforeFrame tells whether the code at ip has not set up its frame yet, and
// where relative to the stack pointer its return address is then.
func (w *walker) beforeFrame() (uint64, bool) {
	s, _, ok := w.k.Resolve(w.ip)
	if !ok || w.ip-s.Addr > prologueBytes {
		return 0, false
	}
	off := int(w.ip - s.Addr)
	if off == 0 {
		return 0, true
	}
	push, move, ok := prologue(w.k.view.prefix(s.Addr, prologueBytes))
	switch {
	case !ok || off > move:
		return 0, false
	case off <= push:
		return 0, true
	}
	return 8, true
}

// prologue finds where the instructions are that save and set the frame pointer.
func prologue(code []byte) (push, move int, ok bool) {
	at := 0
	if bytes.HasPrefix(code, endbr64) {
		at += len(endbr64)
	}
	if rest := code[at:]; bytes.HasPrefix(rest, nop5) || len(rest) > 5 && rest[0] == callRel {
		at += len(nop5)
	}
	if at >= len(code) || code[at] != pushBP {
		return 0, 0, false
	}
	i := bytes.Index(code[at:], moveBP)
	return at, at + i, i > 0
}
