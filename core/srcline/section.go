package srcline

import (
	"bytes"
	"compress/zlib"
	"debug/elf"
	"io"

	"coredrop/core/fault"
)

// section is a section's contents, uncompressed and relocated, read by ranges.
type section struct {
	name string
	r    io.ReaderAt
	size int64
	rel  *relocations // nil where nothing is to be relocated
}

// Compressed sections of at most maxHeld bytes are unpacked into memory, all of
// them together at most maxAllHeld; others are unpacked anew up to the range.
const (
	maxHeld    = 16 << 20
	maxAllHeld = 48 << 20
)

// openSection finds .debug_name or, in the older way to compress, .zdebug_name.
// held is how much may still be unpacked into memory.
func (f *File) openSection(s *section, name string, held *int64) error {
	s.name = ".debug_" + name
	e := f.elf.Section(s.name)
	open := func() (io.Reader, error) { return e.Open(), nil }
	packed := false
	if e != nil {
		s.size = int64(e.Size)
		s.r = e.ReaderAt
		if packed = e.Flags&elf.SHF_COMPRESSED != 0; packed {
			s.r = nil
		}
	} else if e = f.elf.Section(".zdebug_" + name); e != nil {
		var head [12]byte
		if _, err := e.ReadAt(head[:], 0); err != nil || !bytes.HasPrefix(head[:], []byte("ZLIB")) {
			return damaged("%s has no header", e.Name)
		}
		packed = true
		for _, c := range head[4:] {
			s.size = s.size<<8 | int64(c)
		}
		open = func() (io.Reader, error) { return zlib.NewReader(io.NewSectionReader(e, 12, int64(e.FileSize)-12)) }
	}
	if e != nil && !packed { // as far as the file goes
		s.size = min(s.size, f.size-min(f.size, int64(e.Offset)))
	}
	if s.size < 0 || !packed && e != nil && e.Type == elf.SHT_NOBITS {
		s.size = 0
	}
	if s.size == 0 {
		return nil
	}
	if f.Relocatable() {
		s.rel = f.relocationsOf(e)
	}
	if !packed {
		return nil
	}
	if s.size <= min(maxHeld, *held) {
		*held -= s.size
		r, err := open()
		if err != nil {
			return damaged("%s does not unpack: %v", e.Name, err)
		}
		p := make([]byte, s.size)
		if _, err := io.ReadFull(r, p); err != nil {
			return damaged("%s does not unpack: %v", e.Name, err)
		}
		s.r = bytes.NewReader(p)
		return nil
	}
	s.r = &unpacker{open: open}
	return nil
}

// unpacker reads a compressed section by ranges: forward from where it is, or
// from the start again.
type unpacker struct {
	open func() (io.Reader, error)
	r    io.Reader
	pos  int64
}

func (u *unpacker) ReadAt(p []byte, off int64) (int, error) {
	if u.r == nil || off < u.pos {
		r, err := u.open()
		if err != nil {
			return 0, err
		}
		u.r, u.pos = r, 0
	}
	n, err := io.CopyN(io.Discard, u.r, off-u.pos)
	u.pos += n
	if err != nil {
		u.r = nil
		return 0, err
	}
	m, err := io.ReadFull(u.r, p)
	u.pos += int64(m)
	if err != nil {
		u.r = nil
	}
	return m, err
}

// read gives n bytes at an offset.
func (s *section) read(off int64, n int64) ([]byte, error) {
	if off < 0 || n < 0 || off > s.size || n > s.size-off {
		return nil, damaged("%s has no %d bytes at %#x", s.name, n, off)
	}
	if n == 0 {
		return nil, nil
	}
	p := make([]byte, n)
	if m, err := s.r.ReadAt(p, off); int64(m) < n {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil, damaged("%s ends early", s.name)
		}
		return nil, fault.Wrap(err, fault.InputUnreadable, "")
	}
	if s.rel != nil {
		if err := s.rel.apply(p, off); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// prefix gives up to n bytes at an offset.
func (s *section) prefix(off int64, n int64) ([]byte, error) {
	if off < 0 || off > s.size {
		return nil, damaged("%s has nothing at %#x", s.name, off)
	}
	return s.read(off, min(n, s.size-off))
}

// maxText bounds a string.
const maxText = 4096

// text gives the NUL-terminated string at an offset.
func (s *section) text(off int64) (string, error) {
	for n := int64(64); ; n *= 4 {
		p, err := s.prefix(off, min(n, maxText))
		if err != nil {
			return "", err
		}
		if i := bytes.IndexByte(p, 0); i >= 0 {
			return string(p[:i]), nil
		}
		if n >= maxText || int64(len(p)) < n {
			return "", damaged("%s: a string at %#x has no end", s.name, off)
		}
	}
}
