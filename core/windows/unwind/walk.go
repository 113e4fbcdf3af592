package unwind

import (
	"errors"
	"fmt"

	"coredrop/core/mem"
	"coredrop/core/pe"
)

// Kind says how a frame's address is known.
type Kind uint8

// The kinds.
const (
	Start       Kind = iota // the address the walk began with, an instruction itself
	Return                  // an address behind a call
	Interrupted             // from a machine frame: the instruction itself
)

// Exact reports whether the address is the instruction itself.
func (k Kind) Exact() bool { return k != Return }

// Trust says how sure a frame is. It never rises from a frame to its caller.
type Trust uint8

// The degrees.
const (
	Certain Trust = iota
	Guessed       // the first address on the stack that stands behind a call, or its callers
	Weak          // likewise, and the code before the address could not be read
)

// Frame is one frame of a stack.
type Frame struct {
	Registers
	Kind  Kind
	Trust Trust
	Image *Image // nil: outside every image
	// Function is the entry that covers the address; Covered says that there
	// is one. Without a FunctionErr there is certainly none.
	Function    pe.Function
	Covered     bool
	FunctionErr error
	// TrapFrame is where the KTRAP_FRAME lies that the frame was interrupted
	// into; 0: there is none. It is set on the handler's frame.
	TrapFrame mem.VA
	User      bool // in user mode
}

// RVA is the address in its image.
func (f *Frame) RVA() uint32 { return uint32(f.RIP - uint64(f.Image.Base)) }

// Lookup is the RVA by which the frame's function is looked up: the address
// itself, or, behind a call, the last byte of the call, as the next function
// may begin behind it.
func (f *Frame) Lookup() uint32 { return uint32(f.lookup() - uint64(f.Image.Base)) }

func (f *Frame) lookup() uint64 {
	if f.Kind.Exact() {
		return f.RIP
	}
	return f.RIP - 1
}

// EndCode says why a walk ended.
type EndCode string

// The ends. Only the first two are the stack's own.
const (
	ThreadStart EndCode = "thread-start" // the return address is 0
	UserMode    EndCode = "user-mode"    // the stack goes on in user mode
	Outside     EndCode = "outside"      // an address outside every image
	NoData      EndCode = "no-data"      // no exception data for the address, and nothing to guess
	NoTable     EndCode = "no-table"     // an image that was built without any
	Unreadable  EndCode = "unreadable"   // memory that is not in the core
	Damaged     EndCode = "damaged"      // exception data that cannot be right
	BadStack    EndCode = "bad-stack"    // a stack pointer that cannot be right
	Limit       EndCode = "limit"        // more frames than are followed
)

// End is why a walk ended, with a sentence's worth of detail.
type End struct {
	Code EndCode
	Text string
}

// Stack is what a walk gave, the innermost frame first.
type Stack struct {
	Frames []Frame
	End    End
}

// Limits of a walk.
const (
	MaxFrames   = 1024
	maxSwitches = 8       // times that the stack pointer may fall
	maxBytes    = 1 << 20 // read for one stack
)

// Walker walks stacks in one address space.
type Walker struct {
	Memory pe.Memory
	// At gives the image at an address; nil: there is none. It must give the
	// same pointer for the same image.
	At func(va uint64) *Image
	// Guess goes on by the first address on the stack that stands behind a
	// call, where exception data is missing. Such frames are marked.
	Guess bool
}

// walk is the state of one walk.
type walk struct {
	*Walker
	memory   budget
	top      uint64
	low      uint64      // where the stack being walked was entered
	walked   [][2]uint64 // of the stacks left: first and last stack pointer
	switches int
	trust    Trust
}

// budget is memory that may be read so often only: hostile tables must not
// make a walk long.
type budget struct {
	pe.Memory
	left int
}

var errBudget = errors.New("more memory than a stack takes")

func (b *budget) ReadAt(p []byte, va mem.VA) error {
	if b.left -= len(p); b.left < 0 {
		return errBudget
	}
	return b.Memory.ReadAt(p, va)
}

// From is where a walk begins.
type From struct {
	Registers
	Kind  Kind
	Trust Trust
	User  bool   // in user mode already
	Top   uint64 // where the stack is known to end, for guesses; 0: not known
}

