package find

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

// guests are the kernels that every lie is told of: a small one, and two that
// keep everything where a real one does.
func guests(t testing.TB) map[string]synth.Options {
	few := fewTables(t)
	out := map[string]synth.Options{"small": {}}
	for _, table := range []*synth.Tables{few[0], few[len(few)-1]} {
		out[fmt.Sprintf("%d-%s", table.Build, table.Key[:8])] = synth.Options{Tables: table}
	}
	return out
}

// TestLies tells a lie about each thing that leads to the kernel. It is found all
// the same, and what cannot be right is said.
func TestLies(t *testing.T) {
	header := func(g *synth.Editor) uint64 { return g.Truth.KernelBase }
	for name, c := range map[string]struct {
		edit func(g *synth.Editor)
		code fault.Code // "": nothing is said
		says []string
	}{
		"no header, a driver's block": {func(g *synth.Editor) {
			g.Unmap(header(g))
			g.SecondBlock()
		}, fault.ImageDamaged, []string{"it was found by its"}},
		"a stale block where the table says": {func(g *synth.Editor) {
			g.ReadOnly()
			g.StaleBlock()
		}, fault.ImageDamaged, []string{"in no section that can be written to"}},
		"no sections":    {(*synth.Editor).NoSections, fault.ImageDamaged, []string{"no section table that can be used", "all of the image was searched"}},
		"all read-only":  {(*synth.Editor).ReadOnly, fault.ImageDamaged, []string{"in no section that can be written to"}},
		"sections moved": {func(g *synth.Editor) { g.MoveSections(0x40000000) }, fault.ImageDamaged, []string{"in no section that can be written to"}},
		"read-only, no version block": {func(g *synth.Editor) {
			g.ReadOnly()
			g.Write(g.Sym("KdVersionBlock"), make([]byte, 0x28))
		}, fault.ImageDamaged, []string{"all of the image was searched"}},
		"too small":              {func(g *synth.Editor) { g.ImageBytes(0x2000) }, fault.ImageDamaged, []string{"its header says that it has 0x2000 bytes", "the module list's"}},
		"a gate far above":       {func(g *synth.Editor) { g.FarGate(18) }, "", nil},
		"two lists torn":         {(*synth.Editor).TearLists, "", nil},
		"no header":              {func(g *synth.Editor) { g.Unmap(header(g)) }, fault.ImageDamaged, []string{"its header cannot be used", "CodeView record was found by its contents"}},
		"header of zeros":        {func(g *synth.Editor) { g.Write(header(g), make([]byte, 0x1000)) }, fault.ImageDamaged, []string{"no MZ"}},
		"header not in the core": {func(g *synth.Editor) { g.Lose(header(g)) }, fault.ImageDamaged, []string{"not in the file"}},
		"header trimmed":         {func(g *synth.Editor) { g.Trim(header(g)) }, "", nil},
		"record trimmed":         {func(g *synth.Editor) { g.Trim(g.CodeView()) }, "", nil},
		"no header, lists torn": {func(g *synth.Editor) {
			g.Unmap(header(g))
			g.TearLists()
		}, fault.ImageDamaged, []string{"that of what is mapped"}},
		"no header, no version block": {func(g *synth.Editor) {
			g.Unmap(header(g))
			g.Write(g.Sym("KdVersionBlock"), make([]byte, 0x28))
		}, fault.ImageDamaged, []string{"cannot be used"}},
	} {
		for kernel, o := range guests(t) {
			for _, encoded := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s/%s/encoded %v", name, kernel, encoded), func(t *testing.T) {
					o.CPUs, o.Encoded, o.Rotation, o.Seed, o.Edit = []synth.Mode{synth.Kernel, synth.User}, encoded, 29, 3, c.edit
					b := synth.Guest(o)
					k, err := Locate(context.Background(), open(t, b), Options{})
					if err != nil {
						t.Fatalf("%v %q", err, fault.As(err).Remedy())
					}
					if k.DTBFrom.Way != windows.WayCR3 {
						t.Errorf("found by %s, after all of memory was read", k.DTBFrom)
					}
					if uint64(k.Image.Base) != b.KernelBase || uint64(k.KDBG.VA) != b.KDBG || !bytes.Equal(k.KDBG.Plain[0x10:], b.KDBGPlain[0x10:]) || k.PDB == nil || k.PDB.GUID != b.GUID {
						t.Errorf("kernel %v, block %v, PDB %+v", k.Image.Base, k.KDBG.VA, k.PDB)
					}
					torn := strings.Contains(name, "torn")
					if !torn && k.Image.SizeOfImage != b.SizeOfImage || k.Image.SizeOfImage < b.SizeOfImage&^0xffff {
						t.Errorf("%#x bytes, want %#x", k.Image.SizeOfImage, b.SizeOfImage)
					}
					if !torn && (len(k.Modules) != len(b.Modules) || len(k.Processes) != len(b.Processes)) || len(k.Processors) != 2 || k.Processors[0].CPU != 0 || k.Processors[1].CPU != 1 {
						t.Errorf("%d modules, %d processes, processors %+v", len(k.Modules), len(k.Processes), k.Processors)
					}
					if flag, err := k.FindEncodedFlag(t.Context()); encoded && (err != nil || uint64(flag) != b.KernelBase+uint64(b.Symbols["KdpDataBlockEncoded"])) {
						t.Errorf("KdpDataBlockEncoded at %v, %v", flag, err)
					}
					if entry, _ := windows.ExportedAt(k.Space, k.Image, symBugCheck); uint64(entry) != b.KernelBase+uint64(b.Symbols[symBugCheck]) {
						t.Errorf("KeBugCheckEx at %v", entry)
					}
					var text string
					for _, w := range k.Warnings {
						switch {
						case w.Code == c.code:
							text += w.Text + "\n"
						case torn && (w.Code == fault.ModulesDamaged || w.Code == fault.ProcessesUnknownLayout):
						case strings.Contains(name, "no version block") && w.Code == fault.VersionUnreadable:
						default:
							t.Errorf("unexpected warning %v", w)
						}
					}
					for _, says := range c.says {
						if !strings.Contains(text, says) {
							t.Errorf("%q does not say %q", text, says)
						}
					}
				})
			}
		}
	}
}

