package dmp

// Offsets in the 64-bit dump header (names from Windows'
// DUMP_HEADER64 as kdmp-parser declares it; QEMU's win_dump_defs.h agrees).
const (
	headerBytes = 0x2000

	offSignature           = 0x0000 // "PAGE"
	offValidDump           = 0x0004 // "DU64"
	offMajorVersion        = 0x0008 // u32
	offMinorVersion        = 0x000c // u32, the build number
	offDirectoryTableBase  = 0x0010
	offPfnDatabase         = 0x0018
	offPsLoadedModuleList  = 0x0020
	offPsActiveProcessHead = 0x0028
	offMachineImageType    = 0x0030 // u32
	offNumberProcessors    = 0x0034 // u32
	offBugCheckCode        = 0x0038 // u32
	offBugCheckParameters  = 0x0040 // 4 u64
	offVersionUser         = 0x0060 // 32 bytes
	offKdDebuggerDataBlock = 0x0080
	offNumberOfRuns        = 0x0088 // u32, then 4 bytes of padding
	offNumberOfPages       = 0x0090
	offRuns                = 0x0098 // {BasePage u64, PageCount u64} each
	offContext             = 0x0348 // 3000 bytes
	offException           = 0x0f00 // EXCEPTION_RECORD64
	offDumpType            = 0x0f98 // u32
	offRequiredDumpSpace   = 0x0fa0
	offSystemTime          = 0x0fa8 // FILETIME
	offComment             = 0x0fb0 // 128 bytes
	offSystemUpTime        = 0x1030 // 100 ns
	offMiniDumpFields      = 0x1038 // u32
	offSecondaryDataState  = 0x103c // u32
	offProductType         = 0x1040 // u32
	offSuiteMask           = 0x1044 // u32
	offWriterStatus        = 0x1048 // u32
	offKdSecondaryVersion  = 0x104d // u8
	offAttributes          = 0x1050 // u32

	runBytes = 16
	// The table's buffer is 700 bytes from 0x88 on: 42 whole runs. The 43rd
	// ends exactly where the context begins, behind the padding word that QEMU
	// counts in, so that upstream's 43 do no harm and 44 do.
	maxRuns       = 42
	maxCompatRuns = 43
)

// Offsets in EXCEPTION_RECORD64, from its start.
const (
	exceptionSet     = 0x1c // as far as Windows sets it where there are no parameters
	offExceptionCode = 0x00 // u32
	offExceptionFlag = 0x04 // u32
	offExceptionAddr = 0x10
)

// Offsets in the bitmap header behind the dump header (as read by
// kdmp-parser, LeechCore, volatility3).
const (
	offBMPSignature = 0x00 // "FDMP": all of memory; "SDMP": the kernel's
	offBMPValidDump = 0x04 // "DUMP"
	offBMPFirstPage = 0x20 // file offset of the first page
	offBMPSet       = 0x28 // number of set bits
	offBMPBits      = 0x30 // number of bits
	offBMPBitmap    = 0x38

	maxBits = 0x7fffffc0 // LeechCore reads up to 0x7fffffff, whole 64 only

	// LeechCore refuses a dump whose first page lies further in.
	leechFirstPage = 16 << 20
)

// Dump types.
const (
	dumpTypeFull   = 1
	dumpTypeBitmap = 5
)

// Values that Windows and upstream elf2dmp write.
const (
	bugCheckLiveDump  = 0x161
	exceptionBreak    = 0x80000003
	exceptionNoReturn = 1
	pageFill          = "PAGE" // what Windows leaves in fields it does not set
	compatComment     = "Hello from elf2dmp!"
	machineAMD64      = 0x8664
)

// Offsets in CONTEXT (x64, winnt.h).
const (
	contextBytes = 0x4d0

	offContextFlags = 0x30 // u32
	offMxCsr        = 0x34 // u32
	offSegCs        = 0x38 // u16 each: Cs Ds Es Fs Gs Ss
	offSegDs        = 0x3a
	offSegEs        = 0x3c
	offSegFs        = 0x3e
	offSegGs        = 0x40
	offSegSs        = 0x42
	offEFlags       = 0x44 // u32
	offRax          = 0x78 // Rax Rcx Rdx Rbx Rsp Rbp Rsi Rdi R8 … R15 Rip
	offRsp          = 0x98
	offRip          = 0xf8
	offFltMxCsr     = 0x118 // FltSave.MxCsr; kdmp-parser wants it equal to MxCsr

	// AMD64 with control, integer and segments. Floating point and debug
	// registers are not in a QEMU note, so the record does not claim them.
	contextFlags = 0x100007
	// A record of which only the place is known: control and segments.
	minimalFlags = 0x100005
	flagAMD64    = 0x100000
	mxcsrDefault = 0x1f80 // the state after FNINIT; the notes do not hold it
)

// Offsets in KSPECIAL_REGISTERS (x64, read out of Windows 10
// 19041 dumps).
const (
	specialBytes = 0x78 // as far as we write

	offSpecialCr0       = 0x00
	offSpecialCr2       = 0x08
	offSpecialCr3       = 0x10
	offSpecialCr4       = 0x18
	offSpecialGdtrLimit = 0x56 // u16
	offSpecialGdtrBase  = 0x58
	offSpecialIdtrLimit = 0x66 // u16
	offSpecialIdtrBase  = 0x68
	offSpecialTr        = 0x70 // u16
	offSpecialLdtr      = 0x72 // u16
)
