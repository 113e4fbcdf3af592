package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// synthPDB serves one PDB's bytes, or an error.
type synthPDB struct {
	data []byte
	err  error
}

func (s synthPDB) PDB(context.Context, pe.CodeView) (*pdb.File, pdb.Origin, error) {
	if s.err != nil {
		return nil, pdb.Origin{}, s.err
	}
	f, err := pdb.Open(bytes.NewReader(s.data), int64(len(s.data)))
	return f, pdb.Origin{Kind: pdb.FromStore, Name: "synth"}, err
}

// failing is a source whose reads fail from an offset on.
type failing struct {
	data []byte
	from int64
	err  error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return copy(p, f.data[off:]), nil
}

// panicking is a source that panics.
type panicking struct{}

func (panicking) ReadAt([]byte, int64) (int, error) { panic("planted") }

func guest(edit func(*synth.Options)) *synth.Built {
	o := synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.Process}, Seed: 7, Encoded: true}
	if edit != nil {
		edit(&o)
	}
	return synth.Guest(o)
}

// rewritten gives the guest's core written again with another ELF.
func rewritten(edit func(*synth.ELF)) source.Source {
	b := guest(nil)
	edit(&b.ELF)
	return synth.Source(synth.WriteELF(b.ELF))
}

func edited(edit func(g *synth.Editor)) source.Source {
	return guest(func(o *synth.Options) { o.Edit = edit }).Source()
}

func raw(data string, n int) source.Source {
	return synth.Source(append([]byte(data), make([]byte, n)...))
}

// kusd is KUSER_SHARED_DATA.
const kusd = 0xfffff78000000000

// stage is a way in which a job ends or a thing is missing, by its code.
type stage struct {
	name   string
	source source.Source
	o      Options
	code   fault.Code
}