// TestBlockSizes: with every CPU in reset, and no root that maps itself, the
// kernel is found by its debugger block, whatever its size.
func TestBlockSizes(t *testing.T) {
	for kernel, o := range guests(t) {
		for size := uint32(0x380); size <= 0x3e0; size += 8 {
			for _, mapped := range []bool{true, false} {
				for _, encoded := range []bool{true, false} {
					o := o
					o.CPUs, o.KDBGSize, o.Encoded, o.Rotation = []synth.Mode{synth.Parked, synth.Parked}, size, encoded, int(size>>3)
					o.Edit = func(g *synth.Editor) {
						if !mapped {
							g.NoSelfMaps()
						}
					}
					b := synth.Guest(o)
					k, err := Locate(context.Background(), open(t, b), Options{})
					if err != nil {
						t.Errorf("%s, %#x bytes, self-maps %v, encoded %v: %v %q", kernel, size, mapped, encoded, err, fault.As(err).Remedy())
						continue
					}
					want := map[bool]windows.Way{true: windows.WaySelfMap, false: windows.WayKDBG}[mapped]
					if uint64(k.Image.Base) != b.KernelBase || !bytes.Equal(k.KDBG.Plain, b.KDBGPlain) || k.DTBFrom.Way != want {
						t.Errorf("%s, %#x bytes, self-maps %v, encoded %v: kernel %v by %s", kernel, size, mapped, encoded, k.Image.Base, k.DTBFrom)
					}
				}
			}
		}
	}
}