// Walk goes up the stack. It always ends, and says why.
func (w *Walker) Walk(from From) *Stack {
	s := &walk{Walker: w, memory: budget{w.Memory, maxBytes}, top: from.Top, low: from.SP(), trust: from.Trust}
	stack := &Stack{}
	next := Frame{Registers: from.Registers, Kind: from.Kind, User: from.User}
	for {
		s.cover(&next)
		stack.Frames = append(stack.Frames, next)
		f := &stack.Frames[len(stack.Frames)-1]
		if f.Image == nil {
			stack.End = End{Outside, fmt.Sprintf("%#x is outside every module", f.RIP)}
			return stack
		}
		if len(stack.Frames) == MaxFrames {
			stack.End = End{Limit, fmt.Sprintf("more than %d frames", MaxFrames)}
			return stack
		}
		caller, end := s.up(f)
		if end.Code != "" {
			stack.End = end
			return stack
		}
		if caller.User && !f.User {
			s.cover(&caller)
			stack.Frames = append(stack.Frames, caller)
			stack.End = End{UserMode, "the stack goes on in user mode"}
			return stack
		}
		next = caller
	}
}

// cover finds the frame's image and function.
func (w *walk) cover(f *Frame) {
	f.Trust = w.trust
	if f.Image = w.At(f.lookup()); f.Image == nil {
		return
	}
	fn, err := f.Image.find(f.Lookup())
	switch {
	case err == nil:
		f.Function, f.Covered = fn, true
	case err != errNoEntry:
		f.FunctionErr = err
	}
}

// up goes from a frame to its caller, or says why the walk ends.
func (w *walk) up(f *Frame) (Frame, End) {
	caller, end := w.certain(f)
	switch {
	case end.Code == "" || !w.Guess:
		return caller, end
	case end.Code == ThreadStart, end.Code == BadStack, end.Code == NoTable:
		// Nothing is missing: what else is on the stack is left over.
		return caller, end
	}
	if guess, ok := w.guess(f); ok {
		return guess, End{}
	}
	return caller, end
}

// certain goes up by what the tables prove.
func (w *walk) certain(f *Frame) (Frame, End) {
	s := step{m: &w.memory, image: f.Image, r: f.Registers, rip: f.RVA(), exact: f.Kind.Exact()}
	var err error
	switch {
	case f.Covered:
		err = s.function(f.Function)
	case f.FunctionErr != nil:
		err = f.FunctionErr
	case f.Kind.Exact():
		err = s.leaf()
	default:
		// A function that has called another one has an entry: going on by the
		// rule of leaf functions would invent frames.
		return Frame{}, End{NoData, fmt.Sprintf("no exception data covers the return address %#x", f.RIP)}
	}
	if err != nil {
		return Frame{}, ending(err)
	}
	if s.r.RIP == 0 && !s.machine {
		return Frame{}, End{ThreadStart, "the start of the thread"}
	}
	if end := w.move(f.SP(), s.r.SP(), s.machine); end.Code != "" {
		return Frame{}, end
	}
	caller := Frame{Registers: s.r, Kind: Return, User: f.User}
	if s.machine {
		caller.Kind = Interrupted
		caller.User = s.cs&3 == 3
		if at := s.slot - trapFrameRIP; at == f.SP() && !f.User {
			f.TrapFrame = mem.VA(at)
		}
	}
	if s.unchecked && w.trust == Certain {
		w.trust = Guessed
	}
	return caller, End{}
}

// trapFrameRIP is where KTRAP_FRAME of x86-64 has the interrupted address: the
// same in all kernels from 7601 to 22000. The handlers keep RSP at its start.
const trapFrameRIP = 0x168

// ending words an error as the end of a walk.
func ending(err error) End {
	switch {
	case errors.Is(err, errNoTable):
		return End{NoTable, err.Error()}
	case errors.Is(err, pe.ErrDamaged), errors.Is(err, pe.ErrNotImage), errors.Is(err, ErrVersion):
		return End{Damaged, err.Error()}
	case errors.Is(err, errBudget):
		return End{Limit, err.Error()}
	case err == errFrameRegister:
		return End{NoData, err.Error()}
	}
	return End{Unreadable, err.Error()}
}

// move checks the stack pointer of a caller. On one stack it rises. It may go
// to another stack, which may lie above or below, but never back to what was
// walked already.
func (w *walk) move(from, to uint64, machine bool) End {
	bad := func(format string, args ...any) End { return End{BadStack, fmt.Sprintf(format, args...)} }
	switch {
	case !canonical(to):
		return bad("the stack pointer would be %#x, which is no address", to)
	case to%8 != 0:
		return bad("the stack pointer would be %#x, which is not aligned", to)
	}
	if to <= from || machine {
		w.walked = append(w.walked, [2]uint64{w.low, from})
		w.low = to
	}
	if to <= from {
		if w.switches++; w.switches > maxSwitches {
			return bad("the stack was changed more than %d times", maxSwitches)
		}
	}
	for _, r := range w.walked {
		if to >= r[0] && to <= r[1] {
			return bad("the stack pointer %#x leads back to frames that were walked already", to)
		}
	}
	return End{}
}

// canonical reports whether an address can be one with 48 or 57 bits.
func canonical(va uint64) bool { return va>>56 == 0 || va>>56 == 0xff }
