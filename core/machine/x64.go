package machine

import "coredrop/core/mem"

// Segment is a segment register with its hidden part; the flags are the
// descriptor's second word (type, S, DPL, P, L, DB, G in bits 8 to 23).
type Segment struct {
	Selector, Limit, Flags uint32
	Base                   uint64
}

// X64State is the register state of an x86 CPU, as the QEMU note holds it.
type X64State struct {
	// System says that the control registers and descriptor tables are known
	// (a QEMU note); without it only the general registers are (NT_PRSTATUS).
	System bool

	RAX, RBX, RCX, RDX, RSI, RDI, RSP, RBP uint64
	R8, R9, R10, R11, R12, R13, R14, R15   uint64
	RIP, RFLAGS                            uint64

	CS, DS, ES, FS, GS, SS, LDT, TR, GDT, IDT Segment
	CR0, CR2, CR3, CR4                        uint64

	KernelGSBase    uint64
	HasKernelGSBase bool // older QEMU's note (0x1b0 bytes) ends before it
}

// The bits of the control registers that decide about paging.
const (
	CR0Paging = 1 << 31
	CR4PAE    = 1 << 5
	CR4LA57   = 1 << 12
)

// PC is the address of the next instruction.
func (s *X64State) PC() uint64 { return s.RIP }

// SP is the stack pointer.
func (s *X64State) SP() uint64 { return s.RSP }

// Root is the register that selects the page tables, with its flags.
func (s *X64State) Root() uint64 { return s.CR3 }

// Vectors is the address of the table of interrupt handlers.
func (s *X64State) Vectors() uint64 { return s.IDT.Base }

// Paging reports whether the CPU translates addresses.
func (s *X64State) Paging() bool { return s.CR0&CR0Paging != 0 }

// Kernel reports whether the CPU runs in ring 0.
func (s *X64State) Kernel() bool { return s.CS.Selector&3 == 0 }

// GSInKernel reports whether the GS base is a kernel address: upstream
// elf2dmp's test for "in kernel".
func (s *X64State) GSInKernel() bool { return s.GS.Base>>63 == 1 }

// KPCR is the address of the Windows processor control region: the GS base
// while the CPU runs kernel code, else what SWAPGS will load; 0 when unknown.
func (s *X64State) KPCR() mem.VA {
	switch {
	case s.GSInKernel():
		return mem.VA(s.GS.Base)
	case s.HasKernelGSBase && s.KernelGSBase>>63 == 1:
		return mem.VA(s.KernelGSBase)
	}
	return 0
}
