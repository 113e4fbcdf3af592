package find

import (
	"strings"

	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// secureImages and hypervisorImages are how the images of VTL1 and of the
// hypervisor begin their names, as their own export directories or PDBs have
// them.
var (
	secureImages     = []string{"securekernel", "skci", "securekernella57"}
	hypervisorImages = []string{"hvix64", "hvax64", "hvaa64", "hvloader", "kdhv"}
)

// imageReach is how far below where a CPU stands the image it runs may begin.
const imageReach = 4 << 20

// strangerMode classifies a CPU that runs none of Windows' processors.
func (f *finder) strangerMode(k *windows.Kernel, x *cpu.State) windows.Mode {
	switch {
	case x == nil || !x.System():
		return windows.ModeUnknown
	case !x.Paging():
		return unpagedMode(x)
	}
	own := paging.New(f.m.Mem, x.Root(), f.modeOf(x))
	if f.sharesWindows(k, own) {
		return windowsMode(x)
	}
	if !x.Kernel() {
		return windows.ModeUnknown
	}
	rip := mem.VA(x.PC())
	pa, _, err := own.Translate(rip)
	switch {
	case err != nil:
		return windows.ModeUnknown
	case uint64(pa) == x.PC():
		return windows.ModeFirmware
	}
	if ours, _, err := k.Space.Translate(rip); err == nil && ours == pa {
		return windows.ModeUnknown // Windows' own code through tables that are not Windows'
	}
	switch name := imageNameBelow(own, rip); {
	case begins(name, secureImages):
		return windows.ModeVTL1
	case begins(name, hypervisorImages):
		return windows.ModeHypervisor
	case own.Resolves(windows.SharedVA):
		return windows.ModeVTL1 // it has a shared page of its own; the hypervisor has none
	}
	return windows.ModeHypervisor
}

func windowsMode(x *cpu.State) windows.Mode {
	if x.Kernel() {
		return windows.ModeKernel
	}
	return windows.ModeUser
}

// sharesWindows reports whether tables are of Windows: they map the shared page,
// or the control region of one of its processors, where Windows has it.
func (f *finder) sharesWindows(k *windows.Kernel, own *paging.Space) bool {
	if sameFrame(k.Space, own, windows.SharedVA) {
		return true
	}
	for i := range k.Processors {
		if kpcr := k.Processors[i].KPCR; kpcr != 0 {
			return sameFrame(k.Space, own, kpcr)
		}
	}
	return false
}

// sameFrame reports whether two spaces map va to the same physical address.
func sameFrame(a, b *paging.Space, va mem.VA) bool {
	at, _, err := a.Translate(va)
	if err != nil {
		return false
	}
	other, _, err := b.Translate(va)
	return err == nil && at == other
}

// imageNameBelow names the image that an address lies in, seen through a space;
// "": none was found.
func imageNameBelow(s *paging.Space, va mem.VA) string {
	floor := va.Page() - min(va.Page(), imageReach)
	for base := va.Page(); base > floor && base <= va; base -= mem.PageSize {
		if _, _, err := s.Translate(base); err != nil {
			base &^= mem.VA(paging.Span(err)) - 1
			continue
		}
		if startsImage(s, base) {
			if img, err := pe.Read(s, base); err == nil && windows.InImage(va, base, img.SizeOfImage, 1) {
				if img.Exports != "" || img.CodeView == nil {
					return img.Exports
				}
				return img.CodeView.Name
			}
		}
	}
	return ""
}

func begins(name string, with []string) bool {
	for _, w := range with {
		if len(name) >= len(w) && strings.EqualFold(name[:len(w)], w) {
			return true
		}
	}
	return false
}
