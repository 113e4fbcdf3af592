package find

import (
	"slices"
	"strings"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// Bounds of the search for what is left of a kernel whose header is not there.
const (
	aroundReach = windows.ImageReach / 2 // below and above each pointer
	aroundPages = 128 << 10              // 512 MiB, of one search
	startPages  = 2 * aroundReach / mem.PageSize
)

// kernelName reports whether an image's own name is one of the kernel's.
func kernelName(name string) bool {
	return slices.ContainsFunc(kernelExports, func(k string) bool { return strings.EqualFold(k, name) })
}

// surveyor looks for the kernel's data and export directory near pointers into
// it, and yields the bases that they name. It reads what is mapped there once.
type surveyor struct {
	f             *finder
	s             *paging.Space
	looked, named map[mem.VA]bool
	window        []byte
	yield         func(claim) bool
}

// survey goes through pointers until the kernel was found; false: the caller
// wants no more.
func (a *surveyor) survey(starts []mem.VA) bool {
	if len(starts) == 0 {
		return true
	}
	if a.window == nil {
		a.looked, a.named, a.window = map[mem.VA]bool{}, map[mem.VA]bool{}, make([]byte, scanWindow+windows.VersionBytes)
	}
	a.f.logf("no image header leads on: looking for the kernel's data around %d pointers", len(starts))
	for _, start := range starts {
		if !a.around(start) {
			return false
		}
		if a.f.best() != nil {
			break
		}
	}
	return true
}

// around looks through the memory around one pointer, the nearest first.
func (a *surveyor) around(start mem.VA) bool {
	w := a.f.read.walk(startPages)
	middle := start &^ (scanWindow - 1)
	for d := mem.VA(0); d < aroundReach; d += scanWindow {
		for _, at := range []mem.VA{middle + d, middle - d} {
			if a.looked[at] || !a.s.Mode.Kernel(at) || unmapped(a.s, at) {
				continue
			}
			if a.looked[at] = true; a.f.ctx.Err() != nil {
				return false
			}
			got := a.s.ReadBest(a.window, at)
			for n := got / mem.PageSize; n > 0; n-- {
				if !w.step() {
					return true
				}
			}
			if got > 0 && !a.marks(at) {
				return false
			}
		}
	}
	return true
}

// marks yields the bases that the window at an address names.
func (a *surveyor) marks(at mem.VA) bool {
	marks := windows.ImageMarks(nil, a.window, at, scanWindow)
	for _, m := range windows.ExportMarks(marks, a.s, a.window, at, scanWindow, kernelName) {
		if a.named[m.Base] {
			continue
		}
		a.named[m.Base] = true
		a.f.logf("the %v at %v names an image at %v", m.Kind, m.VA, m.Base)
		if !a.yield(claim{m.Base, &m}) {
			return false
		}
	}
	return true
}

// unmapped reports whether nothing is mapped in a window, as far as the level
// says at which the walk to its first page ends.
func unmapped(s *paging.Space, at mem.VA) bool {
	_, _, err := s.Translate(at)
	return err != nil && paging.Span(err) >= scanWindow
}
