package dmp_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/synth"
	"coredrop/core/windows/find"
)

// device is where QEMU puts a large device's memory (ivshmem), near the top of
// the address space: 56 TB.
const device = 0x380000000000

// TestForms: what kind of dump a guest's memory becomes, what of it is left out,
// and what is said.
func TestForms(t *testing.T) {
	for name, c := range map[string]struct {
		extra  int // runs of RAM besides the guest's one
		at     mem.PA
		kind   string
		want   string // dump type asked for
		device bool   // the dump holds the page at c.at
		codes  []fault.Code
		text   string
	}{
		"RAM alone":                       {0, 0, dmp.TypeFull, "", false, nil, ""},
		"a device at 56 TB, two runs":     {0, device, dmp.TypeFull, "", true, nil, ""},
		"a device at 56 TB, 42 runs":      {40, device, dmp.TypeFull, "", true, nil, ""},
		"a device at 56 TB, 43 runs":      {41, device, dmp.TypeFull, "", false, []fault.Code{fault.MemoryLeftOut}, "2 pages (8192 bytes) of memory from 0x380000000000 on are left out"},
		"a device at 56 TB, 50 runs":      {48, device, dmp.TypeBitmap, "", false, []fault.Code{fault.BitmapDump, fault.MemoryLeftOut}, "2 pages (8192 bytes) of memory from 0x380000000000 on are left out"},
		"a device at 56 TB, bitmap":       {0, device, dmp.TypeBitmap, dmp.TypeBitmap, false, []fault.Code{fault.MemoryLeftOut}, "2 pages"},
		"a run at 600 GiB":                {0, 600 << 30, dmp.TypeFull, "", true, nil, ""},
		"a run at 600 GiB, bitmap":        {0, 600 << 30, dmp.TypeBitmap, dmp.TypeBitmap, true, []fault.Code{fault.ReaderLimit}, "LeechCore and MemProcFS refuse"},
		"a run at 600 GiB, 50 runs":       {48, 600 << 30, dmp.TypeBitmap, "", true, []fault.Code{fault.BitmapDump, fault.ReaderLimit}, "LeechCore and MemProcFS refuse"},
		"a run at 500 GiB, bitmap":        {0, 500 << 30, dmp.TypeBitmap, dmp.TypeBitmap, true, nil, ""},
		"a run across the bitmap's reach": {48, 0x7fffffc0*mem.PageSize - mem.PageSize, dmp.TypeBitmap, "", true, []fault.Code{fault.BitmapDump, fault.MemoryLeftOut, fault.ReaderLimit}, "1 pages (4096 bytes) of memory from 0x7fffffc0000 on"},
	} {
		t.Run(name, func(t *testing.T) {
			b := synth.Guest(synth.Options{ExtraRuns: c.extra})
			e := b.ELF
			if c.at != 0 {
				e.Loads = append(e.Loads, synth.Load{PA: c.at, Data: synth.Noise(77, 2*mem.PageSize)})
			}
			k, im, d := convert(t, synth.WriteELF(e), nil, dmp.Options{Type: c.want})
			if im.Type != c.kind || len(k.Warnings) != 0 {
				t.Errorf("a %s dump, %v", im.Type, k.Warnings)
			}
			wantWarnings(t, im.Warnings, c.codes)
			if c.text != "" && !strings.Contains(fmt.Sprint(im.Warnings), c.text) {
				t.Errorf("%v does not say %q", im.Warnings, c.text)
			}
			p := make([]byte, mem.PageSize)
			if err := d.Physical(p, uint64(c.at)); c.at != 0 && (err == nil) != c.device {
				t.Errorf("the page at %v: %v", c.at, err)
			}
			if err := d.Physical(p, 0x100000); err != nil {
				t.Errorf("the guest's RAM: %v", err)
			}
			head := make([]byte, 8)
			if _, err := im.ReadAt(head, 0x2000); c.kind == dmp.TypeBitmap && (err != nil || string(head) != "FDMPDUMP") {
				t.Errorf("bitmap signature %q, %v", head, err)
			}
		})
	}
}

// TestCompatNeedsThePlaceOfContexts: elf2dmp reads an offset that blocks before
// Windows 7 do not have, takes another field for a pointer and may overwrite
// anything.
func TestCompatNeedsThePlaceOfContexts(t *testing.T) {
	b := synth.Guest(synth.Options{CPUs: modes(kernel, process), KDBGSize: 0x318})
	m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{Symbols: builtPDB{b}, Compat: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range k.Processors {
		if p.Context != 0 || p.Err == nil {
			t.Errorf("%+v", p)
		}
	}
	if _, err := dmp.New(context.Background(), k, dmp.Options{Compat: true}); !fault.Is(err, fault.CompatLossy) {
		t.Errorf("%v", err)
	}
	if err := dmp.Check(k, true); !fault.Is(err, fault.CompatLossy) {
		t.Errorf("promised: %v", err)
	}
}

// TestRegistersOption: a value that is not known is refused.
func TestRegistersOption(t *testing.T) {
	b := synth.Guest(synth.Options{})
	m, err := elfcore.Open(context.Background(), b.Source(), machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dmp.New(context.Background(), k, dmp.Options{Registers: "dead"}); !fault.Is(err, fault.BadOption) {
		t.Error(err)
	}
}
