package srcline

import "encoding/binary"

// Attribute forms (DW_FORM_…, DWARF 5 section 7.5.6) that point into other
// sections or units, and the forms that numbers of the same sizes have.
const (
	formData2        = 0x05
	formData4        = 0x06
	formData8        = 0x07
	formData1        = 0x0b
	formStrp         = 0x0e
	formUdata        = 0x0f
	formRefAddr      = 0x10
	formSecOffset    = 0x17
	formStrx         = 0x1a
	formAddrx        = 0x1b
	formLineStrp     = 0x1f
	formImplicit     = 0x21
	formRnglistx     = 0x23
	formStrx1        = 0x25
	formStrx2        = 0x26
	formStrx3        = 0x27
	formStrx4        = 0x28
	formAddrx1       = 0x29
	formAddrx2       = 0x2a
	formAddrx3       = 0x2b
	formAddrx4       = 0x2c
	formGNUAddrIndex = 0x1f01
	formGNUStrIndex  = 0x1f02
)

// plain are the forms in place of those that point elsewhere. Two forms stand for
// three bytes.
var plain = map[uint64][]uint64{
	formStrp: {formSecOffset}, formLineStrp: {formSecOffset}, formRefAddr: {formSecOffset},
	formStrx: {formUdata}, formStrx1: {formData1}, formStrx2: {formData2}, formStrx3: {formData2, formData1}, formStrx4: {formData4},
	formAddrx: {formUdata}, formAddrx1: {formData1}, formAddrx2: {formData2}, formAddrx3: {formData2, formData1}, formAddrx4: {formData4},
	formRnglistx: {formUdata}, formGNUAddrIndex: {formUdata}, formGNUStrIndex: {formUdata},
}

// Attributes (DW_AT_…) of our own, in the range for users: the form that the
// value of the attribute in front of them had, and the third byte of a value.
const (
	attrForm = 0x3ff0
	attrHigh = 0x3ff1
)

// maxAbbrev bounds the abbreviations of one unit.
const maxAbbrev = 4 << 20

// rewrite reads the abbreviations at an offset of .debug_abbrev and gives them
// anew, so that no form points out of the unit: the value is the number that
// stands there, and a constant of our own behind it says what it was.
func (f *File) rewrite(off int64, version uint16) ([]byte, error) {
	for n := int64(32 << 10); ; n *= 4 {
		p, err := f.abbrev.prefix(off, min(n, maxAbbrev))
		if err != nil {
			return nil, err
		}
		out, whole, err := rewriteAbbrev(p, version)
		if err != nil || whole {
			return out, err
		}
		if n >= maxAbbrev || int64(len(p)) < n {
			return nil, damaged("the abbreviations at %#x have no end", off)
		}
	}
}

// rewriteAbbrev rewrites as much as p holds; whole says that the table ended.
func rewriteAbbrev(p []byte, version uint16) (out []byte, whole bool, err error) {
	r := leb{p: p}
	for {
		code := r.uint()
		out = binary.AppendUvarint(out, code)
		if code == 0 {
			return out, !r.short, nil
		}
		out = binary.AppendUvarint(out, r.uint()) // tag
		out = append(out, r.byte())               // children
		for {
			attr, form := r.uint(), r.uint()
			if r.short {
				return nil, false, nil
			}
			if attr == 0 && form == 0 {
				out = append(out, 0, 0)
				break
			}
			forms := plain[form]
			if version == 2 && form == formRefAddr {
				forms = []uint64{formData8} // of an address's size then
			}
			if forms == nil {
				out = binary.AppendUvarint(binary.AppendUvarint(out, attr), form)
				if form == formImplicit {
					out = append(out, r.raw()...)
				}
				continue
			}
			out = binary.AppendUvarint(binary.AppendUvarint(out, attr), forms[0])
			if len(forms) > 1 {
				out = binary.AppendUvarint(binary.AppendUvarint(out, attrHigh), forms[1])
			}
			out = binary.AppendUvarint(binary.AppendUvarint(out, attrForm), formImplicit)
			out = appendSleb(out, int64(form))
		}
		if len(out) > 8*maxAbbrev {
			return nil, false, damaged("abbreviations of %d bytes", len(out))
		}
	}
}

// leb reads LEB128 numbers; short is set when they end early.
type leb struct {
	p     []byte
	short bool
}

func (r *leb) byte() byte {
	if len(r.p) == 0 {
		r.short = true
		return 0
	}
	c := r.p[0]
	r.p = r.p[1:]
	return c
}

func (r *leb) uint() uint64 {
	v, n := binary.Uvarint(r.p)
	if n <= 0 {
		r.short, r.p = true, nil
		return 0
	}
	r.p = r.p[n:]
	return v
}

// raw gives the bytes of a number.
func (r *leb) raw() []byte {
	for n := 0; n < len(r.p) && n < binary.MaxVarintLen64; n++ {
		if r.p[n] < 0x80 {
			out := r.p[:n+1]
			r.p = r.p[n+1:]
			return out
		}
	}
	r.short, r.p = true, nil
	return nil
}

func appendSleb(p []byte, v int64) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(p, c)
		}
		p = append(p, c|0x80)
	}
}
