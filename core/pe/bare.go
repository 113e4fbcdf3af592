package pe

import "coredrop/core/mem"

// Bare makes an image of which the header is not there: what is known of it was
// found elsewhere. exports is the RVA of its export directory; 0: not known. why
// says why there is no CodeView record until one is put in.
func Bare(m Memory, base mem.VA, size uint32, machine uint16, exports uint32, why error) *Image {
	img := &Image{Base: base, Machine: machine, SizeOfImage: size,
		CodeViewErr: noCodeView(why, "the header of the image at %v, which leads to its CodeView record, cannot be used: %v", base, why)}
	if exports != 0 {
		img.exportDir = directory{exports, exportBytes}
		img.Exports = reader{m, base}.exports(img.exportDir)
	}
	return img
}

// CodeViewAt reads the CodeView record at an RVA of the image at base.
func CodeViewAt(m Memory, base mem.VA, rva uint32) (*CodeView, error) {
	return reader{m, base}.record(rva, rsdsName+maxNameBytes)
}

// Whole is the section that stands for all of an image of size bytes where its
// section table cannot be used.
func Whole(size uint32) Section {
	return Section{VirtualSize: size, Characteristics: sectionExecute | sectionWrite}
}
