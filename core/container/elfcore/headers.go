package elfcore

import (
	"context"
	"fmt"
	"math"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/words"
)

// table is where the program headers are; it lies inside the file.
type table struct {
	*class
	offset        int64
	count, stride int64
}

// findTable locates the program headers, whose count is in section header 0
// when it does not fit the ELF header's 16 bits.
func findTable(s source.Source, head []byte, c *class) (table, error) {
	t := table{class: c, count: int64(le.Uint16(head[c.phCount:])), stride: int64(le.Uint16(head[c.phSize:]))}
	if t.count == 0 {
		return t, fault.New(fault.DamagedHeader, "the ELF header announces no program headers")
	}
	if t.stride < int64(c.phdr) {
		return t, fault.New(fault.DamagedHeader, "the ELF header is damaged: program headers of %d bytes", t.stride)
	}
	if t.count == extended {
		if size := le.Uint16(head[c.shSize:]); int(size) < c.shdr {
			return t, fault.New(fault.DamagedHeader, "the ELF header is damaged: section headers of %d bytes", size)
		}
		at := c.at(head, c.shoff)
		if at > uint64(s.Size) || uint64(s.Size)-at < uint64(c.shdr) {
			return t, fault.New(fault.DamagedHeader, "the section header that counts the program headers is outside the file")
		}
		section := make([]byte, c.shdr)
		if err := s.Full(section, int64(at)); err != nil {
			return t, err
		}
		// A writer that has exactly 65,535 and knows no extension leaves it 0.
		if n := int64(le.Uint32(section[c.shInfo:])); n != 0 {
			t.count = n
		}
	}
	at := c.at(head, c.phoff)
	if at > uint64(s.Size) || t.count > (s.Size-int64(at))/t.stride {
		// The last entry need not be padded to a stride longer than the entry.
		if at > uint64(s.Size) || (t.count-1)*t.stride+int64(c.phdr) > s.Size-int64(at) {
			return t, fault.New(fault.DamagedHeader, "the file ends inside its program headers: %d of %d bytes at offset %#x", t.count, t.stride, at)
		}
	}
	if t.count > maxHeaders {
		return t, fault.New(fault.DamagedHeader, "the ELF header announces %d program headers; %d are read at most", t.count, maxHeaders)
	}
	t.offset = int64(at)
	return t, nil
}

// note is the range of a PT_NOTE inside the file.
type noteRange struct {
	offset, bytes int64
	cut           bool // it was to reach beyond the file
}

// segments is what the program headers say.
type segments struct {
	*class
	blocks []mem.Extent // loads with bytes in the file, in the table's order
	notes  []noteRange
	end    uint64 // where the farthest load would end in the file
	wild   int    // loads beyond what a processor can address
	begin  uint64 // where headers and notes end
}

// readTable reads the program headers in chunks: a table can have a million.
func readTable(ctx context.Context, s source.Source, o machine.Options, t table) (*segments, error) {
	out := &segments{class: t.class}
	entry := int64(t.phdr)
	per := max(tableChunk/t.stride, 1)
	buf := make([]byte, (min(per, t.count)-1)*t.stride+entry)
	for first := int64(0); first < t.count; first += per {
		if err := cancelled(ctx); err != nil {
			return nil, err
		}
		n := min(per, t.count-first)
		part := buf[:(n-1)*t.stride+entry]
		if err := s.Full(part, t.offset+first*t.stride); err != nil {
			return nil, err
		}
		for i := int64(0); i < n; i++ {
			out.add(part[i*t.stride:][:entry], s.Size)
		}
		if t.count > per {
			o.Report("headers", first+n, t.count)
		}
	}
	return out, nil
}

// add takes one program header. Sizes are cut to what the file holds.
func (g *segments) add(p []byte, size int64) {
	offset, bytes := g.at(p, g.phOffset), g.at(p, g.phFileSz)
	switch le.Uint32(p[phdrType:]) {
	case typeNote:
		if offset > uint64(size) {
			g.notes = append(g.notes, noteRange{offset: size, cut: true})
			return
		}
		// Some writers leave one of the two sizes 0.
		if bytes == 0 {
			bytes = g.at(p, g.phMemSz)
		}
		left := uint64(size) - offset
		g.notes = append(g.notes, noteRange{int64(offset), int64(min(bytes, left)), bytes > left})
		g.begin = max(g.begin, offset+min(bytes, left))
	case typeLoad:
		if bytes == 0 || offset == g.outside {
			return
		}
		start := g.at(p, g.phPaddr)
		if start > addressEnd || bytes > addressEnd-start {
			g.wild++
			return
		}
		end := offset + bytes
		if end < offset {
			end = math.MaxUint64
		}
		g.end = max(g.end, end)
		if offset >= uint64(size) {
			return
		}
		g.blocks = append(g.blocks, mem.Extent{Start: mem.PA(start), Bytes: min(bytes, uint64(size)-offset), Offset: int64(offset)})
	}
}

// missing is how many bytes of memory the file ends early.
func (g *segments) missing(size int64) int64 {
	if g.end <= uint64(size) {
		return 0
	}
	return int64(min(g.end-uint64(size), math.MaxInt64))
}

// warnings says what the headers announce and the file does not hold, and what
// they leave out; named is how much memory they name and the file holds.
func (g *segments) warnings(have int64, named uint64) (list []fault.Warning) {
	if lost := g.missing(have); lost > 0 {
		list = append(list, fault.Warn(fault.Truncated, "the file ends %s early: expected %s, have %s; %d bytes of memory are missing, %s",
			words.Bytes(lost), words.Bytes(int64(min(g.end, math.MaxInt64))), words.Bytes(have), lost, percent(uint64(lost), named+uint64(lost))))
	}
	if g.wild > 0 {
		list = append(list, fault.Warn(fault.DamagedHeader, "%d program headers name memory that no processor can address; they are left out", g.wild))
	}
	return list
}

// unnamed says how much of the file's memory no header names, as in a core taken
// with paging; "": all is named. end is where the memory ends in the file.
func (g *segments) unnamed(end int64, named uint64) string {
	if g.begin >= uint64(end) {
		return ""
	}
	all := uint64(end) - g.begin
	if named >= all || all-named < max(unnamedBytes, all/unnamedPart) {
		return ""
	}
	return fmt.Sprintf("the core's headers name %s of the file, %s of %s: %d bytes are memory that no header names, as QEMU writes it with paging; taken without paging, it names all",
		percent(named, all), words.Bytes(int64(min(named, math.MaxInt64))), words.Bytes(int64(all)), all-named)
}

// Below these a gap between headers and memory is padding.
const (
	unnamedBytes = 64 << 10
	unnamedPart  = 1000
)

// percent prints a part of a whole: 2.8 %, and 0.006 % where it is small.
func percent(part, whole uint64) string {
	if whole == 0 {
		return "0 %"
	}
	p := float64(part) / float64(whole) * 100
	switch {
	case part < whole && p >= 99.95:
		return "more than 99.9 %"
	case p >= 10:
		return fmt.Sprintf("%.0f %%", p)
	case p >= 0.1:
		return fmt.Sprintf("%.1f %%", p)
	}
	return fmt.Sprintf("%.2g %%", p)
}
