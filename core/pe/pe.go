// Package pe reads the headers of a Windows image in guest memory and the
// CodeView record that names its PDB. Pages may be missing: only what is needed
// is read, and what is missing is said. It does not search for images, reads no
// files on disk, and knows nothing of symbol stores.
package pe

import (
	"encoding/binary"
	"errors"
	"fmt"

	"coredrop/core/mem"
)

// Memory is a guest's virtual memory; *paging.Space is one.
type Memory interface {
	// ReadAt fills p from va on, or fails.
	ReadAt(p []byte, va mem.VA) error
}

// The machines of the file header.
const (
	MachineI386  = 0x014c
	MachineAMD64 = 0x8664
	MachineARM64 = 0xaa64
)

// ErrNotImage says that there is no image at an address: the signatures or the
// fields that everything else depends on are wrong. errors.Is finds it; a page
// that cannot be read is the memory's own error instead.
var ErrNotImage = errors.New("not an image")

// Image is what the headers of an image say.
type Image struct {
	Base          mem.VA
	ImageBase     uint64 // the address the header names; the loader may leave the linker's
	TimeDateStamp uint32
	SizeOfImage   uint32 // in bytes
	Machine       uint16 // MachineAMD64, …
	PE32          bool   // pointers of 4 bytes instead of 8
	Sections      []Section
	Exports       string // module name of the export directory; "": none, or unreadable
	CodeView      *CodeView
	CodeViewErr   error // why CodeView is nil: a *fault.Error with code no-codeview

	exportDir, exceptionDir directory
}

// ExportDirectory gives where the export directory lies, and its size; 0: there is
// none.
func (i *Image) ExportDirectory() (rva, size uint32) { return i.exportDir.rva, i.exportDir.size }

// Section is one section header. VirtualAddress is relative to the image's base,
// sizes are in bytes.
type Section struct {
	Name                                         string
	VirtualAddress, VirtualSize, Characteristics uint32
}

// Writable reports whether the section may be written to.
func (s Section) Writable() bool { return s.Characteristics&sectionWrite != 0 }

// PointerBytes gives the width of the image's pointers.
func (i *Image) PointerBytes() int {
	if i.PE32 {
		return 4
	}
	return 8
}

// Key gives the image's own identity in a symbol store: the time stamp as eight
// upper-case digits, then the size without padding.
func (i *Image) Key() string { return fmt.Sprintf("%08X%x", i.TimeDateStamp, i.SizeOfImage) }

// Section finds a section by its name.
func (i *Image) Section(name string) (Section, bool) {
	for _, s := range i.Sections {
		if s.Name == name {
			return s, true
		}
	}
	return Section{}, false
}

// SectionAt finds the section that an offset in the image lies in.
func (i *Image) SectionAt(rva uint32) (Section, bool) {
	for _, s := range i.Sections {
		if rva >= s.VirtualAddress && rva-s.VirtualAddress < s.VirtualSize {
			return s, true
		}
	}
	return Section{}, false
}

// Executable reports whether the section holds code.
func (s Section) Executable() bool { return s.Characteristics&sectionExecute != 0 }

// directory is one entry of the optional header's list.
type directory struct{ rva, size uint32 }

// Read reads the image at base: PE32 and PE32+ of any machine. An image whose
// section table, export directory or debug directory cannot be read is returned
// all the same, without them.
func Read(m Memory, base mem.VA) (*Image, error) {
	nt, h, err := header(m, base)
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	img := &Image{
		Base:          base,
		Machine:       le.Uint16(h[ntMachine:]),
		TimeDateStamp: le.Uint32(h[ntTimestamp:]),
		SizeOfImage:   le.Uint32(h[ntSizeOfImage:]),
		PE32:          le.Uint16(h[ntMagicField:]) == magic32,
	}
	count, dirs := le.Uint32(h[ntDirCount64:]), h[ntDirs64:]
	img.ImageBase = le.Uint64(h[ntImageBase64:])
	if img.PE32 {
		count, dirs = le.Uint32(h[ntDirCount32:]), h[ntDirs32:]
		img.ImageBase = uint64(le.Uint32(h[ntImageBase32:]))
	}
	entry := func(i uint32) (d directory) {
		if i < count {
			d = directory{le.Uint32(dirs[i*dirBytes:]), le.Uint32(dirs[i*dirBytes+4:])}
		}
		return d
	}
	r := reader{m, base}
	table := nt + ntOptional + uint32(le.Uint16(h[ntOptionalSize:]))
	img.Sections = r.sections(table, int(le.Uint16(h[ntSections:])))
	img.exportDir, img.exceptionDir = entry(dirExport), entry(dirException)
	img.Exports = r.exports(img.exportDir)
	img.CodeView, img.CodeViewErr = r.codeView(entry(dirDebug))
	return img, nil
}

