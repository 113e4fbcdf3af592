package synth

import (
	"io"

	"coredrop/core/mem"
	"coredrop/core/source"
)

// Pages that are no tables are taken in groups: of a spread guest as many as a
// processor has, but for what it shares with others.
const (
	closeGroup = 8
	apartGroup = 32
)

// spread says how a guest's memory is spread.
type spread struct {
	apart mem.PA // bytes from one taking of pages to the next; 0: side by side
	group int    // pages that are taken at a time, at most where they lie apart
}

func spreadOf(o Options) spread {
	if o.Apart == 0 {
		return spread{group: closeGroup}
	}
	return spread{o.Apart, or(o.Group, apartGroup)}
}

func (s spread) room() int { return s.group * mem.PageSize }

// allocApart takes pages far from all others. Every taking has room for a group
// in the data, so that an address tells where it is.
func (r *ram) allocApart(pages int) mem.PA {
	if pages > r.group || r.apart < mem.PA(r.room()) || r.apart%mem.PageSize != 0 {
		panic("pages that do not fit between others")
	}
	taken := len(r.data) / r.room()
	r.data = append(r.data, make([]byte, r.room())...)
	return ramBase + mem.PA(taken)*r.apart
}

func (r *ram) atApart(pa mem.PA) int {
	taken, within := int((pa-ramBase)/r.apart), int((pa-ramBase)%r.apart)
	return taken*r.room() + within
}

// load is the one load of a spread guest, without its bytes.
func (r *ram) load() Load {
	bytes := uint64(len(r.data)/r.room()) * uint64(r.apart)
	return Load{PA: ramBase, FileSize: bytes, MemSize: bytes}
}

// spreadSource makes an input file of a spread guest's core: what lies between is
// made when it is read.
func (b *Built) spreadSource() source.Source {
	s := Source(b.Core)
	s.Size += int64(b.ram.load().FileSize)
	s.ReaderAt = spreadCore{b}
	return s
}

type spreadCore struct{ b *Built }

// ReadAt fills p with the core's head, its memory, and zeros between.
func (s spreadCore) ReadAt(p []byte, off int64) (n int, err error) {
	r, head := &s.b.ram, int64(len(s.b.Core))
	for size := head + int64(r.load().FileSize); n < len(p) && off < size; {
		if off < head {
			m := copy(p[n:], s.b.Core[off:])
			n, off = n+m, off+int64(m)
			continue
		}
		taken, within := int((off-head)/int64(r.apart)), int((off-head)%int64(r.apart))
		part := p[n:][:min(len(p)-n, int(r.apart)-within)]
		clear(part)
		if within < r.room() {
			copy(part, r.data[taken*r.room():][within:r.room()])
		}
		n, off = n+len(part), off+int64(len(part))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