// failures lists what ends a conversion: every message of upstream elf2dmp
// 10.2.2 of the kind, and the neighbours that are told by name.
func failures() []stage {
	with := func(b *synth.Built, compat bool) Options {
		return Options{Symbols: synthPDB{data: b.PDB()}, Compat: compat}
	}
	plain := guest(nil)
	unmap := func(names ...string) func(*synth.Editor) {
		return func(g *synth.Editor) {
			for _, n := range names {
				g.Unmap(g.Sym(n))
			}
		}
	}
	return []stage{
		{"no file", source.Source{Size: 10}, Options{}, fault.InputUnreadable},
		{"empty", source.Source{ReaderAt: bytes.NewReader(nil)}, Options{}, fault.EmptyFile},
		{"no signature", raw("something else", 5), Options{}, fault.UnknownFormat},
		{"raw memory", raw("", 1<<20), Options{}, fault.RawImage},
		{"cut header", raw("\x7fELF\x02\x01\x01", 20), Options{}, fault.DamagedHeader},
		{"kdump", raw("KDUMP   ", 4096), Options{}, fault.DamagedHeader},
		{"diskdump", raw("DISKDUMP", 4096), Options{}, fault.KdumpCompressed},
		{"saved state", raw("QEVM", 4096), Options{}, fault.DamagedHeader},
		{"saved state without memory", raw("QEVM\x00\x00\x00\x03\x07\x00\x00\x00\x00\x05\x1aconfiguration/capabilities\x00\x00\x00\x01\x00\x00\x00\x01\x0fx-ignore-shared", 64), Options{}, fault.SavevmImage},
		{"dump", raw("PAGEDU64", 8192), Options{}, fault.IsDmp},
		{"LiME", raw("EMiL", 4096), Options{}, fault.OtherFormat},
		{"cabinet", raw("MSCF", 4096), Options{}, fault.SymbolsCompressed},
		{"32-bit class in a 64-bit file", rewritten(func(e *synth.ELF) { e.Class = 1 }), Options{}, fault.DamagedHeader},
		{"class", rewritten(func(e *synth.ELF) { e.Class = 9 }), Options{}, fault.DamagedHeader},
		{"machine", rewritten(func(e *synth.ELF) { e.Machine = 183 }), Options{}, fault.UnsupportedCPU},
		{"not a core", rewritten(func(e *synth.ELF) { e.Type = 2 }), Options{}, fault.OtherFormat},
		{"no headers", patched(plain, 0x38, 0), Options{}, fault.DamagedHeader},
		{"headers outside", patched(plain, 0x20, 0xff), Options{}, fault.DamagedHeader},
		{"no notes, no kernel", rewritten(func(e *synth.ELF) {
			e.NoNote, e.Loads = true, []synth.Load{{PA: 0x100000, Data: make([]byte, 1<<20)}}
		}), Options{}, fault.NoQEMUNotes},
		{"no notes, compat", rewritten(func(e *synth.ELF) { e.NoNote = true }), with(plain, true), fault.NoQEMUNotes},
		{"no memory", rewritten(func(e *synth.ELF) { e.Loads = nil }), Options{}, fault.NoMemory},
		{"page tables", edited(func(g *synth.Editor) {
			for _, c := range g.CPUs() {
				c.State.Set(cpu.CR3, 0x7ffff000)
			}
			g.WritePhysical(g.Truth.SystemDTB, make([]byte, 4096))
			g.WritePhysical(g.Truth.ProcessDTB, make([]byte, 4096))
		}), Options{}, fault.KernelPagedState},
		{"Linux note", linuxGuest(), Options{}, fault.IsLinux},
		{"random memory", encryptedGuest(), Options{}, fault.EncryptedGuest},
		{"interrupt table", edited(func(g *synth.Editor) {
			for _, c := range g.CPUs() {
				c.State.Set(cpu.IDTBase, 0xffff900000000000)
			}
		}), with(plain, true), fault.IDTUnreadable},
		{"no kernel", edited(func(g *synth.Editor) { g.Write(g.Truth.KernelBase, make([]byte, 4096)) }), with(plain, true), fault.KernelNotFound},
		{"PDB download, compat", plain.Source(), Options{Compat: true, Symbols: synthPDB{err: fault.New(fault.SymbolsNotFound, "")}}, fault.SymbolsNotFound},
		{"no PDB at all, compat", plain.Source(), Options{Compat: true}, fault.SymbolsOffline},
		{"not a PDB, compat", plain.Source(), Options{Compat: true, Symbols: synthPDB{data: []byte("<html>" + string(make([]byte, 500)))}}, fault.SymbolsNotAPDB},
		{"cut PDB, compat", plain.Source(), Options{Compat: true, Symbols: synthPDB{data: plain.PDB()[:5000]}}, fault.PDBDamaged},
		{"another build's PDB, compat", plain.Source(), with(guest(func(o *synth.Options) { o.GUID = [16]byte{9} }), true), fault.SymbolsMismatch},
		{"debugger block missing", edited(unmap("KdDebuggerDataBlock")), Options{}, fault.KDBGMissing},
		{"debugger block missing, compat", edited(unmap("KdDebuggerDataBlock")), with(plain, true), fault.KDBGMissing},
		{"debugger block undecodable, compat", edited(func(g *synth.Editor) { g.Write64(g.Sym("KiWaitAlways"), 1) }), with(plain, true), fault.KDBGUndecodable},
		{"KiWait unreadable, compat", edited(unmap("KiWaitNever")), with(plain, true), fault.KDBGUndecodable},
		{"version block, compat", plain.Source(), Options{Compat: true, Symbols: synthPDB{data: plainPDB(plain, map[string]uint32{"KdVersionBlock": 0x7ffff000})}}, fault.VersionUnreadable},
		{"no debugger block in the PDB, compat", plain.Source(), Options{Compat: true, Symbols: synthPDB{data: plainPDB(plain, map[string]uint32{"KdDebuggerDataBlock": 0})}}, fault.SymbolMissing},
		{"shared page, compat", edited(func(g *synth.Editor) { g.Unmap(kusd) }), with(plain, true), fault.KUSDUnreadable},
		{"44 runs, compat", guest(func(o *synth.Options) { o.ExtraRuns = 44 }).Source(), with(plain, true), fault.CompatLossy},
		{"dump type", plain.Source(), Options{Type: "minidump"}, fault.BadOption},
		{"unreadable", source.Source{ReaderAt: failing{plain.Core, 0, errors.New("I/O error")}, Size: int64(len(plain.Core))}, Options{}, fault.InputUnreadable},
		{"unreadable further on", source.Source{ReaderAt: failing{plain.Core, int64(len(plain.Core)) / 2, errors.New("I/O error")}, Size: int64(len(plain.Core))}, Options{}, fault.InputUnreadable},
		{"shrunken", source.Source{ReaderAt: failing{plain.Core, int64(len(plain.Core)) / 2, io.EOF}, Size: int64(len(plain.Core))}, Options{}, fault.FileChanged},
		{"a reader that knows", source.Source{ReaderAt: failing{plain.Core, 0, fault.New(fault.NoPermission, "")}, Size: int64(len(plain.Core))}, Options{}, fault.NoPermission},
		{"panic", source.Source{ReaderAt: panicking{}, Size: 1 << 20}, Options{}, fault.Internal},
	}
}

