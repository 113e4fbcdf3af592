package cpu

// The registers of x86. Those of 32 bits are the low halves of the 64-bit ones
// and have their numbers. General registers are in the order of their encoding
// (Intel SDM volume 2, 2.2.1.2): register n is RAX + n.
const (
	RAX Reg = bankX86 + iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	RIP
	RFLAGS

	CR0
	CR2
	CR3
	CR4
	CR8
	DR0
	DR1
	DR2
	DR3
	DR6
	DR7

	KernelGSBase // what SWAPGS loads
	EFER
	STAR
	LSTAR
	CSTAR
	SFMASK
	SysenterCS
	SysenterESP
	SysenterEIP

	// OrigAX is what Linux keeps of RAX at the entry of a system call; of all
	// records only an NT_PRSTATUS has it.
	OrigAX

	FCW // x87 control word
	FSW // x87 status word
	FTW // x87 tags in FXSAVE's form: a bit for each register of the file that is in use
	MXCSR

	segments // the first free number
)

// A segment register takes four numbers; the first is its own.
const (
	partSelector Reg = iota
	partBase
	partLimit
	partFlags // the descriptor's second word: type, S, DPL, P, L, DB, G in bits 8 to 23
	partCount
)

// The segment registers and those of the descriptor tables, GDT and IDT, which
// have no selector.
const (
	ES = segments + iota*partCount
	CS
	SS
	DS
	FS
	GS
	LDT
	TR
	GDT
	IDT
	vectors // the first free number
)

// Parts of segment registers that are asked for one by one.
const (
	CSBase   = CS + partBase
	FSBase   = FS + partBase
	GSBase   = GS + partBase
	TRBase   = TR + partBase
	GDTBase  = GDT + partBase
	GDTLimit = GDT + partLimit
	IDTBase  = IDT + partBase
	IDTLimit = IDT + partLimit
)

// The x87 and SSE registers take two numbers each.
const (
	x87Count = 8
	sseCount = 16

	// ST0 is the top of the x87 stack, ST1 what is below it, not register 1 of the
	// file; the mantissa, then sign and exponent.
	ST0  = vectors
	XMM0 = ST0 + 2*x87Count // the low half, then the high one
)

// General are the registers that instructions name, in the order of their
// encoding.
var General = []Reg{RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15}

// Segment is a segment register with its hidden part.
type Segment struct {
	Selector, Limit, Flags uint32
	Base                   uint64
}

// Segment gives a segment register or a descriptor table's, as far as it is known.
func (s *State) Segment(r Reg) Segment {
	return Segment{Selector: uint32(s.Get(r + partSelector)), Base: s.Get(r + partBase),
		Limit: uint32(s.Get(r + partLimit)), Flags: uint32(s.Get(r + partFlags))}
}

// SetSegment makes all parts of a segment register known.
func (s *State) SetSegment(r Reg, g Segment) {
	s.Set(r+partSelector, uint64(g.Selector))
	s.Set(r+partBase, g.Base)
	s.Set(r+partLimit, uint64(g.Limit))
	s.Set(r+partFlags, uint64(g.Flags))
}

// SegmentParts are the places of a segment register's parts in a record, counted
// from its own: each as Field.Off and Field.Bytes, which are zero where the record
// does not have the part.
type SegmentParts struct{ Selector, Base, Limit, Flags Field }

// Segments lays segment registers out, one every stride bytes from an offset.
func Segments(off, stride int, p SegmentParts, regs ...Reg) []Field {
	var parts []Field
	for i, f := range []Field{p.Selector, p.Base, p.Limit, p.Flags} {
		if f.Bytes > 0 {
			parts = append(parts, Field{Reg(i), f.Off, f.Bytes})
		}
	}
	return Each(off, stride, parts, regs...)
}

// Bits of the control registers that decide about paging (Intel SDM volume 3,
// 2.5).
const (
	CR0Paging = 1 << 31
	CR4PAE    = 1 << 5
	CR4LA57   = 1 << 12
)

const ringMask = 3 // of CS

// X64 is x86-64, X86 the same processor where it never left 32 bits. The machines
// are IMAGE_FILE_MACHINE_AMD64 and _I386, EM_X86_64 and EM_386.
var (
	X64 = &Arch{Name: "x86-64", PE: 0x8664, ELF: 62, Pointer: 8, bank: bankX86,
		PC: RIP, SP: RSP, Flags: RFLAGS, Root: CR3, Vectors: IDTBase,
		Kernel: Bits{CS, ringMask, 0}, Paging: Bits{CR0, CR0Paging, CR0Paging},
		Listed: []Reg{RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, R8, R9, R10, R11, R12, R13, R14, R15, RIP, RFLAGS,
			CS, SS, DS, ES, FS, GS, CR0, CR2, CR3, CR4, GDTBase, IDTBase, FSBase, GSBase, KernelGSBase},
		names: [2]*[]series{&x64Names, &x86Names}}

	X86 = &Arch{Name: "x86", PE: 0x14c, ELF: 3, Pointer: 4, bank: bankX86,
		PC: RIP, SP: RSP, Flags: RFLAGS, Root: CR3, Vectors: IDTBase,
		Kernel: Bits{CS, ringMask, 0}, Paging: Bits{CR0, CR0Paging, CR0Paging},
		Listed: []Reg{RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP, RIP, RFLAGS,
			CS, SS, DS, ES, FS, GS, CR0, CR2, CR3, CR4, GDTBase, IDTBase, FSBase, GSBase},
		names: [2]*[]series{&shortNames, &x86Names}}
)

// The names that depend on the width, and those that do not.
var (
	x64Names = []series{
		{first: RAX, list: []string{"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
			"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"}},
		{first: XMM0, word: "xmm", count: sseCount, parts: halves}}

	shortNames = []series{
		{first: RAX, list: []string{"eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"}},
		{first: RIP, list: []string{"eip", "eflags"}},
		{first: XMM0, word: "xmm", count: sseCount / 2, parts: halves}}

	x86Names = []series{
		{first: CR0, list: []string{"cr0", "cr2", "cr3", "cr4", "cr8", "dr0", "dr1", "dr2", "dr3", "dr6", "dr7",
			"kernel_gs_base", "efer", "star", "lstar", "cstar", "sfmask", "sysenter_cs", "sysenter_esp", "sysenter_eip",
			"orig_rax", "fcw", "fsw", "ftw", "mxcsr"}},
		{first: ES, list: []string{"es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr"}, parts: []string{"", "_base", "_limit", "_flags"}},
		// What is called by a table's name is where it is.
		{first: GDT, list: []string{"gdtr", "idtr"}, parts: []string{"_selector", "", "_limit", "_flags"}},
		{first: ST0, word: "st", count: x87Count, parts: halves},
	}
)
