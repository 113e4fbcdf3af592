//go:build !lean

package dmp

import (
	"slices"

	"coredrop/core/dump"
	"coredrop/core/mem"
)

// What a triage dump has besides its lists and its memory. Source: two dumps of
// Windows 10 and 11 that were read field by field.
const (
	mmBytes         = 0x50 // the memory manager's part, which is nearly all zero
	driverBytes     = 8 + entryBytes
	driverEntry     = 8 // behind the place of the name
	triageFields    = 0xcff
	triageOptions   = 0xffffffff
	triageAlignment = 8
	// triageFixed bounds what stands in every triage dump, with the alignment of
	// its pieces.
	triageFixed = 0x80 + mmBytes + 16*triageAlignment
)

// poolBytes is how much a name takes in the string pool: its length in units, the
// units, a NUL.
func poolBytes(name []byte) int {
	return (4 + len(name) + 2 + triageAlignment - 1) &^ (triageAlignment - 1)
}

// file lays the dump out.
func (t *triage) file() []byte {
	f := dump.Triage64
	out := headerWindows(headerOf(t.k, dump.Fill, dump.TypeTriage, nil, 0), t.k, t.im.context)
	out = append(out, make([]byte, f.Bytes)...)
	set := func(field dump.Field, v int) { field.Put(out[form.Bytes:], uint64(v)) }
	put := func(field dump.Field, p []byte) int64 {
		for len(out)%triageAlignment != 0 {
			out = append(out, 0)
		}
		at := len(out)
		out = append(out, p...)
		set(field, at)
		return int64(at)
	}
	set(f.ContextOffset, form.Context.Off)
	set(f.ExceptionOffset, form.Exception.Off)
	f.TriageOptions.Put(out[form.Bytes:], triageOptions)
	put(f.MmOffset, make([]byte, mmBytes))
	put(f.UnloadedDriversOffset, t.removed)
	t.prcb.off = put(f.PrcbOffset, t.prcb.data)
	t.process.off = put(f.ProcessOffset, t.process.data)
	t.thread.off = put(f.ThreadOffset, t.thread.data)
	t.stack.off = put(f.CallStackOffset, t.stack.data)
	set(f.SizeOfCallStack, len(t.stack.data))
	f.TopOfStack.Put(out[form.Bytes:], uint64(t.stack.va))
	t.block.off = put(f.DebuggerDataOffset, t.block.data)
	set(f.DebuggerSize, len(t.block.data))

	entries, pool := t.driverList(len(out))
	put(f.DriverListOffset, entries)
	set(f.DriverCount, len(t.drivers))
	put(f.StringPoolOffset, pool)
	set(f.StringPoolSize, len(pool))

	blocks, free := t.blocks()
	put(f.DataBlocksOffset, make([]byte, len(blocks)*f.BlockBytes))
	set(f.DataBlocksCount, len(blocks))
	at, list := len(out), out[len(out)-len(blocks)*f.BlockBytes:]
	for i, b := range blocks {
		e := list[i*f.BlockBytes:]
		f.BlockAddress.Put(e, uint64(b.VA))
		f.BlockOf.Put(e, uint64(b.Bytes))
		if b.Offset < 0 {
			b.Offset = int64(at)
			at += int(b.Bytes)
		}
		f.BlockOffset.Put(e, uint64(b.Offset))
	}
	out = append(out, free...)
	put(f.ValidOffset, []byte(dump.TriageValid))
	set(f.SizeOfDump, len(out))
	form.RequiredDumpSpace.Put(out, uint64(len(out)))
	form.MiniDumpFields.Put(out, triageFields)
	return out
}

// driverList makes the list of loaded modules, which begins at an offset at or
// behind end, and the pool of their names behind it.
func (t *triage) driverList(end int) (entries, pool []byte) {
	align := func(n int) int { return (n + triageAlignment - 1) &^ (triageAlignment - 1) }
	names := align(end) + len(t.drivers)*driverBytes
	for _, d := range t.drivers {
		e := make([]byte, driverBytes)
		le.PutUint32(e, uint32(names+len(pool)))
		copy(e[driverEntry:], d.entry[:])
		entries = append(entries, e...)
		p := make([]byte, poolBytes(d.name))
		le.PutUint32(p, uint32(len(d.name)/2))
		copy(p[4:], d.name)
		pool = append(pool, p...)
	}
	return entries, pool
}

// blocks cuts what is held into data blocks: what lies in one of the regions is
// there already, the rest is memory of its own, with a negative offset until it is
// known.
func (t *triage) blocks() (list []dump.Block, free []byte) {
	var regions []region
	for _, r := range []region{t.block, t.prcb, t.process, t.thread, t.stack} {
		if r.va != 0 && len(r.data) > 0 {
			regions = append(regions, r)
		}
	}
	slices.SortFunc(regions, func(a, b region) int {
		if a.va < b.va {
			return -1
		}
		return 1
	})
	held := t.held
	ahead := t.ahead(len(held), func(t *triage, i int) { t.bytesOf(held[i].lo, held[i].hi) })
	for i, s := range held {
		ahead.To(i)
		for at := s.lo; at < s.hi; {
			end, off := s.hi, int64(-1)
			for _, r := range regions {
				last := r.va + mem.VA(len(r.data))
				if at >= r.va && at < last {
					end, off = min(s.hi, last), r.off+int64(at-r.va)
					break
				}
				if r.va > at {
					end = min(end, r.va)
					break
				}
			}
			b := dump.Block{VA: at, Offset: off, Bytes: uint32(end - at)}
			if off < 0 {
				free = append(free, t.bytesOf(at, end)...)
			}
			list = append(list, b)
			at = end
		}
	}
	return list, free
}

// bytesOf reads memory as it was gathered: a page may come from another space than
// the next.
func (t *triage) bytesOf(va, end mem.VA) []byte {
	p := make([]byte, end-va)
	for done := 0; done < len(p); {
		n := min(len(p)-done, int(mem.PageSize-(va+mem.VA(done))%mem.PageSize))
		if t.ReadAt(p[done:done+n], va+mem.VA(done)) != nil {
			clear(p[done : done+n])
		}
		done += n
	}
	return p
}