// TestNeverStarted: every CPU of the core is in reset, and Windows has no
// processor. Both lists prove the block.
func TestNeverStarted(t *testing.T) {
	for kernel, o := range guests(t) {
		o.CPUs, o.Encoded = []synth.Mode{synth.Reset}, true
		b := synth.Guest(o)
		k, err := Locate(context.Background(), open(t, b), Options{})
		if err != nil || uint64(k.Image.Base) != b.KernelBase || len(k.Modules) != len(b.Modules) {
			t.Errorf("%s: %v", kernel, err)
		}
	}
}

// TestResetWithoutHeader: nothing but the debugger block leads to the kernel, and
// its header is not there.
func TestResetWithoutHeader(t *testing.T) {
	for kernel, o := range guests(t) {
		for _, mapped := range []bool{true, false} {
			o.CPUs, o.Encoded, o.KDBGSize = []synth.Mode{synth.Parked}, true, 0x3b0
			o.Edit = func(g *synth.Editor) {
				if g.Unmap(g.Truth.KernelBase); !mapped {
					g.NoSelfMaps()
				}
			}
			b := synth.Guest(o)
			k, err := Locate(context.Background(), open(t, b), Options{})
			if err != nil {
				t.Errorf("%s: %v %q", kernel, err, fault.As(err).Remedy())
			} else if uint64(k.Image.Base) != b.KernelBase || !warned(k, fault.ImageDamaged) || k.PDB == nil {
				t.Errorf("%s: kernel %v, warnings %v", kernel, k.Image.Base, k.Warnings)
			}
		}
	}
}

// TestSecureSystem: the second process has page tables of its own, or none, and
// no third one is there.
func TestSecureSystem(t *testing.T) {
	for kernel, o := range guests(t) {
		for _, own := range []bool{true, false} {
			for _, n := range []int{2, 3} {
				var base mem.PA
				o.CPUs = []synth.Mode{synth.Kernel}
				o.Edit = func(g *synth.Editor) {
					if base = 0; own {
						base = g.OwnTables()
					}
					g.SetProcess(1, "Secure System", base)
					g.EndProcesses(n)
				}
				b := synth.Guest(o)
				k, err := Locate(context.Background(), open(t, b), Options{})
				if err != nil || len(k.Warnings) != 0 || len(k.Processes) != n {
					t.Fatalf("%s: %v, warnings %v", kernel, err, k.Warnings)
				}
				for i, p := range k.Processes {
					if w := b.Processes[i]; p.DTB.Page() != w.DTB.Page() || p.Name != w.Name {
						t.Errorf("%s: %+v, want %+v", kernel, p, w)
					}
				}
				if k.HeaderDTB != b.SystemDTB {
					t.Errorf("%s: the header has %v", kernel, k.HeaderDTB)
				}
			}
		}
	}
}

