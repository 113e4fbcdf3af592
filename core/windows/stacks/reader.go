package stacks

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/pdb"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// Reader reads the stacks of a guest. It keeps what it has learned of modules
// and symbols. It is not safe for concurrent use.
type Reader struct {
	k               *windows.Kernel
	ctx             context.Context
	layout          layout
	kernel          modules
	views           map[mem.VA]*view // by EPROCESS; 0: the kernel's
	namer           namer
	known           []ownStack // stacks of the processors and of what they run
	interruptStacks bool       // they are among the known ones
	cpus            []block
}

// New makes a reader. symbols gives PDBs for any module on the stacks; nil:
// there are none. The kernel must have been found whole.
func New(ctx context.Context, k *windows.Kernel, symbols windows.Symbols) *Reader {
	r := &Reader{k: k, ctx: ctx, layout: layoutOf(k), views: map[mem.VA]*view{},
		kernel: newModules(withKernel(k), k.Image.Base, k.Space)}
	r.namer = namer{ctx: ctx, symbols: symbols, files: map[*module]*pdb.File{}}
	r.readProcessors()
	return r
}

// withKernel gives the loaded modules; where their list is damaged, the kernel
// at least.
func withKernel(k *windows.Kernel) []windows.Module {
	for _, m := range k.Modules {
		if m.Base == k.Image.Base {
			return k.Modules
		}
	}
	return append([]windows.Module{{Name: "ntoskrnl.exe", Base: k.Image.Base, Size: k.Image.SizeOfImage}}, k.Modules...)
}

// Warnings are about symbols that could not be used.
func (r *Reader) Warnings() []fault.Warning { return r.namer.warnings }

// The kinds of frames: how an address is known.
const (
	KindLive         = "live"          // the register of the core
	KindRecord       = "record"        // the register that Windows saved
	KindMachineFrame = "machine-frame" // interrupted there
	KindReturn       = "return"        // behind a call
)

// Frame is one frame of a stack.
type Frame struct {
	Address, StackPointer uint64
	Name
	Kind      string
	Guessed   bool   // not proved by exception data, nor by what it was reached from
	Weak      bool   // guessed, and the code there could not be read
	TrapFrame mem.VA // of the code that the frame's function was interrupted into; 0: none
	User      bool
	On        string // the stack that begins here, where it changes: "DPC stack"
}

// String writes a frame's place as debuggers do, with what is to be said about
// it.
func (f Frame) String() string { return f.site() }

// Stack is a call stack, the innermost frame first, and why it ends.
type Stack struct {
	Frames []Frame
	End    unwind.EndCode
	Why    string // in words
}

// EndsAtStart is the end of a whole stack: the start of its thread.
const EndsAtStart = unwind.ThreadStart

// Whole reports whether the stack goes to its own end.
func (s *Stack) Whole() bool { return s.End == unwind.ThreadStart || s.End == unwind.UserMode }

// walked is a stack before its frames have names.
type walked struct {
	stack  *Stack
	frames []unwind.Frame
	view   *view
}

// walk walks from registers and goes on in user mode where the process's memory
// is there. first is the kind of the first frame.
func (r *Reader) walk(v *view, process mem.VA, from unwind.From, first string) *walked {
	var s *unwind.Stack
	if from.User {
		s = r.walkUser(v, process, from)
	} else {
		s = v.walker().Walk(from)
		if s.End.Code == unwind.UserMode {
			last := len(s.Frames) - 1
			f := s.Frames[last]
			user := r.walkUser(v, process, unwind.From{Registers: f.Registers, Kind: f.Kind, Trust: f.Trust, User: true})
			s.Frames = append(s.Frames[:last], user.Frames...)
			s.End = user.End
		}
	}
	w := &walked{stack: &Stack{End: s.End.Code, Why: s.End.Text}, frames: s.Frames, view: v}
	var here ownStack
	for i := range s.Frames {
		f := &s.Frames[i]
		out := Frame{Address: f.PC(), StackPointer: f.SP(), Kind: KindReturn, TrapFrame: f.TrapFrame, User: f.User,
			Guessed: f.Trust != unwind.Certain, Weak: f.Trust == unwind.Weak}
		switch f.Kind {
		case unwind.Start:
			out.Kind = first
		case unwind.Interrupted:
			out.Kind = KindMachineFrame
		}
		if on := here.name; f.User {
			here = ownStack{0, ^uint64(0), "user stack"}
			out.On = changed(on, here.name)
		} else if !here.holds(f.SP()) {
			here = r.stackAt(f.SP())
			if out.On = changed(on, here.name); i == 0 && (out.On == threadStack || out.On == otherStack) {
				out.On = "" // nothing has changed yet
			}
		}
		w.stack.Frames = append(w.stack.Frames, out)
	}
	return w
}

// changed gives the name of a stack where another one had been used.
func changed(from, to string) string {
	if from == to {
		return ""
	}
	return to
}

// walkUser walks in user mode. Without the process's modules there is one
// frame, and the reason.
func (r *Reader) walkUser(v *view, process mem.VA, from unwind.From) *unwind.Stack {
	if err := r.readUser(v, process); err != nil {
		f := unwind.Frame{Registers: from.Registers, Kind: from.Kind, Trust: from.Trust, User: true}
		return &unwind.Stack{Frames: []unwind.Frame{f}, End: unwind.End{Code: unwind.UserMode, Text: "the stack goes on in user mode; " + err.Error()}}
	}
	s := v.walker().Walk(from)
	if s.End.Code != unwind.ThreadStart {
		s.End = unwind.End{Code: unwind.UserMode, Text: "the stack goes on in user mode: " + s.End.Text}
	}
	return s
}

// name names the frames of stacks, with one pass over each PDB.
func (r *Reader) name(list []*walked) {
	var places []place
	each := func(do func(f *Frame, p place)) {
		for _, w := range list {
			for i := range w.frames {
				if f := &w.frames[i]; f.Image != nil {
					if m := w.view.at(uint64(f.Image.Base)); m != nil {
						do(&w.stack.Frames[i], placeOf(m, f))
					}
				}
			}
		}
	}
	each(func(_ *Frame, p place) { places = append(places, p) })
	r.namer.learn(places)
	each(func(f *Frame, p place) { f.Name = r.namer.name(p) })
}

// At names an address of code that is executed next, in the kernel's memory.
// Its Module is "" outside every module.
func (r *Reader) At(va uint64) Name {
	v := r.viewOf(0)
	m := v.at(va)
	if m == nil {
		return Name{}
	}
	rva := uint32(va - uint64(m.Base))
	p := place{m, rva, rva}
	r.namer.learn([]place{p})
	return r.namer.name(p)
}
