package srcline

import "debug/dwarf"

// number gives an attribute that is a plain number, and the form that it had
// before rewrite; form 0 for one that was a number already.
func number(e *dwarf.Entry, attr dwarf.Attr) (v int64, form int64, ok bool) {
	for i, field := range e.Field {
		if field.Attr != attr {
			continue
		}
		if v, ok = field.Val.(int64); !ok {
			return 0, 0, false
		}
		for _, next := range e.Field[i+1 : min(i+3, len(e.Field))] {
			n, isInt := next.Val.(int64)
			switch {
			case !isInt:
			case next.Attr == attrHigh:
				v |= n << 16
				continue
			case next.Attr == attrForm:
				form = n
			}
			break
		}
		return v, form, true
	}
	return 0, 0, false
}

// textOf gives an attribute that is a string.
func (f *File) textOf(u *unit, e *dwarf.Entry, attr dwarf.Attr) (string, error) {
	if s, ok := e.Val(attr).(string); ok {
		return s, nil
	}
	v, form, ok := number(e, attr)
	if !ok {
		return "", nil
	}
	switch form {
	case formStrp:
		return f.str.text(v)
	case formLineStrp:
		return f.lineStr.text(v)
	case formStrx, formStrx1, formStrx2, formStrx3, formStrx4, formGNUStrIndex:
		off, err := f.strOffsets.word(u.strBase, v, u.wide)
		if err != nil {
			return "", err
		}
		return f.str.text(off)
	}
	return "", nil // of a supplementary file
}

// word reads the i-th offset behind base.
func (s *section) word(base, i int64, wide bool) (int64, error) {
	n := int64(4)
	if wide {
		n = 8
	}
	if i < 0 || i > s.size || base < 0 || base > s.size {
		return 0, damaged("%s has no entry %d", s.name, i)
	}
	p, err := s.read(base+n*i, n)
	if err != nil {
		return 0, err
	}
	if wide {
		return int64(le.Uint64(p)), nil
	}
	return int64(le.Uint32(p)), nil
}

// addressOf gives an attribute that is an address.
func (f *File) addressOf(u *unit, e *dwarf.Entry, attr dwarf.Attr) (uint64, bool) {
	if a, ok := e.Val(attr).(uint64); ok {
		return a, true
	}
	v, form, ok := number(e, attr)
	switch form {
	case formAddrx, formAddrx1, formAddrx2, formAddrx3, formAddrx4, formGNUAddrIndex:
		if a, err := f.indexedAddr(u, v); ok && err == nil {
			return a, true
		}
	}
	return 0, false
}

// indexedAddr reads the i-th address of the unit in .debug_addr.
func (f *File) indexedAddr(u *unit, i int64) (uint64, error) {
	a, err := f.addr.word(u.addrBase, i, true) // addresses have 8 bytes
	return uint64(a), err
}

// spansOf appends the addresses of an entry to spans.
func (f *File) spansOf(u *unit, e *dwarf.Entry, spans []span) ([]span, error) {
	if low, ok := f.addressOf(u, e, dwarf.AttrLowpc); ok {
		high, ok := f.addressOf(u, e, dwarf.AttrHighpc)
		if n, _, isNumber := number(e, dwarf.AttrHighpc); !ok && isNumber {
			high, ok = low+uint64(n), true
		}
		if ok {
			if low < high {
				spans = append(spans, span{start: low, end: high})
			}
			return spans, nil
		}
	}
	off, form, ok := number(e, dwarf.AttrRanges)
	if !ok {
		return spans, nil
	}
	if u.version < 5 {
		return f.oldRanges(u, off, spans)
	}
	if form == formRnglistx {
		w, err := f.rngLists.word(u.rngBas, off, u.wide)
		if err != nil {
			return spans, err
		}
		off = u.rngBas + w
	}
	return f.rangeList(u, off, spans)
}

// reference gives the entry that an attribute refers to: its offset, in this unit
// or, when global, in .debug_info.
func reference(e *dwarf.Entry, attr dwarf.Attr) (off int64, global, ok bool) {
	if o, ok := e.Val(attr).(dwarf.Offset); ok {
		return int64(o), false, true
	}
	v, form, ok := number(e, attr)
	return v, true, ok && form == formRefAddr
}
