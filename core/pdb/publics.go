package pdb

import (
	"bytes"
	"encoding/binary"
)

// window is how much of the symbol records is held at a time: at least one whole
// record of the largest size.
const window = 128 << 10

// Lookup gives the RVAs of public symbols by name: one pass over the records
// that ends when all are found. The first record of a name counts. Names that
// are not there, or that have no place in the image, are absent from the map.
// On 32-bit x86, where the compiler puts an underscore before names, the name
// without it is understood too. When the records are damaged, what was found
// before comes with the error.
func (f *File) Lookup(names ...string) (map[string]uint32, error) {
	found := make(map[string]uint32, len(names))
	want := make(map[string]bool, len(names))
	for _, n := range names {
		want[n] = true
	}
	if len(want) == 0 {
		return found, nil
	}
	place, err := f.placement()
	if err != nil {
		return found, err
	}
	var failed error
	err = f.publics(func(name []byte, segment uint16, offset uint32) bool {
		if !want[string(name)] {
			if f.machine != machineI386 || len(name) == 0 || name[0] != '_' || !want[string(name[1:])] {
				return true
			}
			name = name[1:]
		}
		rva, ok, err := place.rva(segment, offset)
		if err != nil {
			failed = err
			return false
		}
		if ok {
			found[string(name)] = rva
			delete(want, string(name))
		}
		return len(want) > 0
	})
	if failed != nil {
		err = failed
	}
	return found, err
}

// publics calls each for every public symbol in file order until it returns
// false. The name is valid only during the call.
func (f *File) publics(each func(name []byte, segment uint16, offset uint32) bool) error {
	if f.symbols == noStream {
		return nil // a PDB without symbols: every name is missing
	}
	s, err := f.msf.stream(f.symbols)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	buf := make([]byte, min(window, s.size))
	var have []byte  // what of buf is not consumed
	next := int64(0) // offset in the stream behind have
	fill := func() error {
		n := copy(buf, have)
		more := min(int64(len(buf)-n), int64(s.size)-next)
		have = buf[:n+int(more)]
		if err := s.readAt(have[n:], next, "symbol records"); err != nil {
			return err
		}
		next += more
		return nil
	}
	for {
		if len(have) < maxRecord && next < int64(s.size) {
			if err := fill(); err != nil {
				return err
			}
		}
		if len(have) == 0 {
			return nil
		}
		at := next - int64(len(have))
		if len(have) < recordMin {
			return ends(s.number, "symbol records")
		}
		length := 2 + int(le.Uint16(have))
		kind := le.Uint16(have[recordKind:])
		switch {
		case length < recordMin:
			return damaged("stream %d has a symbol record of %d bytes at %#x", s.number, length, at)
		case length > len(have):
			return ends(s.number, "symbol records")
		}
		record := have[:length]
		have = have[length:]
		if kind != kindPublic || length <= publicName {
			continue
		}
		name := record[publicName:]
		if n := bytes.IndexByte(name, 0); n >= 0 {
			name = name[:n]
		}
		if !each(name, le.Uint16(record[publicSegment:]), le.Uint32(record[publicOffset:])) {
			return nil
		}
	}
}
