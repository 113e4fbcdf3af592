package synth

import (
	"bytes"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"coredrop/core/mem"
)

// Codec is how a kdump core packs a block: the bit of its flags word.
type Codec uint32

// The codecs. LZO packs nothing: it is a run of literals.
const (
	Stored Codec = 0
	Zlib   Codec = 1
	LZO    Codec = 2
	Snappy Codec = 4
	Zstd   Codec = 0x20
)

// KDump describes a kdump-compressed core; the zero value of each field is what
// QEMU does.
type KDump struct {
	Runs  []mem.Run                  // sorted, of whole blocks
	Block func(number uint64) []byte // memory of one block of BlockSize bytes
	Codec func(number uint64) Codec  // nil: zlib
	Left  func(number uint64) bool   // in the first bitmap only; nil: none
	Notes []byte                     // the notes, as an ELF core has them
	Info  string                     // vmcoreinfo text beside them

	BlockSize int    // 0: 4096
	Machine   string // utsname.machine
	CPUs      int
	Status    uint32 // besides the codec's
	DumpLevel uint32 // 0: 1
	OwnZeros  bool   // no block of zeros that all share
}

// Put makes the file by puts of bytes at offsets, in the order in which QEMU makes
// them, and gives its size.
func (k KDump) Put(put func(off int64, p []byte)) int64 {
	size := int64(or(k.BlockSize, mem.PageSize))
	last := k.Runs[len(k.Runs)-1]
	blocks := uint64(last.End()) / uint64(size)
	notesAt := size + 0x68
	sub := (0x68 + int64(len(k.Notes)+len(k.Info)) + size - 1) / size
	half := (int64(blocks+7)/8 + size - 1) / size

	head, s := make(image, size), make(image, 0x68)
	head.text(0, "KDUMP   ")
	head.u32(8, 6)
	head.text(0x110, k.Machine)
	head.u32(0x1a8, k.Status|uint32(Zlib))
	head.u32(0x1ac, uint32(size))
	head.u32(0x1b0, uint32(sub))
	head.u32(0x1b4, uint32(2*half))
	head.u32(0x1b8, uint32(blocks))
	head.u32(0x1cc, uint32(k.CPUs))
	s.u32(8, or(k.DumpLevel, 1))
	if k.Info != "" {
		s.u64(0x20, uint64(notesAt)+uint64(len(k.Notes)))
		s.u64(0x28, uint64(len(k.Info)))
	}
	s.u64(0x30, uint64(notesAt))
	s.u64(0x38, uint64(len(k.Notes)))
	s.u64(0x60, blocks)
	put(0, head)
	put(size, s)
	put(notesAt, append(append([]byte{}, k.Notes...), k.Info...))

	first, second := make([]byte, half*size), make([]byte, half*size)
	count := int64(0)
	k.each(size, func(n uint64, left bool) {
		first[n/8] |= 1 << (n % 8)
		if !left {
			second[n/8] |= 1 << (n % 8)
			count++
		}
	})
	bitmaps := size * (1 + sub)
	for at := int64(0); at < half*size; at += size {
		put(bitmaps+at, first[at:][:size])
		put(bitmaps+(half*size)+at, second[at:][:size])
	}

	descriptors := bitmaps + 2*half*size
	at := descriptors + 24*count
	var pack packer
	zero := image(nil)
	rows, data := []byte(nil), []byte(nil)
	flush := func(least int) {
		if len(rows) > least {
			put(descriptors, rows)
			descriptors, rows = descriptors+int64(len(rows)), nil
		}
		if len(data) > least {
			put(at-int64(len(data)), data)
			data = nil
		}
	}
	k.each(size, func(n uint64, left bool) {
		if left {
			return
		}
		p := k.Block(n)
		empty := len(bytes.TrimLeft(p, "\x00")) == 0
		d := zero
		if !empty || k.OwnZeros || zero == nil {
			codec := Zlib
			if k.Codec != nil {
				codec = k.Codec(n)
			}
			packed := pack.pack(codec, p)
			d = make(image, 24)
			d.u64(0, uint64(at))
			d.u32(8, uint32(len(packed)))
			d.u32(12, uint32(codec))
			data = append(data, packed...)
			at += int64(len(packed))
			if empty && !k.OwnZeros {
				zero = d
			}
		}
		rows = append(rows, d...)
		flush(16 << 10)
	})
	flush(0)
	return at
}

