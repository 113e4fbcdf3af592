package dmp_test

import (
	"context"
	"encoding/binary"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
)

// FuzzShown damages what decides whose registers are shown, in a guest in a bug
// check: records, control regions, stacks, the list of processors, the clocks,
// and a CPU's registers. There is a dump that a debugger can open, or an error
// with a code.
func FuzzShown(f *testing.F) {
	b := synth.Guest(synth.Options{CPUs: modes(kernel, synth.Hypervisor, process, user), BugCheckCPU: 2, Encoded: true,
		BugCheck: &synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true, InDriver: true}})
	m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
	if err != nil {
		f.Fatal(err)
	}
	guest := paging.New(m.Mem, uint64(b.SystemDTB), paging.X64)
	places := []uint64{b.KernelBase + uint64(b.Symbols["KiProcessorBlock"]), b.KernelBase + uint64(b.Symbols["KiBugCheckData"]), 0xfffff78000000000}
	for p := range b.PRCB {
		places = append(places, b.Context[p], b.KPCR[p], b.PRCB[p]+0x100, b.PRCB[p]+0x85c0, b.Records[p].RSP)
	}
	f.Add([]byte{0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, uint64(0), uint8(0))
	f.Add([]byte{3, 0xf8, 1, 0, 0, 0, 0, 0, 0, 0}, b.KPCR[0], uint8(3))
	f.Add([]byte{13, 0x80, 0xff, 0, 0, 0, 0, 0, 0, 0, 13, 0x88, 1, 0, 0, 0, 0, 0, 0, 0x80}, uint64(1<<63), uint8(0x85))
	f.Add([]byte{2, 0x14, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, uint64(8), uint8(0x46))
	f.Fuzz(func(t *testing.T, changes []byte, register uint64, which uint8) {
		over := mem.NewOverlay(m.Mem)
		for ; len(changes) >= 10; changes = changes[10:] {
			pa, _, err := guest.Translate(mem.VA(places[int(changes[0])%len(places)] + uint64(changes[1]&^7)))
			if err != nil {
				continue
			}
			var p [8]byte
			if over.ReadAt(p[:], pa) == nil {
				binary.LittleEndian.PutUint64(p[:], binary.LittleEndian.Uint64(p[:])^binary.LittleEndian.Uint64(changes[2:]))
				_ = over.Write(pa, p[:])
			}
		}
		changed := *m
		changed.Mem, changed.CPUs = over, nil
		for i, c := range m.CPUs {
			x := *c.State
			if i == int(which>>6) {
				for n, r := range []cpu.Reg{cpu.CR3, cpu.GSBase, cpu.KernelGSBase, cpu.RIP, cpu.RSP, cpu.RFLAGS, cpu.CR0} {
					if n+1 == int(which&7) {
						x.Set(r, register)
					}
				}
			}
			changed.CPUs = append(changed.CPUs, machine.CPU{Index: i, State: &x})
		}
		k, err := find.Locate(context.Background(), &changed, find.Options{})
		if err != nil {
			if fault.As(err).Code == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		im, err := dmp.New(context.Background(), k, dmp.Options{})
		if err != nil {
			if fault.As(err).Code == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		r, err := dmp.Verify(context.Background(), im, im.Size())
		if err != nil {
			t.Fatal(err)
		}
		if r.Header.Flags != 0 && r.Header.Flags&0x100000 == 0 || len(im.Shown) != len(k.Processors) {
			t.Fatalf("%+v, %+v", r.Header, im.Shown)
		}
		small, err := dmp.New(context.Background(), k, dmp.Options{Type: dmp.TypeTriage})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := dmp.Verify(context.Background(), small, small.Size()); err != nil || small.Size() > 2<<20 {
			t.Fatalf("%d bytes, %v", small.Size(), err)
		}
		for _, s := range im.Shown {
			if s.Opens && s.From == windows.RegistersNone {
				t.Fatalf("opens on nobody's registers: %+v", s)
			}
		}
	})
}
