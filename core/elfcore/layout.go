package elfcore

// Offsets of the ELF64 header, program headers and section headers.
// Source: System V ABI, chapters 4 and 5; QEMU's dump/dump.c writes them.
const (
	identClass   = 0x04
	identData    = 0x05
	identBytes   = 16
	ehdrType     = 0x10
	ehdrMachine  = 0x12
	ehdrPhoff    = 0x20
	ehdrShoff    = 0x28
	ehdrPhSize   = 0x36 // e_phentsize; e_ehsize (0x34) is 8 from QEMU and never looked at
	ehdrPhCount  = 0x38
	ehdrShSize   = 0x3a
	ehdrBytes    = 0x40
	phdrType     = 0x00
	phdrOffset   = 0x08
	phdrPaddr    = 0x18
	phdrFileSize = 0x20
	phdrMemSize  = 0x28
	phdrBytes    = 0x38
	shdrInfo     = 0x2c
	shdrBytes    = 0x40

	class64      = 2
	littleEndian = 1
	typeCore     = 4
	machineX64   = 62
	typeLoad     = 1
	typeNote     = 4
	extended     = 0xffff // PN_XNUM: the count is in section header 0

	// outside is the p_offset of memory that is not in the file: MMIO in a
	// paging=true core, or memory behind the range that was asked for.
	outside = 1<<64 - 1
)

// A note record: three 32-bit words, then name and descriptor, each padded to
// four bytes.
const (
	noteNameSize = 0
	noteDescSize = 4
	noteType     = 8
	noteHeader   = 12
	noteAlign    = 4

	noteStatus = 1 // NT_PRSTATUS
)

// Offsets in NT_PRSTATUS of x86-64. Source: Linux include/linux/elfcore.h and
// arch/x86/include/asm/user_64.h; QEMU 10.2.2 target/i386/arch_dump.c.
const (
	statusPID       = 32
	statusRegisters = 112 // 27 words: r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx …
	statusWords     = 27
	statusBytes     = statusRegisters + statusWords*8
)

// Offsets in QEMUCPUState. Source: QEMU 10.2.2 target/i386/arch_dump.c;
// verified on QEMU 7.2 cores.
const (
	stateSize         = 0x004
	stateGeneral      = 0x008 // rax rbx rcx rdx rsi rdi rsp rbp r8 … r15 rip rflags
	stateSegments     = 0x098 // cs ds es fs gs ss ldt tr gdt idt
	segmentBytes      = 24
	segmentLimit      = 4
	segmentFlags      = 8
	segmentBase       = 0x10
	stateCR0          = 0x188
	stateCR2          = 0x198
	stateCR3          = 0x1a0
	stateCR4          = 0x1a8
	stateBytesOld     = 0x1b0 // QEMU before 5.0
	stateKernelGSBase = 0x1b0
	stateBytes        = 0x1b8
)

// Bounds on what a file can make us do; real cores stay far below them.
const (
	maxHeaders     = 1 << 24   // program headers; 70,572 in the largest real table seen
	tableChunk     = 512 << 10 // bytes of the table per read
	maxNotes       = 64 << 20  // bytes of note segments walked
	noteWindow     = 256 << 10 // bytes of notes per read
	maxCPUs        = 4096      // QEMU's own limit is 4096 (x86 q35)
	maxGuestNotes  = 64
	maxGuestNote   = 64 << 10 // the largest known (Windows dump header) has 8216
	maxNameCompare = 32
)
