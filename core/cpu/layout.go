package cpu

// Field is the place of a register in a record: Bytes of it, one to eight, from its
// low end.
type Field struct {
	Reg   Reg
	Off   uint16
	Bytes uint8
}

// Layout says where a record holds which registers. A register may stand in a
// record more than once.
type Layout struct {
	Bytes     int // of the whole record
	BigEndian bool
	Fields    []Field
}

// Load takes the registers of a record into a state, zero-extended. What a record
// that ends early does not hold stays as it is; so do registers that the layout
// does not name.
func (l *Layout) Load(s *State, p []byte) {
	for _, f := range l.Fields {
		if raw, ok := f.in(p); ok {
			var v uint64
			for i := range raw {
				v |= uint64(raw[i]) << (8 * l.byteAt(i, len(raw)))
			}
			s.Set(f.Reg, v)
		}
	}
}

// Store puts the registers that a state knows into a record. All else of the
// record stays as it is.
func (l *Layout) Store(s *State, p []byte) {
	for _, f := range l.Fields {
		if raw, ok := f.in(p); ok && s.Known(f.Reg) {
			v := s.Get(f.Reg)
			for i := range raw {
				raw[i] = byte(v >> (8 * l.byteAt(i, len(raw))))
			}
		}
	}
}

// Place gives the first field of a register; false: the record does not have it.
func (l *Layout) Place(r Reg) (Field, bool) {
	for _, f := range l.Fields {
		if f.Reg == r {
			return f, true
		}
	}
	return Field{}, false
}

// byteAt is which byte of a number, from its low end, stands at i of n.
func (l *Layout) byteAt(i, n int) int {
	if l.BigEndian {
		return n - 1 - i
	}
	return i
}

func (f Field) in(p []byte) ([]byte, bool) {
	end := int(f.Off) + int(f.Bytes)
	if end > len(p) {
		return nil, false
	}
	return p[f.Off:end], true
}

// Join puts the fields of several stretches of a record together.
func Join(stretches ...[]Field) []Field {
	var out []Field
	for _, s := range stretches {
		out = append(out, s...)
	}
	return out
}

// At lays registers out one after another from an offset, each in so many bytes.
// None leaves a gap.
func At(off, bytes int, regs ...Reg) []Field {
	return Each(off, bytes, []Field{{Bytes: uint8(bytes)}}, regs...)
}

// Each lays registers of several parts out, one every stride bytes from an offset.
// In parts, Reg is counted from the register's first number and Off from the
// register's place. None leaves a gap.
func Each(off, stride int, parts []Field, regs ...Reg) []Field {
	var out []Field
	for i, r := range regs {
		if r == None {
			continue
		}
		for _, p := range parts {
			out = append(out, Field{r + p.Reg, uint16(off+stride*i) + p.Off, p.Bytes})
		}
	}
	return out
}

// Range lists n registers from first on, that take so many numbers each.
func Range(first Reg, n int, numbers Reg) []Reg {
	out := make([]Reg, n)
	for i := range out {
		out[i] = first + Reg(i)*numbers
	}
	return out
}
