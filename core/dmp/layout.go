package dmp

// exceptionSet is how much of the exception record Windows sets where there are
// no parameters: up to the padding behind their number.
const exceptionSet = 0x1c

// leechFirstPage: LeechCore refuses a bitmap dump whose first page lies further
// in.
const leechFirstPage = 16 << 20

// Values that Windows and upstream elf2dmp write.
const (
	bugCheckLiveDump  = 0x161
	exceptionBreak    = 0x80000003
	exceptionNoReturn = 1
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