// Stamps reads what a symbol store and a loader tell an image's builds apart by:
// its time stamp and its check sum.
func Stamps(m Memory, base mem.VA) (timeDate, checkSum uint32, err error) {
	_, h, err := header(m, base)
	if err != nil {
		return 0, 0, err
	}
	return binary.LittleEndian.Uint32(h[ntTimestamp:]), binary.LittleEndian.Uint32(h[ntCheckSum:]), nil
}

// header reads and checks the DOS and NT headers. The NT headers are padded with
// zeros where a directory list at a page's end runs into a missing page.
func header(m Memory, base mem.VA) (nt uint32, h []byte, err error) {
	r := reader{m, base}
	var dos [dosBytes]byte
	if err := r.read(dos[:], 0); err != nil {
		return 0, nil, err
	}
	if string(dos[:2]) != dosMagic {
		return 0, nil, fmt.Errorf("no MZ at %v: %w", base, ErrNotImage)
	}
	nt = binary.LittleEndian.Uint32(dos[dosLfanew:])
	if nt > maxHeaderOffset {
		return 0, nil, fmt.Errorf("NT headers at offset %#x of %v: %w", nt, base, ErrNotImage)
	}
	h = make([]byte, ntBytes)
	if err := r.read(h, nt); err != nil {
		// Enough is what is in the first page of two: up to the directories.
		inPage := pageBytes - (uint64(base)+uint64(nt))%pageBytes
		if inPage < ntDirs64 {
			return 0, nil, err
		}
		clear(h)
		if err := r.read(h[:min(inPage, ntBytes)], nt); err != nil {
			return 0, nil, err
		}
	}
	if string(h[:4]) != ntMagic {
		return 0, nil, fmt.Errorf("no PE signature at %v: %w", base+mem.VA(nt), ErrNotImage)
	}
	if magic := binary.LittleEndian.Uint16(h[ntMagicField:]); magic != magic32 && magic != magic64 {
		return 0, nil, fmt.Errorf("optional header of kind %#x at %v: %w", magic, base, ErrNotImage)
	}
	return nt, h, nil
}

// reader reads an image's memory by offset.
type reader struct {
	m    Memory
	base mem.VA
}

// read fills p from an offset on. Offsets are 32 bits wide, so that the sum
// cannot overflow twice; one that wraps around is refused.
func (r reader) read(p []byte, rva uint32) error {
	va := r.base + mem.VA(rva)
	if va < r.base || va+mem.VA(len(p)) < va {
		return fmt.Errorf("offset %#x of the image at %v: %w", rva, r.base, ErrNotImage)
	}
	return r.m.ReadAt(p, va)
}

// text reads a string that ends with NUL or after limit bytes, page by page, so
// that a missing page behind its end does not matter.
func (r reader) text(rva uint32, limit int) ([]byte, error) {
	var out []byte
	for len(out) < limit {
		at := rva + uint32(len(out))
		if at < rva {
			return nil, ErrNotImage
		}
		n := min(limit-len(out), int(pageBytes-(uint64(r.base)+uint64(at))%pageBytes))
		p := make([]byte, n)
		if err := r.read(p, at); err != nil {
			return nil, err
		}
		for i, c := range p {
			if c == 0 {
				return append(out, p[:i]...), nil
			}
		}
		out = append(out, p...)
	}
	return out, nil
}

func (r reader) sections(table uint32, count int) []Section {
	var list []Section
	var h [sectionBytes]byte
	for i := range min(count, maxSections) {
		if r.read(h[:], table+uint32(i*sectionBytes)) != nil {
			break // the rest of the table is missing: what is there is used
		}
		name := h[:sectionNameBytes]
		for n, c := range name {
			if c == 0 {
				name = name[:n]
				break
			}
		}
		le := binary.LittleEndian
		list = append(list, Section{Name: string(name),
			VirtualAddress:  le.Uint32(h[sectionVirtualAddress:]),
			VirtualSize:     le.Uint32(h[sectionVirtualSize:]),
			Characteristics: le.Uint32(h[sectionCharacteristics:])})
	}
	return list
}

// exports gives the module name; its page is often paged out.
func (r reader) exports(d directory) string {
	var h [exportMinBytes]byte
	if d.rva == 0 || d.size < exportMinBytes || r.read(h[:], d.rva) != nil {
		return ""
	}
	name, err := r.text(binary.LittleEndian.Uint32(h[exportName:]), maxExportName)
	if err != nil {
		return ""
	}
	return string(name)
}
