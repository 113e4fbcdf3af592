package find

import (
	"bytes"
	"errors"
	"fmt"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// restore gives the kernel image of which something was found, and what of its
// header cannot be used. img and err are what its header says. nil: the header is
// right, and what it leads to was looked at before.
func (f *finder) restore(s *paging.Space, img *pe.Image, err error, mark windows.ImageMark) (*pe.Image, []string) {
	var why string
	switch {
	case err != nil:
		why = fmt.Sprintf("its header cannot be used (%v)", err)
	case img.Machine != f.p.arch.PE:
		why = fmt.Sprintf("its header names another machine, %#x", img.Machine)
	case !windows.InImage(mark.VA, img.Base, img.SizeOfImage, 8):
		why = fmt.Sprintf("its header says that it has %#x bytes, and its %v is at %v", img.SizeOfImage, mark.Kind, mark.VA)
	case f.seen[candidate{s.Root, mark.Base, false}] && looksLikeKernel(img):
		return nil, nil
	default:
		return img, nil
	}
	for _, c := range f.kernels {
		if c.space.Root == s.Root && c.image.Base != mark.Base && len(c.doubts) == 0 && windows.InImage(mark.VA, c.image.Base, c.image.SizeOfImage, 1) {
			f.refuse("image at %v: the %v that names it lies in the kernel image at %v", mark.Base, mark.Kind, c.image.Base)
			return nil, nil
		}
	}
	listed, ok := f.listed(s, mark)
	if ok && listed.Base != mark.Base {
		f.refuse("image at %v: the module list has the %v that names it in the image at %v", mark.Base, mark.Kind, listed.Base)
		return nil, nil
	}
	size, how := listed.Size, "the module list's"
	if !ok {
		size, how = mapped(s, mark), "that of what is mapped"
	}
	left := f.leftovers(s, mark, size)
	// One witness may be a forgery, or a copy of what was true before the guest
	// started anew.
	witnesses := len(left.kinds)
	if ok {
		witnesses++
	}
	if img != nil || startsImage(s, mark.Base) {
		witnesses++
	}
	if witnesses < 2 {
		f.refuse("image at %v: nothing but its %v at %v says that it is there", mark.Base, mark.Kind, mark.VA)
		return nil, nil
	}
	bare := pe.Bare(s, mark.Base, size, f.p.arch.PE, left.exports, errors.New(why))
	said := fmt.Sprintf("%s: it was found by its %v at %v; its size is %s, %#x bytes", why, mark.Kind, mark.VA, how, size)
	if left.record != nil {
		bare.CodeView, bare.CodeViewErr = left.record, nil
		said += fmt.Sprintf("; its CodeView record was found by its contents at %v", left.recordAt)
	}
	return bare, []string{said}
}

// listed gives the module list's entry for the image in which a mark lies.
func (f *finder) listed(s *paging.Space, mark windows.ImageMark) (windows.Module, bool) {
	modules := mark.Modules
	if mark.Kind == windows.MarkBlock {
		if at, ok := windows.SpotAt(s, mark.VA, mark.Base); ok {
			if k, err := at.Read(s); err == nil {
				modules = k.ModuleList()
			}
		}
	}
	if modules == 0 {
		return windows.Module{}, false
	}
	return windows.ImageInList(s, modules, mark.VA)
}

// mapped gives the size of an image without its header by what is mapped without
// a gap behind what was found of it.
func mapped(s *paging.Space, mark windows.ImageMark) uint32 {
	end, gap := mark.VA.Page(), 0
	for va := end; va < mark.Base+windows.ImageReach && gap < maxImageGap; va += mem.PageSize {
		if _, _, err := s.Translate(va); err != nil {
			gap++
			continue
		}
		end, gap = va+mem.PageSize, 0
	}
	return uint32(end - mark.Base)
}

// maxImageGap is how many pages in a row may be missing inside an image.
const maxImageGap = 64

// leftovers is what of an image's header is known without it.
type leftovers struct {
	kinds    map[windows.MarkKind]bool // of what names the image's base
	exports  uint32                    // RVA of the export directory; 0: it was not found
	record   *pe.CodeView
	recordAt mem.VA
}

// leftovers looks through an image for what names its base, and for its CodeView
// record.
func (f *finder) leftovers(s *paging.Space, mark windows.ImageMark, size uint32) leftovers {
	l := leftovers{kinds: map[windows.MarkKind]bool{mark.Kind: true}}
	base := mark.Base
	window := make([]byte, scanWindow+windows.VersionBytes)
	for off := uint64(0); off < uint64(size) && f.ctx.Err() == nil; off += scanWindow {
		p := window[:min(uint64(len(window)), uint64(size)-off)]
		if s.ReadBest(p, base+mem.VA(off)) == 0 {
			continue
		}
		marks := windows.ImageMarks(nil, p, base+mem.VA(off), scanWindow)
		for _, m := range windows.ExportMarks(marks, s, p, base+mem.VA(off), scanWindow, kernelName) {
			if m.Base != base {
				continue
			}
			if l.kinds[m.Kind] = true; m.Kind == windows.MarkExports && l.exports == 0 {
				l.exports = uint32(m.VA - base)
			}
		}
		for i := 0; l.record == nil; i += len(recordMagic) {
			n := bytes.Index(p[min(i, len(p)):], recordMagic)
			if n < 0 {
				break
			}
			i += n
			rva := uint32(off) + uint32(i)
			if cv, err := pe.CodeViewAt(s, base, rva); err == nil && rva%4 == 0 && pe.KernelPDBName(cv.Name) {
				l.record, l.recordAt = cv, base+mem.VA(rva)
			}
		}
	}
	return l
}

// recordMagic begins a CodeView record of PDB 7.0.
var recordMagic = []byte("RSDS")
