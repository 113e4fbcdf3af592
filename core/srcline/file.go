package srcline

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"coredrop/core/fault"
)

var le = binary.LittleEndian

// File is an ELF file with debugging information. Its methods are not for use by
// several goroutines at once.
type File struct {
	elf     *elf.File
	size    int64
	in      *counter
	buildID string

	info, abbrev, line, str, lineStr, strOffsets section
	addr, ranges, rngLists, aranges              section

	index     *index
	cache     []*unit // newest last
	fileNames []byte  // .debug_line_str, once read
	functions map[string][]Place
	banner    Place
}

// counter counts what is read of the file.
type counter struct {
	io.ReaderAt
	bytes int64
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

// ErrNotELF says that a file is no ELF file of x86-64.
var ErrNotELF = errors.New("not an ELF file of x86-64")

// maxSections bounds what is believed of a file's section table.
const maxSections = 1 << 17

// Open reads the headers of an ELF file. It fails with ErrNotELF for other files,
// and with no-debug-info for one without DWARF.
func Open(r io.ReaderAt, size int64) (*File, error) { return open(r, size, maxAllHeld) }

// open is Open with so many bytes for compressed sections that are unpacked into
// memory.
func open(r io.ReaderAt, size, held int64) (*File, error) {
	var head [20]byte
	if size < int64(len(head)) {
		return nil, ErrNotELF
	}
	if _, err := r.ReadAt(head[:], 0); err != nil && err != io.EOF {
		return nil, fault.Wrap(err, fault.InputUnreadable, "")
	}
	if !bytes.HasPrefix(head[:], []byte(elf.ELFMAG)) || head[elf.EI_CLASS] != byte(elf.ELFCLASS64) ||
		head[elf.EI_DATA] != byte(elf.ELFDATA2LSB) || elf.Machine(le.Uint16(head[18:])) != elf.EM_X86_64 {
		return nil, ErrNotELF
	}
	if elf.Type(le.Uint16(head[16:])) == elf.ET_CORE {
		return nil, fault.New(fault.NoDebugInfo, "this is a memory core: it has no debugging information")
	}
	in := &counter{ReaderAt: io.NewSectionReader(r, 0, size)}
	f, err := elf.NewFile(in)
	if err != nil {
		return nil, fault.New(fault.DebugDamaged, "the file with the debugging information is damaged: %v", err)
	}
	if len(f.Sections) > maxSections {
		return nil, fault.New(fault.DebugDamaged, "the file with the debugging information has %d sections", len(f.Sections))
	}
	d := &File{elf: f, size: size, in: in}
	d.buildID = d.readBuildID()
	for name, s := range map[string]*section{"info": &d.info, "abbrev": &d.abbrev, "line": &d.line, "str": &d.str,
		"line_str": &d.lineStr, "str_offsets": &d.strOffsets, "addr": &d.addr, "ranges": &d.ranges,
		"rnglists": &d.rngLists, "aranges": &d.aranges} {
		if err := d.openSection(s, name, &held); err != nil {
			return nil, err
		}
	}
	if d.info.size == 0 || d.abbrev.size == 0 {
		return d, fault.New(fault.NoDebugInfo, "")
	}
	return d, nil
}

// BuildID is the file's build ID in lower-case hexadecimal, "" without one.
func (f *File) BuildID() string { return f.buildID }

// BytesRead is how much of the file was read so far.
func (f *File) BytesRead() int64 { return f.in.bytes }

// Relocatable reports whether the file is a module: its addresses are those of
// Places.
func (f *File) Relocatable() bool { return f.elf.Type == elf.ET_REL }

// NT_GNU_BUILD_ID, and how long it may be.
const (
	noteBuildID = 3
	maxBuildID  = 64
	maxNotes    = 64 << 10
)

// readBuildID looks through the sections of notes.
func (f *File) readBuildID() string {
	for _, s := range f.elf.Sections {
		if s.Type != elf.SHT_NOTE || s.Size > maxNotes || s.Flags&elf.SHF_COMPRESSED != 0 {
			continue
		}
		p := make([]byte, s.Size)
		if n, err := s.ReadAt(p, 0); err != nil && n < len(p) {
			continue
		}
		if id := NoteBuildID(p); id != "" {
			return id
		}
	}
	return ""
}

// NoteBuildID finds the build ID in the bytes of ELF notes, "" when there is none:
// for the notes that a kernel keeps of itself and of its modules.
func NoteBuildID(p []byte) string {
	for len(p) >= 12 {
		name, desc, kind := uint64(le.Uint32(p)), uint64(le.Uint32(p[4:])), le.Uint32(p[8:])
		at := 12 + (name+3)&^3
		end := at + (desc+3)&^3
		if at+desc > uint64(len(p)) {
			return ""
		}
		if kind == noteBuildID && name == 4 && string(p[12:16]) == "GNU\x00" && desc > 0 && desc <= maxBuildID {
			return hex.EncodeToString(p[at : at+desc])
		}
		if end >= uint64(len(p)) {
			return ""
		}
		p = p[end:]
	}
	return ""
}

// damaged is an error of the file's contents.
func damaged(format string, args ...any) error {
	return fault.New(fault.DebugDamaged, "the debugging information is damaged: %s", fmt.Sprintf(format, args...))
}
