package pdb

import "encoding/binary"

// placement turns segment and offset of a symbol into an RVA.
type placement struct {
	sections []uint32 // virtual addresses
	omap     *stream  // nil: the image was not rearranged after linking
}

// placement reads the section headers the symbols refer to: the original ones
// where the image was rearranged.
func (f *File) placement() (*placement, error) {
	if f.placed != nil {
		return f.placed, nil
	}
	dbi, err := f.msf.stream(dbiStream)
	if err != nil {
		return nil, err
	}
	var numbers [debugEntries]uint32
	for i := range numbers {
		numbers[i] = noStream
		if int64(i) < f.entries {
			var b [2]byte
			if err := dbi.readAt(b[:], f.debug+2*int64(i), "debug header"); err != nil {
				return nil, err
			}
			numbers[i] = uint32(binary.LittleEndian.Uint16(b[:]))
		}
	}
	p := &placement{}
	headers := numbers[debugSections]
	if from, original := numbers[debugOmapFromSource], numbers[debugOriginalSections]; from != noStream && original != noStream {
		if p.omap, err = f.msf.stream(from); err != nil {
			return nil, err
		}
		if p.omap.size/omapBytes == 0 {
			p.omap = nil // an empty map changes nothing
		} else {
			headers = original
		}
	}
	if headers == noStream {
		return nil, damaged("it has no section headers")
	}
	s, err := f.msf.stream(headers)
	if err != nil {
		return nil, err
	}
	for i := range min(int64(s.size/sectionBytes), maxSections) {
		var b [4]byte
		if err := s.readAt(b[:], i*sectionBytes+sectionVirtualAddress, "section headers"); err != nil {
			return nil, err
		}
		p.sections = append(p.sections, binary.LittleEndian.Uint32(b[:]))
	}
	f.placed = p
	return p, nil
}

// rva gives a symbol's RVA in the image as it is now; false: it has none.
func (p *placement) rva(segment uint16, offset uint32) (uint32, bool, error) {
	if segment == 0 || int(segment) > len(p.sections) {
		return 0, false, nil
	}
	rva := p.sections[segment-1] + offset
	if rva < offset {
		return 0, false, nil
	}
	if p.omap == nil {
		return rva, true, nil
	}
	return p.moved(rva)
}

// moved looks an RVA of the original image up in the map: the last entry that
// begins at or before it says where its piece went; 0 says that it is gone.
func (p *placement) moved(rva uint32) (uint32, bool, error) {
	lo, hi := int64(0), int64(p.omap.size/omapBytes)
	var best [omapBytes]byte
	found := false
	for lo < hi {
		mid := lo + (hi-lo)/2
		var e [omapBytes]byte
		if err := p.omap.readAt(e[:], mid*omapBytes, "OMAP"); err != nil {
			return 0, false, err
		}
		if binary.LittleEndian.Uint32(e[:]) <= rva {
			best, found, lo = e, true, mid+1
		} else {
			hi = mid
		}
	}
	from, to := binary.LittleEndian.Uint32(best[:]), binary.LittleEndian.Uint32(best[4:])
	if !found || to == 0 {
		return 0, false, nil
	}
	at := to + (rva - from)
	return at, at >= to, nil
}
