package stacks

import (
	"coredrop/core/cpu"
	"coredrop/core/windows"
)

// Offsets in KDDEBUGGER_DATA64 of what it says about threads and processors.
// Source: the public wdbgexts.h declaration, checked on a Windows 10 19041.
const (
	kdThreadKernelStack  = 0x29c // u16, offsets in KTHREAD
	kdThreadInitialStack = 0x29e
	kdThreadProcess      = 0x2a0 // ApcState.Process
	kdThreadState        = 0x2a2
	kdProcessPeb         = 0x2aa // in EPROCESS
	kdProcessDTB         = 0x2ae
	kdPrcbCurrentThread  = 0x2b4 // in KPRCB
	kdThreadStackLimit   = 0x340 // u32, from here on Windows 8 and later
	kdThreadStackBase    = 0x344
	kdPrcbIdleThread     = 0x350 // u16
	kdPrcbDpcStack       = 0x354
	kdPrcbIsrStack       = 0x356
	kdPrcbExceptionStack = 0x398
)

// What has been the same in all x86-64 kernels from 7601 to 22000, for blocks
// that do not say. Source: the symbol tables of 74 kernels.
const (
	prcbCurrentThread  = 0x08
	prcbIdleThread     = 0x18
	threadStackLimit   = 0x30
	threadStackBase    = 0x38
	threadStackBase7   = 0x278 // Windows 7
	threadKernelStack  = 0x58
	threadKernelStack7 = 0x38
	threadState        = 0x184
	threadState7       = 0x164
	threadProcess      = 0xb8
	threadInitialStack = 0x28
	threadListEntry    = 0x2f8 // of KPROCESS.ThreadListHead
	processListHead    = 0x30
	processDTB         = 0x28
	build8             = 9200

	objectThread  = 6 // DISPATCHER_HEADER.Type
	objectProcess = 3
	objectMask    = 0x7f

	kernelStackBytes = 0x6000 // of a processor's own stacks, unless they are grown
)

// The frame that KernelStack points at while a thread is switched out. Source:
// two public readers of Windows' memory; checked before use.
const (
	switchRBP    = 0x30
	switchReturn = 0x38
	switchReach  = 0x100 // how far a return address is looked for otherwise
)

// trapFrame is KTRAP_FRAME of x86-64. Source: public structure listings, the same
// from 7601 to 22000.
var trapFrame = cpu.Layout{Bytes: 0x190, Fields: []cpu.Field{
	{Reg: cpu.RBP, Off: 0x158, Bytes: 8}, {Reg: cpu.RIP, Off: 0x168, Bytes: 8}, {Reg: cpu.CS, Off: 0x170, Bytes: 2}, {Reg: cpu.RSP, Off: 0x180, Bytes: 8}}}

// KTSS64 and an interrupt gate, as the processor has them. Source: Intel SDM
// volume 3.
const (
	pcrTSS    = 0x08
	pcrIDT    = 0x38
	tssIST1   = 0x24 // seven stack pointers
	tssISTs   = 7
	gateBytes = 16
	gateIST   = 4 // bits 0 to 2
)

// layout is where threads and processors keep what is needed; what the debugger
// block does not say is as its build has it.
type layout struct {
	kernelStack, initialStack, stackLimit, stackBase, state, process int // in KTHREAD
	currentThread, idleThread, dpcStack, isrStack, exceptionStack    int // in KPRCB; 0: not known
	peb, dtb                                                         int // in EPROCESS
	lists                                                            []listOffsets
	ids                                                              []int // ETHREAD.Cid
}

// listOffsets is a list of a process's threads: its head in the process, its
// entries in the threads.
type listOffsets struct{ head, entry int }

// builds are the offsets that no debugger block has, by the first build with
// them. Source: the symbol tables of 74 kernels.
var builds = []struct {
	from                                       uint32
	cid, entry, head, dpc, isr, exceptionStack int
}{
	{22000, 0x4c8, 0x538, 0x5e0, 0x33a0, 0x89d8, 0x8268},
	{20348, 0x4c8, 0x538, 0x5e0, 0x33a0, 0x8998, 0x8228},
	{19041, 0x478, 0x4e8, 0x5e0, 0x3110, 0x85d8, 0x7f28},
	{18362, 0x648, 0x6b8, 0x488, 0x2e50, 0x62d8, 0x5c28},
	{17763, 0x638, 0x6a8, 0x488, 0x2e50, 0x62d8, 0},
	{14393, 0x630, 0x698, 0x488, 0x2dd0, 0x6318, 0},
	{9600, 0x620, 0x688, 0x470, 0x2dd0, 0x6198, 0},
	{7600, 0x3b8, 0x428, 0x308, 0x21c0, 0, 0},
}

// blockOffsets are the offsets that a debugger block holds.
type blockOffsets struct{ block *windows.KDBG }

// or gives the offset at a place of the block, or the usual one where the block
// does not say.
func (b blockOffsets) or(off, usual int) int {
	if v := int(b.block.Uint16(off)); v != 0 {
		return v
	}
	return usual
}

// layoutOf takes what the debugger block says, and for the rest what the build
// has. Everything is checked by content where it is used.
func layoutOf(k *windows.Kernel) layout {
	or := blockOffsets{&k.KDBG}.or
	build := k.Shared.Build
	if k.Version.Minor != 0 {
		build = uint32(k.Version.Minor)
	}
	stack, base, state := threadKernelStack, threadStackBase, threadState
	if build != 0 && build < build8 {
		stack, base, state = threadKernelStack7, threadStackBase7, threadState7
	}
	l := layout{
		kernelStack: or(kdThreadKernelStack, stack), initialStack: or(kdThreadInitialStack, threadInitialStack),
		stackLimit: or(kdThreadStackLimit, threadStackLimit), stackBase: or(kdThreadStackBase, base),
		state: or(kdThreadState, state), process: or(kdThreadProcess, threadProcess),
		currentThread: or(kdPrcbCurrentThread, prcbCurrentThread), idleThread: or(kdPrcbIdleThread, prcbIdleThread),
		dpcStack: or(kdPrcbDpcStack, 0), isrStack: or(kdPrcbIsrStack, 0), exceptionStack: or(kdPrcbExceptionStack, 0),
		peb: or(kdProcessPeb, 0), dtb: or(kdProcessDTB, processDTB),
		lists: []listOffsets{{processListHead, threadListEntry}},
	}
	for _, b := range builds {
		l.ids = append(l.ids, b.cid)
		l.lists = append(l.lists, listOffsets{b.head, b.entry})
	}
	for i, b := range builds {
		if build >= b.from {
			// The build's own come first.
			l.ids = append([]int{b.cid}, l.ids...)
			l.lists = append(l.lists[:1:1], append([]listOffsets{{b.head, b.entry}}, l.lists[1:]...)...)
			if l.dpcStack == 0 {
				l.dpcStack, l.isrStack, l.exceptionStack = b.dpc, b.isr, builds[i].exceptionStack
			}
			break
		}
	}
	return l
}
