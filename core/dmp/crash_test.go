package dmp_test

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
)

// examplePDB gives an example's PDB to who asks for it.
type examplePDB struct{ *demo.Example }

func (e examplePDB) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	if !strings.Contains(e.PDBKey, cv.Key()) {
		return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "")
	}
	data, err := e.Example.PDB()
	if err != nil {
		return nil, pdb.Origin{}, err
	}
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, pdb.Origin{Kind: pdb.FromFile, Name: "demo"}, err
}

// builtPDB gives a synthetic guest's own PDB.
type builtPDB struct{ *synth.Built }

func (b builtPDB) PDB(context.Context, pe.CodeView) (*pdb.File, pdb.Origin, error) {
	data := b.Built.PDB()
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	return f, pdb.Origin{Kind: pdb.FromFile, Name: "synth"}, err
}

// written makes a kernel's dump and reads it back, as Verify does and with the tests'
// own reader.
func written(t testing.TB, k *windows.Kernel, o dmp.Options) (*dmp.Image, *dmptest.Dump) {
	t.Helper()
	im, err := dmp.New(context.Background(), k, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dmp.Verify(context.Background(), im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	if wrong := append(r.Differences(k, im), r.Problems...); len(wrong) > 0 {
		t.Errorf("read back: %q", wrong)
	}
	d, err := dmptest.Open(im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	return im, d
}

// convert makes the dump of an ELF core and reads it back.
func convert(t testing.TB, core []byte, s windows.Symbols, o dmp.Options) (*windows.Kernel, *dmp.Image, *dmptest.Dump) {
	t.Helper()
	src := source.Source{ReaderAt: bytes.NewReader(core), Size: int64(len(core)), Name: "core"}
	m, err := elfcore.Open(context.Background(), src, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{Symbols: s, Compat: o.Compat})
	if err != nil {
		t.Fatalf("%v %q", err, fault.As(err).Remedy())
	}
	im, d := written(t, k, o)
	if !o.Compat {
		// Whatever the guest is, a triage dump of it can be made and read.
		small, again := triageOf(t, k, o)
		record, _ := d.Opens()
		if other, _ := again.Opens(); again.Processors() != d.Processors() || !bytes.Equal(other, record) {
			t.Errorf("the triage dump of %d bytes opens another way", small.Size())
		}
	}
	return k, im, d
}

// What the example's truth.json has: the records that Windows saved, and the
// registers that the CPUs had.
var (
	crashRecords = []dmptest.Place{
		{Flags: 0x10001f, RIP: 0xfffff8033d1a1012, RSP: 0xffff9e0a7a1c5be8},
		{Flags: 0x10001f, RIP: 0xfffff80318971202, RSP: 0xffff9e0a7a1ede60},
		{Flags: 0x10000f, RIP: 0xfffff8033c61a580, RSP: 0xffff9e0a7a215578},
		{Flags: 0x10001f, RIP: 0x7ff63c3b1040, RSP: 0xa45d17ef58},
	}
	crashLive = []dmptest.Place{
		{Flags: 0x100007, RIP: 0xfffff8033c604a82, RSP: 0xffff9e0a7a1c58c0},
		{Flags: 0x100007, RIP: 0xfffff8033c604a82, RSP: 0xffff9e0a7a1edb40},
		{Flags: 0x100007, RIP: 0xfffff80318a41012, RSP: 0xffff9e0a7a215308},
		{Flags: 0x100007, RIP: 0xfffff8033c604a82, RSP: 0xffff9e0a7a21d970},
	}
)

const (
	crasher  = 2
	crashCR2 = 0xffffe00123456780 // what it wrote to
	systemDB = 0x1ad000
)

// TestCrash: a driver's bug check as Windows leaves it. The dump opens on the
// processor that called KeBugCheckEx, with the registers of the call; the
// records of the others stay as well. -registers live gives what the CPUs had.
func TestCrash(t *testing.T) {
	core, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		symbols windows.Symbols
		o       dmp.Options
		want    []dmptest.Place
		from    windows.Registers
		opens   string
	}{
		"with the PDB":    {examplePDB{demo.Crash}, dmp.Options{}, crashRecords, windows.RegistersRecord, "opens on processor 2, which called KeBugCheckEx"},
		"without symbols": {nil, dmp.Options{}, crashRecords, windows.RegistersRecord, "opens on processor 2, which called KeBugCheckEx"},
		"live":            {nil, dmp.Options{Registers: dmp.RegistersLive}, crashLive, windows.RegistersLive, "opens on processor 2, which called KeBugCheckEx, with its live registers"},
	} {
		t.Run(name, func(t *testing.T) {
			k, im, d := convert(t, core, c.symbols, c.o)
			if im.Opens != c.opens || len(k.Warnings)+len(im.Warnings) != 0 {
				t.Errorf("%q, warnings %v %v", im.Opens, k.Warnings, im.Warnings)
			}
			for i, want := range c.want {
				_, record := d.Context(i)
				if got := dmptest.PlaceOf(record); got != want {
					t.Errorf("processor %d: %#x, want %#x", i, got, want)
				}
				if s := im.Shown[i]; s.From != c.from || s.Opens != (i == crasher) || s.Processor != i || s.CPU != i || s.Why == "" {
					t.Errorf("processor %d: %+v", i, s)
				}
			}
			header, rest := d.Opens()
			if dmptest.PlaceOf(header) != c.want[crasher] {
				t.Errorf("the header opens at %#x", dmptest.PlaceOf(header))
			}
			_, record := d.Context(crasher)
			if !bytes.Equal(header, record) || !bytes.Equal(rest, make([]byte, len(rest))) {
				t.Error("the header's context is not the record of the processor")
			}
			if rcx := dmptest.Arguments(header)[0]; c.from == windows.RegistersRecord && rcx != 0xa {
				t.Errorf("rcx %#x: the call was KeBugCheckEx(0xa, …)", rcx)
			}
			code, parameters := d.BugCheck()
			if d.Root() != systemDB || d.Processors() != 4 || code != 0xd1 || parameters != [4]uint64{crashCR2, 2, 1, 0xfffff80318971319} {
				t.Errorf("base %#x, %d processors, bug check %#x %#x", d.Root(), d.Processors(), code, parameters)
			}
			if code, flags, address := d.Exception(); code != 0x80000003 || flags != 1 || address != c.want[crasher].RIP {
				t.Errorf("exception %#x, %#x, at %#x", code, flags, address)
			}
			// The crasher's saved CR2 is the address; processor 3's saved CR3 its process's.
			if cr2 := d.Special(crasher)[1]; cr2 != crashCR2 {
				t.Errorf("CR2 %#x", cr2)
			}
			for _, p := range im.Patches {
				if c.from == windows.RegistersRecord && !strings.HasPrefix(p.What, "KDBG") && !strings.HasPrefix(p.What, "KdpDataBlockEncoded") {
					t.Errorf("changed: %v", p)
				}
			}
		})
	}
}
