package linux

import (
	"bytes"
	"slices"
	"strings"
)

// maxCode bounds how much of a function's code is looked at.
const maxCode = 64 << 10

// Code is the machine code of a function, its clones and cold parts included
// (print_report, print_report.cold, print_report.isra.0): one piece each.
type Code struct {
	Name  string
	Addr  uint64
	Bytes []byte
}

// Code gives the machine code of functions by their plain names.
func (k *Kernel) Code(names ...string) []Code {
	var out []Code
	for _, s := range k.Symbols.All(func(name string) bool { return slices.Contains(names, PlainName(name)) }) {
		if s.Kind != 't' && s.Kind != 'T' {
			continue
		}
		n := min(k.Symbols.Room(s.Addr), maxCode)
		out = append(out, Code{s.Name, s.Addr, k.view.prefix(s.Addr, int(n))})
	}
	return out
}

// PlainName is a function's name without what the compiler appended.
func PlainName(name string) string {
	plain, _, _ := strings.Cut(name, ".")
	return plain
}

// Operand is a place in code that may refer to data: without a full
// disassembler, every four bytes may. A pattern of several is needed to believe
// one.
type Operand struct {
	Target   uint64
	Pos      int  // of the four bytes in the code
	Relative bool // to the instruction's end, else sign-extended
}

// Operands lists what in a piece of code may be the address of data: of the
// image behind the code. A relative operand is listed for each length that the
// instruction may still have behind it.
func (k *Kernel) Operands(c Code) []Operand {
	data := k.dataSpan()
	var out []Operand
	for i := 0; i+4 <= len(c.Bytes); i++ {
		raw := uint64(int64(int32(le32(c.Bytes, i))))
		if data.holds(raw) {
			out = append(out, Operand{raw, i, false})
		}
		next := c.Addr + uint64(i) + 4 + raw
		for _, immediate := range []uint64{0, 1, 4} {
			if a := next + immediate; data.holds(a) {
				out = append(out, Operand{a, i, true})
			}
		}
	}
	return out
}

// dataSpan is the image behind its code.
func (k *Kernel) dataSpan() span {
	_, start := k.textBounds()
	if _, ok := k.Symbols.Lookup("_etext"); !ok {
		start = k.Text
	}
	if n := len(k.image); n > 0 {
		return span{start, k.image[n-1].end}
	}
	return span{}
}

// Calls reports whether a piece of code calls or jumps to an address.
func (c Code) Calls(target uint64) bool {
	for i := 0; i+5 <= len(c.Bytes); i++ {
		if op := c.Bytes[i]; op != 0xe8 && op != 0xe9 {
			continue
		}
		if c.Addr+uint64(i)+5+uint64(int64(int32(le32(c.Bytes, i+1)))) == target {
			return true
		}
	}
	return false
}

// maxString bounds a string that FindStrings gives.
const maxString = 512

// FindStrings searches the image's data for texts and gives, for each that was
// found, the NUL-terminated string around its first occurrence; "" else.
func (k *Kernel) FindStrings(texts ...string) []string {
	out := make([]string, len(texts))
	left := len(texts)
	data := k.dataSpan()
	var spans []span
	for _, s := range k.image {
		if s.start = max(s.start, data.start); s.start < s.end {
			spans = append(spans, s)
		}
	}
	scanSpans(k.view, spans, 2*maxString, func(chunk []byte, _ uint64) bool {
		for n, text := range texts {
			if out[n] != "" {
				continue
			}
			if i := bytes.Index(chunk, []byte(text)); i >= 0 {
				start := max(i-maxString, bytes.LastIndexByte(chunk[:i], 0)+1)
				end := bytes.IndexByte(chunk[i:], 0)
				if end < 0 || end > maxString {
					end = len(text)
				}
				out[n] = string(chunk[start : i+end])
				left--
			}
		}
		return left == 0
	})
	return out
}
