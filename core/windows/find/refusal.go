package find

import (
	"slices"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/words"
)

// refusal says why there is no kernel: the first reason that explains the rest,
// and none that was not seen.
func (f *finder) refusal() error {
	if len(f.kernels) > 0 {
		c := f.kernels[0]
		for _, other := range f.kernels {
			if other.err != nil {
				c = other // a block that is missing says more than one that is contradicted
				break
			}
		}
		return f.explain(fault.As(c.err), c)
	}
	states, paging := 0, 0
	for _, x := range f.states() {
		if states++; x.Paging() {
			paging++
		}
	}
	switch {
	case len(f.roots) == 0 && states == 0:
		return f.explain(fault.New(fault.NoQEMUNotes, "the core holds no QEMU CPU notes, so the page tables are not known"), nil)
	case len(f.roots) == 0 && f.samples.encrypted():
		return f.explain(fault.New(fault.EncryptedGuest, ""), nil)
	case len(f.roots) == 0 && f.walks():
		return f.explain(fault.New(fault.NotWindows, "no Windows kernel was found in this core: the page tables work, but nothing maps Windows' shared page"), nil)
	case len(f.roots) == 0 && paging == 0:
		return f.explain(fault.New(fault.KernelPagedState, "no CPU has paging on, and no page tables of Windows were found without their registers"), nil)
	case len(f.roots) == 0:
		return f.explain(fault.New(fault.KernelPagedState, ""), nil)
	case f.idts > 0 && f.gates == 0:
		return f.explain(fault.New(fault.IDTUnreadable, ""), nil)
	case !f.shared:
		return f.explain(fault.New(fault.NotWindows, "no Windows kernel was found in this core: the page where Windows has its shared one is not it"), nil)
	}
	return f.explain(fault.New(fault.KernelNotFound, ""), nil)
}

// explain adds what was tried to an error.
func (f *finder) explain(e *fault.Error, c *found) *fault.Error {
	out := *e
	out.Hints = slices.Clone(e.Hints)
	if c != nil && c.image.CodeView != nil && c.symbols.rvas == nil && f.o.Symbols == nil {
		out.Hint("the PDB that belongs to it: %s %s", c.image.CodeView.Name, c.image.CodeView.Key())
	}
	if c != nil && c.symbols.err != nil && c.symbols.err != c.err {
		out.Hint("its PDB: %v", c.symbols.err)
	}
	out.Hint("page-table bases tried: %s", strings.Join(f.tried, ", "))
	if c == nil && len(f.roots) > 0 {
		out.Hint("the kernel was looked for through %s that show the shared page: below %d pointers, around them, and in the tables", words.Count(len(f.roots), "base"), f.pointers)
	}
	if len(f.refused) > 0 {
		out.Hint("passed over: %s", strings.Join(f.refused[:min(4, len(f.refused))], "; "))
	}
	return &out
}

// walks reports whether some CPU's tables lead from its registers to memory.
func (f *finder) walks() bool {
	for _, x := range f.states() {
		s := paging.New(f.m.Mem, x.Root(), f.modeOf(x))
		if x.Paging() && (s.Resolves(mem.VA(x.PC())) || s.Resolves(mem.VA(x.SP())) || s.Resolves(mem.VA(x.Vectors()))) {
			return true
		}
	}
	return false
}

// Encryption: pages of an encrypted guest look random, and an ordinary guest
// has hardly any that do.
const (
	encryptedSamples = 256
	encryptedMin     = 16  // samples that are not zero
	randomDistinct   = 230 // distinct byte values in 4096 random bytes: 256 but for a few
	randomMost       = 48  // no value occurs this often among them (16 on average)
)

// sampler looks at pages on an even grid over all of memory. What it says is a
// guess and worded as one.
type sampler struct {
	step                   uint64 // pages from one sample to the next
	index, sampled, random uint64
}

func newSampler(m mem.Physical) *sampler {
	var pages uint64
	for _, e := range m.Extents() {
		pages += e.Bytes / mem.PageSize
	}
	return &sampler{step: max(1, pages/encryptedSamples)}
}

// add takes the next page of memory.
func (s *sampler) add(page *[mem.PageSize]byte) {
	if s.index++; (s.index-1)%s.step != 0 || *page == [mem.PageSize]byte{} {
		return
	}
	s.sampled++
	if looksRandom(page[:]) {
		s.random++
	}
}

// encrypted reports whether hardly a page that was looked at is anything but
// noise.
func (s *sampler) encrypted() bool {
	return s != nil && s.sampled >= encryptedMin && s.random*10 >= s.sampled*9
}

func looksRandom(p []byte) bool {
	var counts [256]int
	for _, b := range p {
		counts[b]++
	}
	distinct := 0
	for _, n := range counts {
		if n > randomMost {
			return false
		}
		if n > 0 {
			distinct++
		}
	}
	return distinct >= randomDistinct
}
