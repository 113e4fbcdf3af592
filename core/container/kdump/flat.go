package kdump

import (
	"context"
	"errors"
	"io"
	"slices"
	"sort"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// A flattened file is a stream of records, each a place in the kdump file and the
// bytes for it, in any order; the last one for a byte wins, what none is for is
// zero. Source: makedumpfile 1.7 makedumpfile.h (struct makedumpfile_header,
// makedumpfile_data_header), QEMU 10.2 dump.c. All numbers are big endian.
const (
	flatSignature = "makedumpfile\x00\x00\x00\x00"
	flatTypeAt    = 16   // type and version, both 1
	flatHeader    = 4096 // in front of the first record
	flatRecord    = 16   // offset and size; both -1: the end

	// flatWindow is read at each record's head: small records have several in it.
	flatWindow = 4096

	// maxPieces bounds the index (48 MiB). Real files have a piece for some hundred
	// records, since their writers have a rhythm.
	maxPieces = 1 << 20
	// maxOverlap bounds the records of a file in which some overlap.
	maxOverlap = 1 << 20
	// maxLogical bounds the place of a byte: a disk of that size is not made yet.
	maxLogical = 1 << 52
)

// piece is a row of records of one size that follow one another in the kdump file,
// at equal distances in the flattened one.
type piece struct {
	start  int64 // in the kdump file
	at     int64 // of the first byte in the flattened one
	record int64 // bytes of one record
	stride int64 // from one record to the next in the flattened one
	count  int64
}

func (p piece) end() int64 { return p.start + p.record*p.count }

// takes reports whether a record carries the row on, and takes it.
func (p *piece) takes(start, at, bytes int64) bool {
	switch {
	case start != p.end() || bytes != p.record:
		return false
	case p.count == 1 && at > p.at:
		p.stride = at - p.at
	case at != p.at+p.count*p.stride:
		return false
	}
	p.count++
	return true
}

// flat is a flattened file read as the kdump file it holds.
type flat struct {
	source source.Source
	pieces []piece // by start, disjoint
	size   int64   // of the kdump file
	cut    bool    // the stream ends without its end mark
}

// isFlat reports whether a file is flattened.
func isFlat(head []byte) bool {
	return len(head) >= len(flatSignature) && string(head[:len(flatSignature)]) == flatSignature
}

// unflatten indexes a flattened file in one pass over its records' heads.
func unflatten(ctx context.Context, s source.Source, sink progress.Sink) (*flat, error) {
	f := &flat{source: s}
	head := make([]byte, flatTypeAt+16)
	if s.Size < flatHeader {
		return nil, fault.New(fault.Truncated, "the file ends inside the header of the flattened form, after %d bytes", s.Size)
	}
	if err := s.Full(head, 0); err != nil {
		return nil, err
	}
	if kind, version := be.Uint64(head[flatTypeAt:]), be.Uint64(head[flatTypeAt+8:]); kind != 1 || version != 1 {
		return nil, fault.New(fault.DamagedHeader, "the flattened form has type %d and version %d, known is 1 of both", kind, version)
	}
	b := builder{flat: f}
	var err error
	if s.Stream != nil {
		err = b.stream(ctx, sink)
	} else {
		err = b.jump(ctx, sink)
	}
	if err != nil {
		return nil, err
	}
	return f, b.finish()
}

// builder collects the pieces in the order of the stream.
type builder struct {
	flat    *flat
	open    []*piece // the latest rows, which a record may carry on
	all     []*piece
	records int64
}

// openRows is how many rows grow at once: QEMU and makedumpfile write bitmaps,
// descriptors and data by turns.
const openRows = 8

// record takes one record's head, at the place of its data in the flattened file;
// done says that it was the last.
func (b *builder) record(head []byte, at int64) (bytes int64, done bool, err error) {
	start, bytes := int64(be.Uint64(head)), int64(be.Uint64(head[8:]))
	left := b.flat.source.Size - at
	switch {
	case start == -1 && bytes == -1:
		return 0, true, nil
	case start < 0 || bytes < 0 || start > maxLogical || bytes > maxLogical:
		return 0, true, fault.New(fault.DamagedHeader, "the flattened file is damaged: the record at %#x is %d bytes for %#x", at-flatRecord, bytes, start)
	case bytes > left:
		b.flat.cut, bytes, done = true, left, true
	}
	if bytes == 0 {
		return 0, done, nil
	}
	b.records++
	b.flat.size = max(b.flat.size, start+bytes)
	for i, p := range b.open {
		if p.takes(start, at, bytes) {
			copy(b.open[1:], b.open[:i])
			b.open[0] = p
			return bytes, done, nil
		}
	}
	if len(b.all) == maxPieces {
		return 0, true, fault.New(fault.DamagedHeader, "the flattened file is in more than %d pieces", maxPieces).
			Hint("makedumpfile -R puts it together: makedumpfile -R vm.kdump < FILE")
	}
	p := &piece{start: start, at: at, record: bytes, stride: bytes, count: 1}
	b.all = append(b.all, p)
	if len(b.open) < openRows {
		b.open = append(b.open, nil)
	}
	copy(b.open[1:], b.open)
	b.open[0] = p
	return bytes, done, nil
}

// jump reads the heads only.
func (b *builder) jump(ctx context.Context, sink progress.Sink) error {
	s := b.flat.source
	window, start := []byte(nil), int64(0)
	buf := make([]byte, flatWindow)
	for at, n := int64(flatHeader), 0; ; n++ {
		if n%1024 == 0 {
			sink.Report("reading the index", at, s.Size)
			if err := ctx.Err(); err != nil {
				return fault.Wrap(err, fault.Cancelled, "")
			}
		}
		if s.Size-at < flatRecord {
			b.flat.cut = true
			return nil
		}
		if at < start || at+flatRecord > start+int64(len(window)) {
			window, start = buf[:min(flatWindow, s.Size-at)], at
			if err := s.Full(window, at); err != nil {
				return err
			}
		}
		bytes, done, err := b.record(window[at-start:][:flatRecord], at+flatRecord)
		if done || err != nil {
			return err
		}
		at += flatRecord + bytes
	}
}

// errEnd ends a stream at the end mark.
var errEnd = errors.New("end mark")

// stream reads the whole file in order, where that is faster than a read a record.
func (b *builder) stream(ctx context.Context, sink progress.Sink) error {
	s := b.flat.source
	at := int64(flatHeader) // in the file
	skip := int64(0)        // data bytes up to the next head
	var head []byte
	err := s.Scan(at, s.Size-at, make([]byte, mem.ScanChunk), func(p []byte) error {
		sink.Report("reading the index", at, s.Size)
		if err := ctx.Err(); err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
		for len(p) > 0 {
			if skip > 0 {
				n := min(skip, int64(len(p)))
				p, at, skip = p[n:], at+n, skip-n
				continue
			}
			n := min(flatRecord-len(head), len(p))
			head, p, at = append(head, p[:n]...), p[n:], at+int64(n)
			if len(head) < flatRecord {
				break
			}
			bytes, done, err := b.record(head, at)
			if err != nil {
				return err
			}
			if done {
				return errEnd
			}
			head, skip = head[:0], bytes
		}
		return nil
	})
	if err == errEnd {
		return nil
	}
	b.flat.cut = true // perhaps of a read that failed: then the error says so
	return err
}

// finish sorts the pieces. Where some overlap, the records are taken apart: the
// one that came last wins.
func (b *builder) finish() error {
	f := b.flat
	for _, p := range b.all {
		f.pieces = append(f.pieces, *p)
	}
	slices.SortFunc(f.pieces, func(x, y piece) int { return int(min(max(x.start-y.start, -1), 1)) })
	overlap := false
	for i := 1; i < len(f.pieces); i++ {
		overlap = overlap || f.pieces[i].start < f.pieces[i-1].end()
	}
	if !overlap {
		return nil
	}
	if b.records > maxOverlap {
		return fault.New(fault.DamagedHeader, "the flattened file has %d records, some of which overlap", b.records).
			Hint("makedumpfile -R puts it together: makedumpfile -R vm.kdump < FILE")
	}
	var list []mem.Extent
	for _, p := range b.all {
		for i := range p.count {
			list = append(list, mem.Extent{Start: mem.PA(p.start + i*p.record), Bytes: uint64(p.record), Offset: p.at + i*p.stride})
		}
	}
	// The first one listed wins: from the last record of the stream on.
	slices.SortFunc(list, func(x, y mem.Extent) int { return int(min(max(y.Offset-x.Offset, -1), 1)) })
	f.pieces = f.pieces[:0]
	for _, e := range mem.Normalize(list) {
		f.pieces = append(f.pieces, piece{start: int64(e.Start), at: e.Offset, record: int64(e.Bytes), stride: int64(e.Bytes), count: 1})
	}
	return nil
}

// find gives the piece that holds off, or the first behind it.
func (f *flat) find(off int64) int {
	return sort.Search(len(f.pieces), func(i int) bool { return f.pieces[i].end() > off })
}

// ReadAt reads the kdump file.
func (f *flat) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), f.size-off))
	done := 0
	for i := f.find(off); done < want; {
		at := off + int64(done)
		rest := p[done:want]
		if i >= len(f.pieces) || f.pieces[i].start > at {
			gap := int64(len(rest))
			if i < len(f.pieces) {
				gap = min(gap, f.pieces[i].start-at)
			}
			clear(rest[:gap])
			done += int(gap)
			continue
		}
		piece := f.pieces[i]
		number, within := (at-piece.start)/piece.record, (at-piece.start)%piece.record
		n := min(int64(len(rest)), piece.record-within)
		if err := f.source.Full(rest[:n], piece.at+number*piece.stride+within); err != nil {
			return done, err
		}
		if done += int(n); off+int64(done) == piece.end() {
			i++
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}

// data gives the next range at or behind off, before end, that a record is for;
// from off to it all is zero.
func (f *flat) data(off, end int64) (from, to int64) {
	i := f.find(off)
	if i == len(f.pieces) || f.pieces[i].start >= end {
		return end, end
	}
	return max(off, f.pieces[i].start), min(end, f.pieces[i].end())
}