// each visits the blocks in order.
func (k KDump) each(size int64, visit func(number uint64, left bool)) {
	for _, r := range k.Runs {
		for n := uint64(r.Start) / uint64(size); n < uint64(r.End())/uint64(size); n++ {
			visit(n, k.Left != nil && k.Left(n))
		}
	}
}

// Bytes is the file.
func (k KDump) Bytes() []byte {
	var file []byte
	size := k.Put(func(off int64, p []byte) {
		if need := int(off) + len(p); need > len(file) {
			file = append(file, make([]byte, need-len(file))...)
		}
		copy(file[off:], p)
	})
	return append(file, make([]byte, size-int64(len(file)))...)
}

// Flattened is the file in the flattened form: a header, records, the end mark.
func (k KDump) Flattened() []byte {
	file := FlatHeader()
	k.Put(func(off int64, p []byte) { file = append(file, FlatRecord(off, p)...) })
	return append(file, FlatEnd()...)
}

// FlatHeader is what a flattened file begins with.
func FlatHeader() []byte {
	head := make([]byte, 4096)
	copy(head, "makedumpfile")
	head[23], head[31] = 1, 1 // type and version, big endian
	return head
}

// FlatRecord is one record of a flattened file.
func FlatRecord(off int64, p []byte) []byte {
	head := make([]byte, 0, 16+len(p))
	for _, v := range []uint64{uint64(off), uint64(len(p))} {
		for shift := 56; shift >= 0; shift -= 8 {
			head = append(head, byte(v>>shift))
		}
	}
	return append(head, p...)
}

// FlatEnd is the end mark.
func FlatEnd() []byte { return bytes.Repeat([]byte{0xff}, 16) }

// packer packs blocks.
type packer struct {
	zlib *zlib.Writer
	zstd *zstd.Encoder
	buf  bytes.Buffer
}

func (k *packer) pack(c Codec, p []byte) []byte {
	switch c {
	case Stored:
		return p
	case LZO:
		return lzoLiterals(p)
	case Snappy:
		return snappy.Encode(nil, p)
	case Zstd:
		if k.zstd == nil {
			k.zstd, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		}
		return k.zstd.EncodeAll(p, nil)
	case Zlib:
		k.buf.Reset()
		if k.zlib == nil {
			k.zlib, _ = zlib.NewWriterLevel(&k.buf, 1)
		}
		k.zlib.Reset(&k.buf)
		_, _ = k.zlib.Write(p) // to memory
		_ = k.zlib.Close()
		return bytes.Clone(k.buf.Bytes())
	}
	panic("no such codec")
}

// Deflated packs bytes by zlib.
func Deflated(p []byte) []byte { return new(packer).pack(Zlib, p) }

// lzoLiterals is an LZO1X stream that copies: a run of literals, then the end
// mark. Source: Linux Documentation/staging/lzo.rst.
func lzoLiterals(p []byte) []byte {
	out := []byte{0}
	n := len(p) - 18
	for ; n > 255; n -= 255 {
		out = append(out, 0)
	}
	out = append(append(out, byte(n)), p...)
	return append(out, 0x11, 0, 0)
}

// NoteBytes is the notes of an ELF core as one blob.
func (e ELF) NoteBytes() []byte {
	var all []byte
	for _, n := range e.notes() {
		all = append(all, n...)
	}
	return all
}

// KDump is the same machine as a kdump core: its loads, which must be of whole
// blocks and in order, and its notes.
func (e ELF) KDump() KDump {
	k := KDump{Machine: "x86_64", CPUs: len(e.CPUs), Notes: e.NoteBytes()}
	for _, l := range e.Loads {
		k.Runs = append(k.Runs, mem.Run{Start: l.PA, Pages: uint64(len(l.Data)) / mem.PageSize})
	}
	k.Block = func(n uint64) []byte {
		pa := mem.PA(n * mem.PageSize)
		for _, l := range e.Loads {
			if pa >= l.PA && pa < l.PA+mem.PA(len(l.Data)) {
				return l.Data[pa-l.PA:][:mem.PageSize]
			}
		}
		panic("no such block")
	}
	return k
}
