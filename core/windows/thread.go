package windows

import "coredrop/core/mem"

// The frame that a thread leaves when the processor is switched to another,
// from KTHREAD.KernelStack on. Source: public listings of KSWITCH_FRAME, the
// same on every x86-64 release.
const (
	switchReturn = 0x38 // into KiSwapContext
	switchBytes  = 0x40
)

// LastSwitch gives the place at which the current thread of a processor was
// switched away from last, and its stack pointer there: for a processor that no
// CPU runs, nothing newer is known. 0: not to be had.
func (k *Kernel) LastSwitch(p *Processor) (rip, rsp uint64) {
	current, stack := k.KDBG.Uint16(kdPrcbCurrentThread), k.KDBG.Uint16(kdThreadKernelStack)
	if current == 0 || stack == 0 || p.PRCB == 0 {
		return 0, 0
	}
	thread, err := k.Space.Uint64(p.PRCB + mem.VA(current))
	if err != nil || !k.Space.Mode.Kernel(mem.VA(thread)) {
		return 0, 0
	}
	at, err := k.Space.Uint64(mem.VA(thread) + mem.VA(stack))
	if err != nil || !k.Space.Mode.Kernel(mem.VA(at)) {
		return 0, 0
	}
	rip, err = k.Space.Uint64(mem.VA(at) + switchReturn)
	if err != nil || !InImage(mem.VA(rip), k.Image.Base, k.Image.SizeOfImage, 1) {
		return 0, 0
	}
	return rip, at + switchBytes
}
