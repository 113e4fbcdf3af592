package cpu

// The registers of ARM64 (Arm ARM, DDI 0487, chapters B1 and D23). Register n is
// X0 + n. The current stack pointer and the program counter carry the
// architecture's name, for every processor has such; system registers without an
// exception level in their name are EL1's.
const (
	X0  = bankARM // to X30
	X29 = X0 + 29
	X30 = X0 + 30
)

// What stands beside the general registers.
const (
	ArmSP = X30 + 1 + iota
	ArmPC
	PSTATE
	SPEL0
	SPEL1
	ELR
	SPSR
	SCTLR
	TCR
	TTBR0
	TTBR1
	MAIR
	VBAR
	TPIDR
	TPIDREL0
	TPIDRROEL0
	ESR
	FAR
	CPACR
	CONTEXTIDR
	FPCR
	FPSR

	armVectors // the first free number
)

// The SIMD registers take two numbers each. Of breakpoints and watchpoints an
// operating system keeps this many, each an address and its control.
const (
	armVectorCount = 32
	breakpoints    = 8
	watchpoints    = 2

	V0   = armVectors            // to V31: the low half, then the high one
	BVR0 = V0 + 2*armVectorCount // addresses of breakpoints
	BCR0 = BVR0 + breakpoints    // their controls
	WVR0 = BCR0 + breakpoints    // addresses of watchpoints
	WCR0 = WVR0 + watchpoints    // their controls
)

// PSTATE's exception level (bits 3:2), and the MMU's bit of SCTLR.
const (
	armLevel = 3 << 2
	armEL1   = 1 << 2
	sctlrMMU = 1 << 0
)

// ARM64 is AArch64: IMAGE_FILE_MACHINE_ARM64, EM_AARCH64. Root is TTBR1, of the
// kernel's half of the address space.
var ARM64 = &Arch{Name: "arm64", PE: 0xaa64, ELF: 183, Pointer: 8, bank: bankARM,
	PC: ArmPC, SP: ArmSP, Flags: PSTATE, Root: TTBR1, Vectors: VBAR,
	Kernel: Bits{PSTATE, armLevel, armEL1}, Paging: Bits{SCTLR, sctlrMMU, sctlrMMU},
	Listed: []Reg{X0, X0 + 1, X0 + 2, X0 + 3, X0 + 4, X0 + 5, X0 + 6, X0 + 7, X0 + 8, X0 + 9, X0 + 10, X0 + 11, X0 + 12, X0 + 13, X0 + 14, X0 + 15,
		X0 + 16, X0 + 17, X0 + 18, X0 + 19, X0 + 20, X0 + 21, X0 + 22, X0 + 23, X0 + 24, X0 + 25, X0 + 26, X0 + 27, X0 + 28, X29, X30,
		ArmSP, ArmPC, PSTATE, SPEL0, SPEL1, ELR, SPSR, SCTLR, TCR, TTBR0, TTBR1, MAIR, VBAR, TPIDR},
	names: [2]*[]series{&armNames}}

var armNames = []series{
	{first: X0, word: "x", count: 31},
	{first: ArmSP, list: []string{"sp", "pc", "pstate", "sp_el0", "sp_el1", "elr_el1", "spsr_el1",
		"sctlr_el1", "tcr_el1", "ttbr0_el1", "ttbr1_el1", "mair_el1", "vbar_el1", "tpidr_el1", "tpidr_el0", "tpidrro_el0",
		"esr_el1", "far_el1", "cpacr_el1", "contextidr_el1", "fpcr", "fpsr"}},
	{first: V0, word: "v", count: armVectorCount, parts: halves},
	{first: BVR0, word: "bvr", count: breakpoints}, {first: BCR0, word: "bcr", count: breakpoints},
	{first: WVR0, word: "wvr", count: watchpoints}, {first: WCR0, word: "wcr", count: watchpoints},
}
