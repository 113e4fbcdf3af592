package windows

import (
	"encoding/binary"

	"coredrop/core/mem"
)

// Offsets in KDDEBUGGER_DATA64. Source: the public wdbgexts.h
// declaration, checked on Windows 10 19041 dumps.
const (
	kdFlink              = 0x000
	kdBlink              = 0x008
	kdTag                = 0x010 // "KDBG"
	kdSize               = 0x014
	kdKernBase           = 0x018
	kdModuleList         = 0x048 // PsLoadedModuleList
	kdProcessHead        = 0x050 // PsActiveProcessHead
	kdBugCheckData       = 0x088 // address of {code, p1..p4}
	kdPfnDatabase        = 0x0c0 // address of the variable MmPfnDatabase
	kdProcessorBlock     = 0x218 // KiProcessorBlock
	kdProcessDTB         = 0x2ae // OffsetEProcessDirectoryTableBase
	kdThreadKernelStack  = 0x29c // OffsetKThreadKernelStack
	kdPrcbCurrentThread  = 0x2b4 // OffsetPrcbCurrentThread
	kdPrcbProcStateCtx   = 0x2bc // OffsetPrcbProcStateContext
	kdPcrSelf            = 0x2e2 // OffsetPcrSelfPcr
	kdPcrCurrentPrcb     = 0x2e4 // OffsetPcrCurrentPrcb
	kdPcrContainedPrcb   = 0x2e6 // OffsetPcrContainedPrcb
	kdPrcbSpecialReg     = 0x2f2 // OffsetPrcbProcStateSpecialReg
	kdPrcbContext        = 0x338 // OffsetPrcbContext, Windows 7 and later
	kdSizeWithContext    = 0x340 // blocks of this size and more have it
	kdHeaderSize         = 0x018 // list entry, tag and size
	KDBGMinBytes         = 0x290 // Windows XP
	KDBGMaxBytes         = 0x1000
	kdTagValue           = 0x4742444b
	kdSizeWithPcrOffsets = 0x2f4 // blocks of this size and more have the fields from SizePcr to SpecialReg
)

// The ways in which a debugger block is found (KDBG.FoundBy).
const (
	FoundByPDB            = "pdb"
	FoundByPlain          = "plain"
	FoundByKnownPlaintext = "known-plaintext"
	FoundByFwCfg          = "fwcfg"
)

// KDBG is the kernel's debugger block, KDDEBUGGER_DATA64, in clear.
type KDBG struct {
	VA      mem.VA
	Size    uint32 // bytes, as the block says; a multiple of 8
	Encoded bool   // the guest's memory holds it encoded
	FoundBy string // one of the constants above; "": there is none
	Plain   []byte // Size bytes, decoded

	key Key // by which it was decoded, where known plaintext gave it
}

// Uint64 gives the 64-bit field at an offset; 0 behind the block's end.
func (k KDBG) Uint64(off int) uint64 {
	if off < 0 || off+8 > len(k.Plain) {
		return 0
	}
	return binary.LittleEndian.Uint64(k.Plain[off:])
}

// Uint16 gives the 16-bit field at an offset; 0 behind the block's end.
func (k KDBG) Uint16(off int) uint16 {
	if off < 0 || off+2 > len(k.Plain) {
		return 0
	}
	return binary.LittleEndian.Uint16(k.Plain[off:])
}

// KernBase is the kernel image's base address.
func (k KDBG) KernBase() mem.VA { return mem.VA(k.Uint64(kdKernBase)) }

// ModuleList is the address of PsLoadedModuleList, the list head.
func (k KDBG) ModuleList() mem.VA { return mem.VA(k.Uint64(kdModuleList)) }

// ProcessHead is the address of PsActiveProcessHead, the list head.
func (k KDBG) ProcessHead() mem.VA { return mem.VA(k.Uint64(kdProcessHead)) }

// PfnDatabase is the address of the variable MmPfnDatabase.
func (k KDBG) PfnDatabase() mem.VA { return mem.VA(k.Uint64(kdPfnDatabase)) }

// BugCheckData is the address of KiBugCheckData: the code and four parameters.
func (k KDBG) BugCheckData() mem.VA { return mem.VA(k.Uint64(kdBugCheckData)) }

// ProcessorBlock is the address of KiProcessorBlock, an array of KPRCB
// addresses.
func (k KDBG) ProcessorBlock() mem.VA { return mem.VA(k.Uint64(kdProcessorBlock)) }

// PrcbContext is the offset in the KPRCB of the pointer to the CONTEXT record;
// 0: the record lies inside the KPRCB (before Windows 7), at ProcStateContext.
func (k KDBG) PrcbContext() uint16 {
	if k.Size < kdSizeWithContext {
		return 0
	}
	return k.Uint16(kdPrcbContext)
}

// ProcStateContext is the offset in the KPRCB of ProcessorState.ContextFrame.
func (k KDBG) ProcStateContext() uint16 { return k.Uint16(kdPrcbProcStateCtx) }

// SpecialRegisters is the offset in the KPRCB of
// ProcessorState.SpecialRegisters; 0: the block does not say.
func (k KDBG) SpecialRegisters() uint16 { return k.Uint16(kdPrcbSpecialReg) }
