package stacks_test

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/stacks"
)

// patched is memory with words written over.
type patched struct {
	mem.Physical
	words map[mem.PA]uint64
}

func (p *patched) ReadAt(b []byte, pa mem.PA) error {
	if err := p.Physical.ReadAt(b, pa); err != nil {
		return err
	}
	for at, v := range p.words {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], v)
		for i := range w {
			if off := int64(at) + int64(i) - int64(pa); off >= 0 && off < int64(len(b)) {
				b[off] = w[i]
			}
		}
	}
	return nil
}

// FuzzStacks writes words over the stacks, the images' headers and their
// exception data. Every reading ends, with a reason for each stack.
func FuzzStacks(f *testing.F) {
	fuzz(f, func(_, prcb uint64, k *windows.Kernel) []uint64 {
		return []uint64{stackBase - 0x400, sleepStack + 0x5f00, driver + driverPdata, uint64(k.Image.Base) + kernelPdata, driver + 0x80, uint64(k.Image.Base) + 0x80}
	})
}

// FuzzThreads writes words over the threads, their processes, the processor's
// block, and the debugger block's offsets.
func FuzzThreads(f *testing.F) {
	fuzz(f, func(process, prcb uint64, _ *windows.Kernel) []uint64 {
		return []uint64{sleeperAt, process, prcb, thread}
	})
}

const sleepStack = 0xffff8d4000000000

// fuzz writes words over some regions of a guest; a region beyond the last one
// is the debugger block.
func fuzz(f *testing.F, where func(process, prcb uint64, k *windows.Kernel) []uint64) {
	const threads, firstThread, firstStack = 12, sleeperAt, sleepStack
	var process, prcb uint64
	k := build(f, synth.Options{BugCheck: &synth.BugCheck{Code: 0xd1, Parameters: [4]uint64{1, 2, 0, driver + 0x1020}}}, func(s *scene) {
		process, prcb = s.Truth.Processes[1].VA, s.Truth.PRCB[0]
		for i := range threads {
			limit := firstStack + uint64(i)*0x8000
			at := firstThread + uint64(i)*0x500
			s.thread(at, process, 5, limit, limit+0x6000, limit+0x5f00)
			s.Write64(limit+0x5f38, s.kernel+0x1420)
			s.Write64(limit+0x5f68, s.kernel+0x1820)
			s.Write64(limit+0x5f98, 0)
			s.Write64(at+0x478, 0x6c)
			s.Write64(at+0x480, uint64(8+4*i))
		}
		var ring []uint64
		for i := range threads {
			ring = append(ring, firstThread+uint64(i)*0x500+0x2f8)
		}
		ring = append(ring, process+0x30)
		for i, at := range ring {
			s.Write64(at, ring[(i+1)%len(ring)])
			s.Write64(at+8, ring[(i+len(ring)-1)%len(ring)])
		}
		s.Write(s.kernel+0x1420-5, append([]byte{0xe8}, le.AppendUint32(nil, 0x200)...))
		s.frames(driver+0x1130, s.kernel+0x1820)
		s.fault(driver+0x1020, s.sp, 0x10)
		s.stand(s.kernel+0x1640, s.sp)
	})
	regions := where(process, prcb, k)
	f.Add([]byte{})
	f.Add([]byte{0, 0xf8, 0x02, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{3, 0, 0x01, 8, 0, 0, 0, 0, 0x8d, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		p := &patched{Physical: k.Space.Phys, words: map[mem.PA]uint64{}}
		own := *k
		own.Space = paging.New(p, uint64(k.DTB), k.Space.Mode)
		own.KDBG.Plain = slices.Clone(k.KDBG.Plain)
		for n := 0; len(data) >= 11 && n < 64; n++ {
			which, off, v := data[0], binary.LittleEndian.Uint16(data[1:]), binary.LittleEndian.Uint64(data[3:])
			data = data[11:]
			if int(which) >= len(regions) {
				own.KDBG.Plain[0x298+int(off)%0xe0] = byte(v)
				continue
			}
			if pa, _, err := k.Space.Translate(mem.VA(regions[which] + uint64(off)&0xfff)); err == nil {
				p.words[pa] = v
			}
		}
		read(t, &own)
	})
}

// read reads all stacks.
func read(t *testing.T, k *windows.Kernel) {
	r := stacks.New(context.Background(), k, nil)
	processors := r.Processors()
	a := r.FirstAid(processors, r.BugCheck())
	if len(a.Lines) != len(processors) {
		t.Fatalf("%q", a.Lines)
	}
	check := func(s *stacks.Stack) {
		if s != nil && (s.Why == "" || len(s.Frames) > 2048) {
			t.Fatalf("%+v", s)
		}
	}
	for _, p := range processors {
		check(p.Stack)
		check(p.Live)
	}
	list, _ := r.Threads()
	for i := range list {
		check(&list[i].Stack)
	}
}
