package linux

import (
	"context"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
)

// Search is one search for the Linux kernel of a machine, in steps of rising
// cost, so that what a step found is never looked for again: Quick reads a few
// pages, Image what the CPUs' tables map of a kernel image, Visit takes all of
// memory. Locate does whatever of this was not done yet, and the rest.
type Search struct {
	k       *Kernel
	o       Options
	release string
	passed  bool // all of memory was handed over
	imaged  bool // Image ran
}

// NewSearch begins a search; nothing is read yet.
func NewSearch(m *machine.Machine, o Options) *Search {
	return &Search{k: &Kernel{Machine: m}, o: o}
}

// Release is the kernel's release as far as the search has come, "6.1.0-43-amd64";
// "" is not known.
func (s *Search) Release() string { return s.release }

// Quick reports whether the machine is a Linux guest by what costs little: the
// note that its kernel gave QEMU, or the kernel's banner near the beginning of
// the data of an image that lies where Linux maps its own.
func (s *Search) Quick() bool {
	if !s.o.IgnoreInfo && !s.o.IgnoreNote {
		if v := noteInfo(s.k.Machine); v != nil {
			s.release = v.Release()
			if !s.k.tryInfo(v, "note") {
				s.k.warn(fault.LinuxUnreachable, "the VMCOREINFO note disagrees with memory and is not used")
			}
			return true
		}
	}
	return s.byBanner(bannerReach)
}

// Image looks through all of a kernel image that some CPU's tables map.
func (s *Search) Image() bool {
	s.imaged = true
	return s.byBanner(maxImage)
}

// byBanner takes the page tables of the first CPU that map a kernel image with a
// banner in the first limit bytes of its data.
func (s *Search) byBanner(limit uint64) bool {
	for _, space := range cpuSpaces(s.k.Machine) {
		text, ok := imageText(space)
		if !ok {
			continue
		}
		spans := mapped(space, text, kernelMap+kernelMapSize, maxImage)
		if limit < maxImage {
			spans = within(spans, dataStart(space, spans), limit)
		}
		banner, ok := bannerIn(view{space}, spans)
		if !ok {
			continue
		}
		pa, _, err := space.Translate(mem.VA(text))
		if err != nil {
			continue
		}
		s.k.Space, s.k.Text, s.k.Slide = space, text, text-linkText
		s.k.PhysBase = int64(uint64(pa) - (text - kernelMap))
		s.release, _, _ = strings.Cut(strings.TrimPrefix(banner, string(bannerMark)), " ")
		return true
	}
	return false
}

// Visit takes whole page frames of the machine's memory at pa, in ascending
// order; true where they led to the kernel.
func (s *Search) Visit(pa mem.PA, p []byte) bool {
	return !s.o.IgnoreInfo && infoTexts(s.k.Machine.Mem, pa, p, s.take)
}

// take is the kernel of a text found in memory, when memory agrees with it.
func (s *Search) take(v *VMCoreInfo) bool {
	if !s.k.tryInfo(v, "memory") {
		return false
	}
	s.release = v.Release()
	return true
}

// Passed says that all of memory was handed to Visit: Locate need not read it
// again.
func (s *Search) Passed() { s.passed = true }

// Locate finds the kernel, or fails with linux-unreachable or the context's
// error.
func (s *Search) Locate(ctx context.Context) (*Kernel, error) {
	if s.k.Space == nil && !s.imaged {
		s.Image()
	}
	if s.k.Space == nil && !s.passed && !s.o.IgnoreInfo {
		if err := scanInfo(ctx, s.k.Machine.Mem, s.o.Sink, s.take); err != nil && ctx.Err() != nil {
			return nil, fault.Wrap(err, fault.Cancelled, "")
		}
		s.passed = true
	}
	if s.k.Space == nil {
		return nil, fault.New(fault.LinuxUnreachable, "")
	}
	return s.k.complete(ctx, s.o)
}

// Locate finds the Linux kernel in a machine's memory by one search of its own,
// or fails with linux-unreachable.
func Locate(ctx context.Context, m *machine.Machine, o Options) (*Kernel, error) {
	s := NewSearch(m, o)
	s.Quick()
	return s.Locate(ctx)
}

// complete reads everything that the page tables lead to.
func (k *Kernel) complete(ctx context.Context, o Options) (*Kernel, error) {
	k.view = view{k.Space}
	k.image = mapped(k.Space, k.Text, kernelMap+kernelMapSize, maxImage)
	o.Logf("linux: text at %#x, slide %#x, phys_base %#x, vmcoreinfo from %q", k.Text, k.Slide, uint64(k.PhysBase), k.InfoFrom)

	if err := k.findSymbols(ctx, o); err != nil {
		return nil, err
	}
	if k.Info == nil && !o.IgnoreInfo {
		if err := k.findInfo(ctx, o); err != nil {
			return nil, err
		}
	}
	k.identify(ctx)
	k.warnNewer()
	k.findModules()
	return k, ctx.Err()
}
