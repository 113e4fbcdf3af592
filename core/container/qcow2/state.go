package qcow2

import (
	"context"
	"io"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// state is the saved state of a snapshot, read through the snapshot's tables.
type state struct {
	*image
	snapshot
	index uint64 // in L1, of the state's first entry: the disk comes before it
	size  int64  // bytes that can be read
	cache packedCache
}

// maxDisk bounds disk and state (QEMU: 2 EiB and less, by the size of L1).
const maxDisk = 1 << 61

// covers is how much one L2 table describes, in bytes.
func (im *image) covers() uint64 { return uint64(im.cluster / im.entry * im.cluster) }

// open checks the place of a snapshot's state, and how far it can be read: up to
// the first piece that lies behind the end of the file.
func (im *image) open(ctx context.Context, s snapshot, sink progress.Sink) (*state, error) {
	st := &state{image: im, snapshot: s}
	switch {
	case s.disk > maxDisk || s.state > maxDisk:
		return nil, damaged("the snapshot %s has a disk of %d bytes and a state of %d", s.label(), s.disk, s.state)
	case s.l1%uint64(im.cluster) != 0 || s.l1 == 0 || s.l1 > maxDisk:
		return nil, damaged("the snapshot %s has its L1 table at %#x", s.label(), s.l1)
	case s.entries > maxL1:
		return nil, damaged("the snapshot %s has an L1 table of %d entries; %d can be", s.label(), s.entries, maxL1)
	}
	// The state begins at the first multiple of what an L2 table covers that is not
	// below the disk's end (QEMU block/qcow2.h, qcow2_vm_state_offset).
	covers := im.covers()
	st.index = (s.disk + covers - 1) / covers
	if need := st.index + (s.state+covers-1)/covers; need > uint64(s.entries) {
		return nil, damaged("the state of the snapshot %s needs %d entries of an L1 table that has %d", s.label(), need, s.entries)
	}
	return st, st.measure(ctx, sink)
}

// measure goes through the tables once, and checks every entry.
func (st *state) measure(ctx context.Context, sink progress.Sink) error {
	whole := int64(st.state)
	st.size = whole // for place
	tables, limit := int64(0), st.file.Size/st.cluster+1
	for at := int64(0); at < whole; {
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		sink.Report("reading the tables", at, whole)
		// Each table has a cluster of its own: with more of them than the file has
		// room for, some are the same.
		if tables++; tables > limit {
			return damaged("the snapshot %s has more tables than the file has clusters", st.label())
		}
		end := min(whole, at+int64(st.covers()))
		for at < end {
			p, err := st.place(at, end-at)
			if fault.Is(err, fault.Truncated) {
				st.size = at
				return nil
			}
			if err != nil {
				return err
			}
			if over := p.at + p.file - st.file.Size; p.kind == data && over > 0 {
				st.size = at + max(0, p.bytes-over)
				return nil
			} else if p.kind == packed && over >= sector { // the last sector need not be whole
				st.size = at
				return nil
			}
			at += p.bytes
		}
	}
	return nil
}

// ReadAt reads the state. Several goroutines may do so at once.
func (st *state) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= st.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), st.size-off))
	for done := 0; done < want; {
		at := off + int64(done)
		from, err := st.place(at, int64(want-done))
		if err != nil {
			return done, err
		}
		if err := st.fill(p[done:done+int(from.bytes)], at, from); err != nil {
			return done, err
		}
		done += int(from.bytes)
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

// fill makes the bytes of a place, which is the one at off, or a part of it.
func (st *state) fill(p []byte, off int64, from place) error {
	switch from.kind {
	case zeros:
		clear(p)
		return nil
	case packed:
		cluster, err := st.unpacked(from)
		if err != nil {
			return err
		}
		copy(p, cluster[off%st.cluster:])
		return nil
	}
	return st.file.Full(p, from.at)
}

// longRun is how long a run of clusters is that is worth a stream of its own: to
// begin one costs a browser as much as many reads.
const longRun = 4 << 20

// stream is source.Source.Stream over the file's own: long runs of clusters that
// lie together, which is how QEMU writes a state, are streamed each.
func (st *state) stream(off, n int64, buf []byte, visit func(p []byte) error) error {
	held := 0
	give := func(p []byte) error {
		for len(p) > 0 {
			c := copy(buf[held:], p)
			if held, p = held+c, p[c:]; held == len(buf) {
				if err := visit(buf); err != nil {
					return err
				}
				held = 0
			}
		}
		return nil
	}
	chunk := make([]byte, min(int64(len(buf)), n))
	for end := min(off+n, st.size); off < end; {
		from, err := st.place(off, end-off)
		if err != nil {
			return err
		}
		if from.kind == data && from.bytes >= longRun {
			err = st.file.Scan(from.at, from.bytes, chunk, give)
		} else {
			from.bytes = min(from.bytes, int64(len(chunk)))
			p := chunk[:from.bytes]
			if err = st.fill(p, off, from); err == nil {
				err = give(p)
			}
		}
		if err != nil {
			return err
		}
		off += from.bytes
	}
	if held > 0 {
		return visit(buf[:held])
	}
	return nil
}

// source is the state as a file.
func (st *state) source() source.Source {
	// The whole struct is new: what the file can do, the state inside it cannot.
	s := source.Source{ReaderAt: st, Size: st.size, Name: st.file.Name, Block: st.file.Block}
	if st.file.Stream != nil {
		s.Stream = st.stream
	}
	return s
}
