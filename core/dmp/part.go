package dmp

import "coredrop/core/mem"

// Kind says where the bytes of a part come from.
type Kind uint8

// The kinds of parts.
const (
	Literal  Kind = iota // the part brings them: whole pages, or the header
	Copy                 // a range of an input file, as it is
	Zero                 // there are none: zeros
	Computed             // only Image.ReadAt and Image.Scan give them: packed memory
)

// Part is a piece of the dump.
type Part struct {
	Kind    Kind
	Bytes   int64
	Literal []byte // of a Literal
	File    int    // Copy: which of the input's files; 0 is the one opened
	Off     int64  // Copy: in that file
}

// piece is a stretch of the dump with its place. Parts are made from pieces:
// two that adjoin in the file need not adjoin in memory.
type piece struct {
	off, bytes int64
	literal    []byte // nil: memory from pa on
	pa         mem.PA
	from       mem.Extent // where the container holds the memory: file, offset, origin
	partial    bool       // a page that the core holds in part: the rest is zero
}

// part is the piece as a part of its own.
func (p piece) part() Part {
	switch {
	case p.literal != nil:
		return Part{Kind: Literal, Bytes: p.bytes, Literal: p.literal}
	case p.partial || p.from.Origin == mem.Decoded:
		return Part{Kind: Computed, Bytes: p.bytes}
	case p.from.Origin == mem.Zero:
		return Part{Kind: Zero, Bytes: p.bytes}
	}
	return Part{Kind: Copy, Bytes: p.bytes, File: p.from.File, Off: p.from.Offset}
}

// joins reports whether q carries on where p ends. Literals are joined by the
// builder, where that costs no copy.
func (p Part) joins(q Part) bool {
	switch {
	case p.Kind != q.Kind || p.Kind == Literal:
		return false
	case p.Kind == Copy:
		return p.File == q.File && p.Off+p.Bytes == q.Off
	}
	return true
}

// Parts lists the dump's pieces in order, neighbours joined. Literals may share
// their backing array; they must not be changed.
func (im *Image) Parts() []Part {
	var list []Part
	for _, p := range im.pieces {
		part := p.part()
		if n := len(list) - 1; n >= 0 && list[n].joins(part) {
			list[n].Bytes += part.Bytes
			continue
		}
		list = append(list, part)
	}
	return list
}
