package windows

import "coredrop/core/mem"

// Addresses that are the same on every x86-64 Windows. Source: ntddk.h
// for the shared page, upstream elf2dmp 10.2.2 main.c for the floor.
const (
	SharedVA    mem.VA = 0xfffff78000000000 // kernel alias of KUSER_SHARED_DATA
	ImageFloor  mem.VA = 0xfffff78000000000 // upstream looks for the kernel no lower
	ImageRegion mem.VA = 0xfffff80000000000 // where system images are
	ImageTop    mem.VA = 0xfffffa0000000000 // end of the region
)

// Offsets in the KPCR of x86-64. Source: the KPCR declaration in
// ntddk.h, and the offsets that 19041's debugger block gives.
const (
	pcrSelf         = 0x018
	pcrCurrentPrcb  = 0x020
	PcrVersionBlock = 0x108
	PcrPrcb         = 0x180
	prcbHead        = 0x40 // of the KPRCB: threads, number, stack; no release keeps registers there
)

// KUSER_SHARED_DATA. Source: ntddk.h.
const (
	kusdInterruptTime = 0x008 // low u32, high1, high2
	kusdSystemTime    = 0x014
	kusdSystemRoot    = 0x030 // UTF-16
	kusdRootChars     = 260
	kusdBuild         = 0x260
	kusdProductType   = 0x264
	kusdMajor         = 0x26c

	kusdMajorWithBuild = 10 // earlier releases keep no build number there
	kusdMinor          = 0x270
	kusdSuiteMask      = 0x2d0
	kusdActive         = 0x3c0 // ActiveProcessorCount
	kusdBytes          = 0x3c4
)

// DBGKD_GET_VERSION64. Source: wdbgexts.h.
const (
	verMajor      = 0x00
	verMinor      = 0x02
	verProtocol   = 0x04
	verSecondary  = 0x05
	verFlags      = 0x06
	verMachine    = 0x08
	verKernBase   = 0x10
	verModuleList = 0x18
	verDataList   = 0x20
	VersionBytes  = 0x28
)

// KLDR_DATA_TABLE_ENTRY of x86-64. Source: public structure
// listings of 64-bit kernels, which agree on these fields.
const (
	ldrExceptions     = 0x10 // ExceptionTable
	ldrExceptionBytes = 0x18
	ldrBase           = 0x30
	ldrSize           = 0x40
	ldrBaseName       = 0x58 // UNICODE_STRING: length u16, maximum u16, pad, buffer u64
	ldrBytes          = 0x68
)

// contextBytes is the size of CONTEXT on x86-64 (winnt.h).
const contextBytes = 0x4d0
