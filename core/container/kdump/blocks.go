package kdump

import (
	"slices"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// A page descriptor: offset u64, size u32, flags u32, page flags u64. Source:
// makedumpfile 1.7 diskdump_mod.h (struct page_desc).
const (
	descriptorBytes = 24

	// readAhead bounds one read of packed blocks, and readGap what is read between
	// two of them for nothing.
	readAhead = 1 << 20
	readGap   = 16 << 10
)

// descriptor is where a packed block lies.
type descriptor struct {
	at    int64
	bytes int
	flags uint32
}

func parseDescriptor(p []byte) descriptor {
	return descriptor{int64(min(le.Uint64(p), 1<<62)), int(min(le.Uint32(p[8:]), 1<<30)), le.Uint32(p[12:])}
}

// lost reports whether the block was never written: the disk was full.
func (d descriptor) lost() bool { return d == descriptor{} }

// core is an opened kdump file.
type core struct {
	header
	file   source.Source // the kdump file, put together where it was flattened
	meta   mem.Physical  // the same, through a cache: bitmap and descriptors
	bitmap *bitmap
}

// reader unpacks blocks. It remembers which packed block is zeros, of which most
// files have one for all.
type reader struct {
	*core
	codec
	zero        descriptor // lost(): not met yet
	descriptors []byte
	window      []byte // of the file, from start
	start       int64
}

// Read fills p with blocks from the first one on.
func (r *reader) Read(p []byte, first uint64) error {
	count := len(p) / int(r.block)
	rank, err := r.bitmap.rank(r.meta, first)
	if err != nil {
		return err
	}
	r.descriptors = slices.Grow(r.descriptors[:0], count*descriptorBytes)[:count*descriptorBytes]
	if err := r.meta.ReadAt(r.descriptors, mem.PA(r.header.descriptors()+int64(rank)*descriptorBytes)); err != nil {
		return err
	}
	for i := range count {
		if err := r.one(p[int64(i)*r.block:][:r.block], i, first+uint64(i)); err != nil {
			return err
		}
	}
	return nil
}

// fetch brings blocks that will be read next: their descriptors first, then what
// those name. What is wrong with them shows when they are read.
func (c *core) fetch(blocks []uint64) (n int) {
	at := make([]mem.PA, len(blocks))
	for i, number := range blocks {
		if rank, err := c.bitmap.rank(c.meta, number); err == nil {
			at[i] = mem.PA(c.header.descriptors() + int64(rank)*descriptorBytes)
		}
	}
	batch := c.file.Batch()
	for _, pa := range at[:c.meta.Prefetch().Frames(at)] {
		var p [descriptorBytes]byte
		if c.meta.ReadAt(p[:], pa) == nil {
			if d := parseDescriptor(p[:]); d.bytes > 0 && int64(d.bytes) <= 2*c.block && d.at <= c.file.Size-int64(d.bytes) && !batch.Add(source.Range{Off: d.at, Bytes: int64(d.bytes)}) {
				break
			}
		}
		n++
	}
	batch.Send()
	return n
}

// one fills p with the i-th block of those whose descriptors were read.
func (r *reader) one(p []byte, i int, number uint64) error {
	d := r.descriptor(i)
	if d == r.zero && !d.lost() {
		clear(p)
		return nil
	}
	if d.bytes == 0 || int64(d.bytes) > 2*r.block || d.at > r.file.Size-int64(d.bytes) {
		return damaged(number, r.block, "its descriptor names %d bytes at %#x of a file of %#x", d.bytes, d.at, r.file.Size)
	}
	packed, err := r.packed(d, i)
	if err != nil {
		return err
	}
	if err := r.unpack(p, packed, d.flags); err != nil {
		return damaged(number, r.block, "%v", err)
	}
	if r.zero.lost() && allZero(p) {
		r.zero = d
	}
	return nil
}

func (r *reader) descriptor(i int) descriptor {
	return parseDescriptor(r.descriptors[i*descriptorBytes:])
}

// packed gives the bytes of a packed block. Where more are wanted after the i-th,
// and lie close behind it, they are read along.
func (r *reader) packed(d descriptor, i int) ([]byte, error) {
	end := d.at + int64(d.bytes)
	if d.at >= r.start && end <= r.start+int64(len(r.window)) {
		return r.window[d.at-r.start:][:d.bytes], nil
	}
	for i++; i < len(r.descriptors)/descriptorBytes; i++ {
		n := r.descriptor(i)
		if n == r.zero {
			continue
		}
		if n.at < end || n.at > end+readGap || n.at+int64(n.bytes) > min(d.at+readAhead, r.file.Size) {
			break
		}
		end = n.at + int64(n.bytes)
	}
	r.start, r.window = d.at, slices.Grow(r.window[:0], int(end-d.at))[:end-d.at]
	if err := r.file.Full(r.window, d.at); err != nil {
		r.window = r.window[:0]
		return nil, err
	}
	return r.window[:d.bytes], nil
}

// damaged says that a block cannot be unpacked.
func damaged(number uint64, block int64, format string, args ...any) error {
	e := fault.New(fault.DamagedCopy, format, args...)
	return fault.New(fault.DamagedCopy, "memory at %#x cannot be unpacked: %s", number*uint64(block), e.Text)
}

func allZero(p []byte) bool {
	for len(p) >= 8 {
		if le.Uint64(p) != 0 {
			return false
		}
		p = p[8:]
	}
	return true
}