// stateNote is a CPU's QEMU note, taken out of a core of its own.
func stateNote(c machine.CPU) []byte {
	core := synth.WriteELF(synth.ELF{CPUs: []machine.CPU{c}, NoStatus: true, Loads: []synth.Load{{PA: 0x1000, Data: make([]byte, 4096)}}})
	at := bytes.Index(core, []byte("QEMU\x00"))
	return core[at-12 : at-12+12+8+0x1b8]
}

// patched gives the core with 16 bits of its ELF header replaced.
func patched(b *synth.Built, off int, v uint16) source.Source {
	data := bytes.Clone(b.Core)
	binary.LittleEndian.PutUint16(data[off:], v)
	if off == 0x20 {
		binary.LittleEndian.PutUint64(data[off:], uint64(len(data))-8)
	}
	return synth.Source(data)
}

func linuxGuest() source.Source {
	b := guest(nil)
	b.ELF.Guest = []machine.Note{{Name: "VMCOREINFO", Desc: []byte("OSRELEASE=6.12.1\nPAGESIZE=4096\n")}}
	return synth.Source(synth.WriteELF(b.ELF))
}

func encryptedGuest() source.Source {
	b := guest(nil)
	for i := range b.ELF.Loads {
		b.ELF.Loads[i].Data = synth.Noise(uint64(i), len(b.ELF.Loads[i].Data))
	}
	return synth.Source(synth.WriteELF(b.ELF))
}

func TestFailures(t *testing.T) {
	for _, s := range failures() {
		t.Run(s.name, func(t *testing.T) {
			im, sum, err := Convert(context.Background(), s.source, s.o)
			if im != nil || !fault.Is(err, s.code) {
				t.Fatalf("image %v, error %v, want %s", im != nil, err, s.code)
			}
			if sum.Error == nil || sum.Error.Code != s.code || sum.Error.Text == "" {
				t.Errorf("summary's error %+v", sum.Error)
			}
			if sum.Convert.Possible {
				t.Error("the summary says that it can be converted")
			}
			if s.code != fault.BadOption && s.code != fault.CompatLossy {
				sum, err := Inspect(context.Background(), s.source, s.o)
				if !fault.Is(err, s.code) || sum.Error == nil || sum.Error.Code != s.code {
					t.Errorf("Inspect: %v, %+v", err, sum.Error)
				}
			}
		})
	}
}