// TestRefusalsNameTheCheck: a refused block is named with the check that failed,
// not with a search that found nothing.
func TestRefusalsNameTheCheck(t *testing.T) {
	unproved := func(g *synth.Editor) {
		g.TearLists()
		for _, kpcr := range g.Truth.KPCR {
			g.Write64(kpcr+0x18, 0)
		}
	}
	for name, c := range map[string]struct {
		edit func(g *synth.Editor)
		code fault.Code
		says []string
		not  string
	}{
		"unproved":     {unproved, fault.KDBGMissing, []string{"module list", "process list", "processor block"}, "neither in clear"},
		"of no kernel": {func(g *synth.Editor) { g.Write64(g.Truth.KDBG+0x48, 0xfffff80000000000) }, fault.KDBGMissing, []string{"lists inside the image"}, "neither in clear"},
		"nothing": {func(g *synth.Editor) {
			g.Write(g.Truth.KDBG, make([]byte, 0x380))
			g.Write(g.Sym("KdVersionBlock"), make([]byte, 0x28))
		}, fault.KDBGMissing, []string{"neither in clear nor by known plaintext in the sections", "nor all of the image"}, "version block leads"},
		"no table": {func(g *synth.Editor) {
			g.NoSections()
			g.Write(g.Truth.KDBG, make([]byte, 0x380))
			g.Write(g.Sym("KdVersionBlock"), make([]byte, 0x28))
		}, fault.KDBGMissing, []string{"all of the image, as it has no section table that can be used"}, "that can be written to"},
		"not in the core": {func(g *synth.Editor) {
			for rva := uint64(0); rva < 0x3000; rva += 0x1000 {
				g.Lose(g.Truth.KDBG + rva)
			}
		}, fault.KDBGMissing, []string{"cannot be read"}, "version block leads"},
	} {
		b := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel}, Edit: c.edit})
		k, err := Locate(context.Background(), open(t, b), Options{})
		if !fault.Is(err, c.code) || k == nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, says := range c.says {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q does not say %q", name, err, says)
			}
		}
		if strings.Contains(err.Error(), c.not) {
			t.Errorf("%s: %q says %q", name, err, c.not)
		}
	}
}

// TestWitnessesOfNothing: the debugger block and the version block agree on a
// kernel that is not there. The one that is, or the module list, contradicts them.
func TestWitnessesOfNothing(t *testing.T) {
	for _, lists := range []bool{true, false} {
		b := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel}, Edit: func(g *synth.Editor) {
			g.Write64(g.Truth.KDBG+0x18, g.Truth.KernelBase+0x1000)
			g.Write64(g.Sym("KdVersionBlock")+0x10, g.Truth.KernelBase+0x1000)
			if lists {
				g.Unmap(g.Truth.KernelBase)
			} else {
				g.TearLists()
			}
		}})
		k, err := Locate(context.Background(), open(t, b), Options{})
		if want := map[bool]fault.Code{true: fault.KernelNotFound, false: fault.KDBGMissing}[lists]; !fault.Is(err, want) {
			t.Errorf("lists %v: %v, kernel %v", lists, err, k != nil)
		}
	}
}

// TestFarGate: short walks below the other pointers come before a long one below a
// gate, and a long one finds what lies far below.
func TestFarGate(t *testing.T) {
	for kernel, o := range guests(t) {
		for _, c := range []struct {
			mode  synth.Mode
			gib   int
			never string // of what is not needed
		}{{synth.Kernel, 18, "looking for the kernel's data"}, {synth.User, 1, "looking through the kernel half"}} {
			o.CPUs, o.Edit = []synth.Mode{c.mode}, func(g *synth.Editor) { g.FarGate(c.gib) }
			b := synth.Guest(o)
			var lines []string
			k, err := Locate(context.Background(), open(t, b), Options{Sink: progress.Sink{OnLine: func(l string) { lines = append(lines, l) }}})
			if log := strings.Join(lines, "\n"); err != nil || uint64(k.Image.Base) != b.KernelBase || strings.Contains(log, c.never) {
				t.Errorf("%s, %d GiB above: %v\n%s", kernel, c.gib, err, log)
			}
		}
	}
}

// TestOneWitness: a block alone, that names a kernel where there is none, is not
// enough.
func TestOneWitness(t *testing.T) {
	b := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel}, Edit: func(g *synth.Editor) {
		g.Write64(g.Truth.KDBG+0x18, g.Truth.KernelBase+0x1000)
		g.Unmap(g.Truth.KernelBase)
		g.TearLists()
		g.Write(g.Sym("KdVersionBlock"), make([]byte, 0x28))
	}})
	_, err := Locate(context.Background(), open(t, b), Options{})
	if !fault.Is(err, fault.KernelNotFound) || !slices.ContainsFunc(fault.As(err).Remedy(), func(s string) bool { return strings.Contains(s, "nothing but its debugger block") }) {
		t.Errorf("%v %q", err, fault.As(err).Remedy())
	}
}
