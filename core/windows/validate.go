package windows

import (
	"errors"
	"fmt"
	"strings"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// BlockCheck is one step of a debugger block's validation. A hard step that
// fails refuses the block. A soft one is counted: what it looks at may be
// damaged in the guest, but of two candidates the one with fewer contradictions
// is right, and more than one contradiction is too many where nothing proves the
// block.
type BlockCheck struct {
	Name  string
	Soft  bool
	check func(s *paging.Space, base mem.VA, size uint32, k KDBG) error
}

// The steps that look at a list's head and its neighbours.
const (
	moduleListCheck  = "module list"
	processListCheck = "process list"
)

// BlockChecks are in order of cost.
var BlockChecks = []BlockCheck{
	{Name: "size", check: checkSize},
	{Name: "tag", check: checkTag},
	{Name: "kernel base", check: checkBase},
	{Name: "list entry", Soft: true, check: checkEntry},
	{Name: "lists inside the image", check: checkInside},
	{Name: moduleListCheck, Soft: true, check: checkModules},
	{Name: processListCheck, Soft: true, check: checkProcesses},
	{Name: "processor block", Soft: true, check: checkProcessors},
	{Name: "context", Soft: true, check: checkContext},
}

// maxContradictions is how many soft steps may fail where nothing proves the
// block.
const maxContradictions = 1

// Validate runs every step on the block k of the kernel image at base with size
// bytes. It returns the number of contradictions and what failed; refused says
// that the block cannot be the kernel's. A block whose hard steps hold is proved
// by a PDB's word for its address, by a processor's control region that names
// itself and the processor block that the block leads to, or by both lists: what
// contradicts it then is damage.
func Validate(s *paging.Space, base mem.VA, size uint32, k KDBG) (contradictions int, refused bool, reason error) {
	var failed []string
	passed := map[string]bool{}
	for _, c := range BlockChecks {
		err := c.check(s, base, size, k)
		if passed[c.Name] = err == nil; err == nil || c.Soft && unknown(err) {
			continue
		}
		err = fmt.Errorf("%s: %w", c.Name, err)
		if !c.Soft {
			return contradictions, true, err
		}
		failed = append(failed, err.Error())
		contradictions++
	}
	if len(failed) > 0 {
		reason = errors.New(strings.Join(failed, "; "))
	}
	proved := k.FoundBy == FoundByPDB || passed[moduleListCheck] && passed[processListCheck] || someProcessor(s, k)
	return contradictions, contradictions > maxContradictions && !proved, reason
}

func checkSize(_ *paging.Space, _ mem.VA, _ uint32, k KDBG) error {
	if !SaneSize(k.Size) || uint32(len(k.Plain)) != k.Size {
		return fmt.Errorf("%#x bytes", k.Size)
	}
	return nil
}

func checkTag(_ *paging.Space, _ mem.VA, _ uint32, k KDBG) error {
	if tag := u32(k.Plain, kdTag); tag != kdTagValue || u32(k.Plain, kdSize) != k.Size {
		return fmt.Errorf("tag %#x", tag)
	}
	return nil
}

func checkBase(_ *paging.Space, base mem.VA, _ uint32, k KDBG) error {
	if k.KernBase() != base {
		return fmt.Errorf("it names the kernel at %v, the image is at %v", k.KernBase(), base)
	}
	return nil
}

// checkEntry wants both links of the block's own list entry to be kernel
// addresses. They need not be equal: a driver may have registered a second
// block. Nothing else of the block hangs on them.
func checkEntry(s *paging.Space, _ mem.VA, _ uint32, k KDBG) error {
	for _, off := range []int{kdFlink, kdBlink} {
		if va := mem.VA(k.Uint64(off)); va%8 != 0 || !s.Mode.Kernel(va) {
			return fmt.Errorf("link %v", va)
		}
	}
	return nil
}

func checkInside(_ *paging.Space, base mem.VA, size uint32, k KDBG) error {
	for _, va := range []mem.VA{k.ModuleList(), k.ProcessHead(), k.ProcessorBlock()} {
		if va%8 != 0 || !InImage(va, base, size, 16) {
			return fmt.Errorf("%v is outside the kernel image", va)
		}
	}
	return nil
}

// headLinks reads a list head and checks that its two neighbours point back.
func headLinks(s *paging.Space, head mem.VA) (first mem.VA, err error) {
	var links [16]byte
	if err := s.ReadAt(links[:], head); err != nil {
		return 0, err
	}
	first = mem.VA(u64(links[:], 0))
	last := mem.VA(u64(links[:], 8))
	back, err := s.Uint64(first + 8)
	if err == nil && mem.VA(back) != head {
		err = fmt.Errorf("the entry %v does not point back to %v", first, head)
	}
	if err != nil {
		return first, err
	}
	next, err := s.Uint64(last)
	if err == nil && mem.VA(next) != head {
		err = fmt.Errorf("the entry %v does not point on to %v", last, head)
	}
	return first, err
}

// checkModules wants the first module to be the kernel itself.
func checkModules(s *paging.Space, base mem.VA, _ uint32, k KDBG) error {
	first, err := headLinks(s, k.ModuleList())
	if err != nil {
		return err
	}
	at, err := s.Uint64(first + ldrBase)
	if err == nil && mem.VA(at) != base {
		err = fmt.Errorf("the first module is at %#x", at)
	}
	return err
}

// checkProcesses wants the first process to be System. A guest that is still
// starting has none.
func checkProcesses(s *paging.Space, _ mem.VA, _ uint32, k KDBG) error {
	if listOf(s, k.ProcessHead()) == listEmpty {
		return nil
	}
	first, err := headLinks(s, k.ProcessHead())
	if err != nil {
		return err
	}
	pid, err := s.Uint64(first - 8)
	if err == nil && pid != SystemPID {
		err = fmt.Errorf("the first process has id %#x", pid)
	}
	return err
}

// checkProcessors wants the first processor's KPCR to point to itself and to
// its KPRCB.
func checkProcessors(s *paging.Space, _ mem.VA, _ uint32, k KDBG) error {
	prcb, err := firstProcessor(s, k)
	if err != nil {
		return err
	}
	return checkPCR(s, prcb, k)
}

// gapsBefore is how many processors may be missing before the first.
const gapsBefore = 64

// firstProcessor gives the first KPRCB that the block leads to.
func firstProcessor(s *paging.Space, k KDBG) (mem.VA, error) {
	for i := range mem.VA(gapsBefore) {
		prcb, err := s.Uint64(k.ProcessorBlock() + 8*i)
		if err != nil || prcb != 0 {
			return mem.VA(prcb), err
		}
	}
	return 0, errors.New("it lists no processor")
}

// someProcessor reports whether one of the first KPRCBs that the block leads to
// lies in a control region that names itself and it.
func someProcessor(s *paging.Space, k KDBG) bool {
	for i := range mem.VA(gapsBefore) {
		prcb, err := s.Uint64(k.ProcessorBlock() + 8*i)
		if err != nil {
			return false
		}
		if prcb != 0 && checkPCR(s, mem.VA(prcb), k) == nil {
			return true
		}
	}
	return false
}

// pcrOffset gives an offset that the block holds, or the one of every x86-64
// release where the block ends before it or holds 0.
func pcrOffset(k KDBG, off int, usual mem.VA) mem.VA {
	if k.Size >= kdSizeWithPcrOffsets {
		if v := k.Uint16(off); v != 0 {
			return mem.VA(v)
		}
	}
	return usual
}

// checkPCR checks a KPRCB by the KPCR around it.
func checkPCR(s *paging.Space, prcb mem.VA, k KDBG) error {
	if prcb%8 != 0 || !s.Mode.Kernel(prcb) {
		return fmt.Errorf("processor block at %v", prcb)
	}
	kpcr := prcb - pcrOffset(k, kdPcrContainedPrcb, PcrPrcb)
	self, err := s.Uint64(kpcr + pcrOffset(k, kdPcrSelf, pcrSelf))
	if err != nil {
		return err
	}
	current, err := s.Uint64(kpcr + pcrOffset(k, kdPcrCurrentPrcb, pcrCurrentPrcb))
	if err != nil {
		return err
	}
	if mem.VA(self) != kpcr || mem.VA(current) != prcb {
		return fmt.Errorf("the control region at %v names itself %#x and its block %#x", kpcr, self, current)
	}
	return nil
}

// checkContext wants the first processor's context record where the block says.
func checkContext(s *paging.Space, _ mem.VA, _ uint32, k KDBG) error {
	prcb, err := firstProcessor(s, k)
	if err != nil {
		return err
	}
	if _, err = contextOf(s, prcb, k); errors.Is(err, errNoOffset) {
		return nil
	}
	return err
}