// TestWarnings: what a dump cannot say in full is a warning, and the dump is
// made all the same.
func TestWarnings(t *testing.T) {
	plain := guest(nil)
	missing := func(code fault.Code) Options { return Options{Symbols: synthPDB{err: fault.New(code, "")}} }
	stranger := guest(func(o *synth.Options) { o.GUID = [16]byte{9} })
	shared := guest(func(o *synth.Options) { o.SameContext = true })
	for _, s := range []stage{
		{"no PDB", plain.Source(), missing(fault.SymbolsNotFound), fault.SymbolsNotFound},
		{"offline", plain.Source(), missing(fault.SymbolsOffline), fault.SymbolsOffline},
		{"busy", plain.Source(), missing(fault.ServerBusy), fault.ServerBusy},
		{"not a PDB", plain.Source(), Options{Symbols: synthPDB{data: make([]byte, 4096)}}, fault.SymbolsNotAPDB},
		{"compressed PDB", plain.Source(), Options{Symbols: synthPDB{data: append([]byte("MSCF"), make([]byte, 4096)...)}}, fault.SymbolsCompressed},
		{"damaged PDB", plain.Source(), Options{Symbols: synthPDB{data: plain.PDB()[:5000]}}, fault.PDBDamaged},
		{"another build's PDB", plain.Source(), Options{Symbols: synthPDB{data: stranger.PDB()}}, fault.SymbolsMismatch},
		{"no notes", rewritten(func(e *synth.ELF) { e.NoNote = true }), Options{}, fault.NoQEMUNotes},
		{"no CPU states", rewritten(func(e *synth.ELF) { e.NoState = true }), Options{}, fault.NoQEMUNotes},
		{"shared page", edited(func(g *synth.Editor) { g.Unmap(kusd) }), Options{}, fault.KUSDUnreadable},
		{"no CodeView record", guest(func(o *synth.Options) { o.NoDebug = true }).Source(), Options{}, fault.NoCodeView},
		{"impostor", guest(func(o *synth.Options) { o.Impostor = true }).Source(), Options{}, fault.ForeignKernel},
		{"cut off", rewritten(func(e *synth.ELF) { e.Truncate = 5 * mem.PageSize }), Options{}, fault.Truncated},
		{"partial page", rewritten(func(e *synth.ELF) {
			e.Loads = append(e.Loads, synth.Load{PA: 0xfed40080, Data: make([]byte, 0xf80)})
		}), Options{}, fault.PartialPage},
		{"no context", guest(func(o *synth.Options) { o.NoContext = []int{1} }).Source(), Options{}, fault.ContextUnreadable},
		{"unmapped context", guest(func(o *synth.Options) { o.UnmappedContext = []int{0} }).Source(), Options{}, fault.ContextUnreadable},
		{"version block", guest(func(o *synth.Options) { o.NoVersion = true }).Source(), Options{}, fault.VersionUnreadable},
		{"bug check data", edited(func(g *synth.Editor) {
			g.Write64(g.Truth.KDBG+0x88, 0xffff900000000000)
		}), Options{}, fault.BugcheckUnreadable},
		{"damaged notes", rewritten(func(e *synth.ELF) {
			for _, c := range e.CPUs {
				e.RawNotes = append(e.RawNotes, stateNote(c)...)
			}
			e.RawNotes = append(e.RawNotes, 0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 0, 0, 0, 0)
		}), Options{}, fault.NoteDamaged},
		{"module list", edited(func(g *synth.Editor) {
			first := binary.LittleEndian.Uint64(g.Read(g.Truth.ModuleList, 8))
			g.Write64(first, 0xffff900000000000)
		}), Options{}, fault.ModulesDamaged},
		{"process list", edited(func(g *synth.Editor) {
			first := binary.LittleEndian.Uint64(g.Read(g.Truth.ProcessHead, 8))
			g.Write64(first, 0xffff900000000000)
		}), Options{}, fault.ProcessesUnknownLayout},
		{"FwCfg note", guest(func(o *synth.Options) { o.FwCfg = synth.FwCfgWrongDTB }).Source(), Options{}, fault.FwCfgIgnored},
		{"one context for all", shared.Source(), Options{}, fault.ContextUnreadable},
		{"one context for all, written as elf2dmp does", shared.Source(), Options{Compat: true, Symbols: synthPDB{data: shared.PDB()}}, fault.VerifyFailed},
		{"44 runs", guest(func(o *synth.Options) { o.ExtraRuns = 44 }).Source(), Options{}, fault.BitmapDump},
		{"parked processor", guest(func(o *synth.Options) { o.CPUs = []synth.Mode{synth.Kernel, synth.Reset} }).Source(), Options{}, fault.ProcessorParked},
	} {
		t.Run(s.name, func(t *testing.T) {
			im, sum, err := Convert(context.Background(), s.source, s.o)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(sum.Warnings, func(w fault.Warning) bool { return w.Code == s.code && w.Text != "" }) {
				t.Errorf("warnings %v, want %s", sum.Warnings, s.code)
			}
			if sum.Dump.Verified != (s.code != fault.VerifyFailed) {
				t.Errorf("verified %v: %v", sum.Dump.Verified, sum.Warnings)
			}
			if im.Size() == 0 || sum.Error != nil || !sum.Convert.Possible {
				t.Errorf("size %d, summary %+v", im.Size(), sum)
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, sum, err := Convert(ctx, guest(nil).Source(), Options{})
	if !fault.Is(err, fault.Cancelled) || !errors.Is(err, context.Canceled) || sum.Error.Code != fault.Cancelled {
		t.Errorf("%v, %+v", err, sum.Error)
	}
}

// TestReadsThatFailAreNotMissingPages: however deep in the search a read fails,
// the answer is the failing read.
func TestReadsThatFailAreNotMissingPages(t *testing.T) {
	b := guest(nil)
	for from := int64(0x2000); from < int64(len(b.Core)); from += int64(len(b.Core)) / 40 {
		s := source.Source{ReaderAt: failing{b.Core, from, errors.New("I/O error")}, Size: int64(len(b.Core)), Name: "core"}
		im, _, err := Convert(context.Background(), s, Options{})
		if err == nil {
			// Nothing behind the offset was wanted: then it is wanted now.
			_, err = im.ReadAt(make([]byte, im.Size()), 0)
		}
		if !fault.Is(err, fault.InputUnreadable) {
			t.Errorf("reads fail from %#x on: %v", from, err)
		}
	}
}

// plainPDB gives a guest's PDB with symbols moved; an RVA of 0 leaves one out.
func plainPDB(b *synth.Built, moved map[string]uint32) []byte {
	o := synth.PDBOptions{GUID: b.GUID, Age: b.Age, Symbols: map[string]uint32{}}
	for name, rva := range b.Symbols {
		o.Symbols[name] = rva
	}
	for name, rva := range moved {
		o.Symbols[name] = rva
		if rva == 0 {
			delete(o.Symbols, name)
		}
	}
	return synth.PDB(o)
}
