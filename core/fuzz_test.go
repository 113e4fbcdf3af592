package core

import (
	"bytes"
	"context"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/synth"
)

// FuzzConvert changes a small guest's core anywhere, in its headers and in the
// guest's own structures: the answer is an image or a fault, never a panic
// (which would be internal), and an image can be read to its last byte.
func FuzzConvert(f *testing.F) {
	b := guest(func(o *synth.Options) { o.KDBGCrosses = true })
	f.Add(uint32(0x38), []byte{1, 0}, uint32(0), false)
	f.Add(uint32(0x20), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint32(0), false)
	f.Add(uint32(len(b.Core)/2), bytes.Repeat([]byte{0xa5}, 64), uint32(1000), true)
	for _, at := range []uint64{b.KDBG, b.ModuleList, b.ProcessHead, b.PRCB[0], b.KernelBase, b.KPCR[0]} {
		if off := bytes.Index(b.Core, le64(at)); off >= 0 {
			f.Add(uint32(off), le64(at+1), uint32(0), true)
			f.Add(uint32(off), le64(0xffff_ffff_ffff_fff8), uint32(0), false)
		}
	}
	pdb := b.PDB()
	f.Fuzz(func(t *testing.T, off uint32, with []byte, cut uint32, symbols bool) {
		data := bytes.Clone(b.Core)
		copy(data[int(off)%len(data):], with)
		data = data[:len(data)-int(cut)%len(data)]
		o := Options{}
		if symbols {
			o.Symbols = synthPDB{data: pdb}
		}
		im, sum, err := Convert(context.Background(), synth.Source(data), o)
		if err != nil {
			if im != nil || fault.Is(err, fault.Internal) || sum.Error == nil {
				t.Fatalf("%v; %+v", err, sum.Error)
			}
			return
		}
		if im.Size() > int64(len(data))*4+(64<<20) {
			t.Fatalf("a dump of %d bytes of a core of %d", im.Size(), len(data))
		}
		out := make([]byte, im.Size())
		if n, err := im.ReadAt(out, 0); n != len(out) || err != nil {
			t.Fatalf("%d of %d bytes: %v", n, len(out), err)
		}
	})
}

func le64(v uint64) []byte {
	p := make([]byte, 8)
	for i := range p {
		p[i] = byte(v >> (8 * i))
	}
	return p
}
