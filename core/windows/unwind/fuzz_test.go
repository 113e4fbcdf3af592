package unwind_test

import (
	"encoding/binary"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/pe"
	"coredrop/core/windows/unwind"
)

// budget counts what is read.
type budget struct {
	pieces
	bytes int
}

func (b *budget) ReadAt(p []byte, va mem.VA) error {
	b.bytes += len(p)
	return b.pieces.ReadAt(p, va)
}

// FuzzWalk changes an image and a stack, a few bytes at a time: each three
// bytes of the input are an offset in them and a new value. The walk ends with
// a reason, within bounds, and trust never rises.
func FuzzWalk(f *testing.F) {
	v := load(f, "testdata", "asm")
	for n := 0; n < len(v.Vectors); n += 40 {
		f.Add(uint16(n), uint32(v.Vectors[n].RIP-v.Base), []byte{}, []byte{})
	}
	f.Add(uint16(51), uint32(v.Vectors[51].RIP-v.Base), []byte{0x28, 0x24, 0x21}, []byte{})
	f.Fuzz(func(t *testing.T, n uint16, rip uint32, image2, stack2 []byte) {
		x := v.Vectors[int(n)%len(v.Vectors)]
		at, stack := v.stack(t, x)
		image := append([]byte(nil), v.image...)
		for _, c := range []struct{ patches, of []byte }{{image2, image}, {stack2, stack}} {
			for p := c.patches; len(p) >= 3; p = p[3:] {
				if i := int(binary.LittleEndian.Uint16(p)); i < len(c.of) {
					c.of[i] = p[2]
				}
			}
		}
		x.RIP = v.Base + hex64(rip)
		m := &budget{pieces: pieces{{uint64(v.Base), image}, {at, stack}}}
		s := v.walkIn(m, x, true)
		if len(s.Frames) == 0 || len(s.Frames) > unwind.MaxFrames || s.End.Code == "" || s.End.Text == "" {
			t.Fatalf("%d frames, %+v", len(s.Frames), s.End)
		}
		if m.bytes > 4<<20 {
			t.Fatalf("%d bytes read", m.bytes)
		}
		for i := 1; i < len(s.Frames); i++ {
			if s.Frames[i].Trust < s.Frames[i-1].Trust {
				t.Fatalf("frame %d is surer than the one before", i)
			}
		}
	})
}

// FuzzInfo decodes unwind information.
func FuzzInfo(f *testing.F) {
	f.Add([]byte{1, 4, 1, 0, 4, 0x42})
	f.Add([]byte{0x21, 0, 2, 5, 4, 1, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	f.Add([]byte{2, 4, 2, 0, 2, 0x16, 0, 6})
	f.Fuzz(func(t *testing.T, data []byte) {
		m := pieces{{0x10000, data}}
		info, err := unwind.Decode(m, 0x10000, uint32(len(data)), 0)
		if (info == nil) == (err == nil) {
			t.Fatalf("%v, %v", info, err)
		}
		if err != nil {
			return
		}
		if len(info.Codes)+len(info.Epilogs) > int(data[2]) || info.Version != 1 && info.Version != 2 {
			t.Fatalf("%+v of %d slots", info, data[2])
		}
		if info.Chain != nil && *info.Chain == (pe.Function{}) && data[0]>>3&4 == 0 {
			t.Fatalf("a chain from nowhere: %+v", info)
		}
	})
}
