package elfcore

import (
	"slices"

	"coredrop/core/cpu"
)

// statusForm is the NT_PRSTATUS of a processor.
type statusForm struct {
	arch      *cpu.Arch
	bytes     int64 // of the whole record: no two processors' have the same
	pid       int   // pr_pid, 32 bits
	registers cpu.Layout
	qemu      bool // QEMU writes a note of its own beside it, with all registers
}

// statusForms are those that are known. Source: Linux include/linux/elfcore.h with
// each processor's elf_gregset_t; QEMU 10.2.2 target/i386/arch_dump.c and
// target/arm/arch_dump.c.
var statusForms = []statusForm{
	{arch: cpu.X64, bytes: 336, pid: 32, qemu: true, registers: cpu.Layout{Bytes: 328, Fields: cpu.At(112, 8,
		cpu.R15, cpu.R14, cpu.R13, cpu.R12, cpu.RBP, cpu.RBX, cpu.R11, cpu.R10, cpu.R9, cpu.R8,
		cpu.RAX, cpu.RCX, cpu.RDX, cpu.RSI, cpu.RDI, cpu.OrigAX, cpu.RIP, cpu.CS, cpu.RFLAGS, cpu.RSP, cpu.SS,
		cpu.FSBase, cpu.GSBase, cpu.DS, cpu.ES, cpu.FS, cpu.GS)}},
	{arch: cpu.X86, bytes: 144, pid: 24, qemu: true, registers: cpu.Layout{Bytes: 140, Fields: cpu.At(72, 4,
		cpu.RBX, cpu.RCX, cpu.RDX, cpu.RSI, cpu.RDI, cpu.RBP, cpu.RAX, cpu.DS, cpu.ES, cpu.FS, cpu.GS,
		cpu.OrigAX, cpu.RIP, cpu.CS, cpu.RFLAGS, cpu.RSP, cpu.SS)}},
	{arch: cpu.ARM64, bytes: 392, pid: 32, registers: cpu.Layout{Bytes: 384, Fields: cpu.At(112, 8,
		append(cpu.Range(cpu.X0, 31, 1), cpu.ArmSP, cpu.ArmPC, cpu.PSTATE)...)}},
}

// formOf gives the form of an ELF file's e_machine; nil: none is known.
func formOf(machine uint16) *statusForm {
	i := slices.IndexFunc(statusForms, func(f statusForm) bool { return f.arch.ELF == machine })
	if i < 0 {
		return nil
	}
	return &statusForms[i]
}

// QEMUCPUState, the note of an x86 CPU. Source: QEMU 10.2.2
// target/i386/arch_dump.c; verified on QEMU 7.2 cores.
const (
	stateSize     = 0x004 // u32: bytes of the record. QEMU never raised the version
	stateBytesOld = 0x1b0 // QEMU before 5.0: it ends before KERNEL_GS_BASE
)

var stateLayout = cpu.Layout{Bytes: 0x1b8, Fields: cpu.Join(
	cpu.At(0x008, 8, cpu.RAX, cpu.RBX, cpu.RCX, cpu.RDX, cpu.RSI, cpu.RDI, cpu.RSP, cpu.RBP,
		cpu.R8, cpu.R9, cpu.R10, cpu.R11, cpu.R12, cpu.R13, cpu.R14, cpu.R15, cpu.RIP, cpu.RFLAGS),
	cpu.Segments(0x098, 24, cpu.SegmentParts{Selector: cpu.Field{Off: 0, Bytes: 4}, Limit: cpu.Field{Off: 4, Bytes: 4},
		Flags: cpu.Field{Off: 8, Bytes: 4}, Base: cpu.Field{Off: 16, Bytes: 8}},
		cpu.CS, cpu.DS, cpu.ES, cpu.FS, cpu.GS, cpu.SS, cpu.LDT, cpu.TR, cpu.GDT, cpu.IDT),
	cpu.At(0x188, 8, cpu.CR0, cpu.None, cpu.CR2, cpu.CR3, cpu.CR4, cpu.KernelGSBase))}
