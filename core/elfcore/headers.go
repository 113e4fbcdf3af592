package elfcore

import (
	"context"
	"fmt"
	"math"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// table is where the program headers are; it lies inside the file.
type table struct {
	offset        int64
	count, stride int64
}

// findTable locates the program headers, whose count is in section header 0
// when it does not fit the ELF header's 16 bits.
func findTable(s source.Source, head []byte) (table, error) {
	t := table{count: int64(le.Uint16(head[ehdrPhCount:])), stride: int64(le.Uint16(head[ehdrPhSize:]))}
	if t.count == 0 {
		return t, fault.New(fault.DamagedHeader, "the ELF header announces no program headers")
	}
	if t.stride < phdrBytes {
		return t, fault.New(fault.DamagedHeader, "the ELF header is damaged: program headers of %d bytes", t.stride)
	}
	if t.count == extended {
		if size := le.Uint16(head[ehdrShSize:]); size < shdrBytes {
			return t, fault.New(fault.DamagedHeader, "the ELF header is damaged: section headers of %d bytes", size)
		}
		at := le.Uint64(head[ehdrShoff:])
		if at > uint64(s.Size) || uint64(s.Size)-at < shdrBytes {
			return t, fault.New(fault.DamagedHeader, "the section header that counts the program headers is outside the file")
		}
		section := make([]byte, shdrBytes)
		if err := s.Full(section, int64(at)); err != nil {
			return t, err
		}
		// A writer that has exactly 65,535 and knows no extension leaves it 0.
		if n := int64(le.Uint32(section[shdrInfo:])); n != 0 {
			t.count = n
		}
	}
	at := le.Uint64(head[ehdrPhoff:])
	if at > uint64(s.Size) || t.count > (s.Size-int64(at))/t.stride {
		// The last entry need not be padded to a stride longer than the entry.
		if at > uint64(s.Size) || (t.count-1)*t.stride+phdrBytes > s.Size-int64(at) {
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
	blocks []mem.Extent // loads with bytes in the file, in the table's order
	notes  []noteRange
	end    uint64 // where the farthest load would end in the file
	wild   int    // loads that leave the address space
}

// readTable reads the program headers in chunks: a table can have a million.
func readTable(ctx context.Context, s source.Source, o machine.Options, t table) (*segments, error) {
	out := &segments{}
	per := max(tableChunk/t.stride, 1)
	buf := make([]byte, (min(per, t.count)-1)*t.stride+phdrBytes)
	for first := int64(0); first < t.count; first += per {
		if err := cancelled(ctx); err != nil {
			return nil, err
		}
		n := min(per, t.count-first)
		part := buf[:(n-1)*t.stride+phdrBytes]
		if err := s.Full(part, t.offset+first*t.stride); err != nil {
			return nil, err
		}
		for i := int64(0); i < n; i++ {
			out.add(part[i*t.stride:][:phdrBytes], s.Size)
		}
		if t.count > per {
			o.Report("headers", first+n, t.count)
		}
	}
	return out, nil
}

// add takes one program header. Sizes are cut to what the file holds.
func (g *segments) add(p []byte, size int64) {
	offset, bytes := le.Uint64(p[phdrOffset:]), le.Uint64(p[phdrFileSize:])
	switch le.Uint32(p[phdrType:]) {
	case typeNote:
		if offset > uint64(size) {
			g.notes = append(g.notes, noteRange{offset: size, cut: true})
			return
		}
		// Some writers leave one of the two sizes 0.
		if bytes == 0 {
			bytes = le.Uint64(p[phdrMemSize:])
		}
		left := uint64(size) - offset
		g.notes = append(g.notes, noteRange{int64(offset), int64(min(bytes, left)), bytes > left})
	case typeLoad:
		if bytes == 0 || offset == outside {
			return
		}
		start := le.Uint64(p[phdrPaddr:])
		if bytes > math.MaxUint64-start {
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

func (g *segments) warnings(have int64) (list []fault.Warning) {
	if lost := g.missing(have); lost > 0 {
		list = append(list, fault.Warn(fault.Truncated, "the file ends %s early: expected %s, have %s",
			size(lost), size(int64(min(g.end, math.MaxInt64))), size(have)))
	}
	if g.wild > 0 {
		list = append(list, fault.Warn(fault.DamagedHeader, "%d program headers name memory beyond the address space; they are left out", g.wild))
	}
	return list
}

// size prints a number of bytes for people.
func size(n int64) string {
	units := []string{"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}
