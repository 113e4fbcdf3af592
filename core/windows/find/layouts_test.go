package find

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/server/corpustest"
)

// tables reads layouts of real kernels.
func tables(t testing.TB, path string) []*synth.Tables {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := synth.ReadTables(f)
	if err != nil || len(list) == 0 {
		t.Fatalf("%d layouts, %v", len(list), err)
	}
	return list
}

func fewTables(t testing.TB) []*synth.Tables {
	return tables(t, filepath.Join("..", "testdata", "layouts.json"))
}

// TestLayouts finds guests that keep everything where a real kernel does:
// plain, and with all processors in user mode under KVA shadow; the debugger
// block encoded, no symbols.
func TestLayouts(t *testing.T) {
	t.Run("few", func(t *testing.T) { testLayouts(t, fewTables(t)) })
	t.Run("all", func(t *testing.T) {
		dir := corpustest.Dir(t, "layouts")
		list := tables(t, filepath.Join(dir, "layouts", "layouts.json"))
		if len(list) != 74 {
			t.Errorf("%d layouts", len(list))
		}
		testLayouts(t, list)
	})
}

func testLayouts(t *testing.T, list []*synth.Tables) {
	for i, table := range list {
		for _, shadow := range []bool{false, true} {
			name := fmt.Sprintf("%d-%s-plain", table.Build, table.Key[:8])
			o := synth.Options{Tables: table, CPUs: []synth.Mode{synth.Kernel, synth.Process, synth.User}, Encoded: true, Seed: uint64(i), Rotation: i * 7 % 64}
			want := "cpu0 cr3"
			if shadow {
				name = fmt.Sprintf("%d-%s-shadow", table.Build, table.Key[:8])
				o.CPUs, o.KVAShadow = []synth.Mode{synth.User, synth.User}, table.KernelDTB()
				if want = "kpcr scan cpu0"; o.KVAShadow == 0x7000 {
					want = "[cpu0 KERNEL_GS_BASE+7000]"
				}
			}
			t.Run(name, func(t *testing.T) {
				b := synth.Guest(o)
				k, err := Locate(context.Background(), open(t, b), Options{})
				if err != nil {
					t.Fatalf("%v %q", err, fault.As(err).Remedy())
				}
				wantLayout(t, k, b)
				if k.DTBFrom.String() != want || k.DTB != b.SystemDTB || k.HeaderDTB != b.SystemDTB {
					t.Errorf("base %v from %q, header %v", k.DTB, k.DTBFrom, k.HeaderDTB)
				}
				if len(k.Warnings) != 0 {
					t.Errorf("warnings %v", k.Warnings)
				}
			})
		}
	}
}

func wantLayout(t *testing.T, k *windows.Kernel, b *synth.Built) {
	t.Helper()
	build := b.Build
	if b.Opts.Tables.KUSD["NtBuildNumber"] == 0 {
		b.Build = 0 // these releases have it in the version block only
	}
	wantBuilt(t, k, b)
	if uint32(k.Version.Minor) != build || k.PDB == nil || k.PDB.GUID != b.GUID || k.PDB.Name != b.PDBName {
		t.Errorf("build %d, PDB %+v", k.Version.Minor, k.PDB)
	}
	for i, p := range k.Processors {
		if p.Err != nil || p.Context == 0 || p.Record == nil || p.CPU != i {
			t.Errorf("processor %d: %+v", i, p)
		}
	}
	flag, err := k.FindEncodedFlag(context.Background())
	if want := mem.VA(b.KernelBase) + mem.VA(b.Symbols["KdpDataBlockEncoded"]); err != nil || flag != want {
		t.Errorf("KdpDataBlockEncoded at %v, want %v, %v", flag, want, err)
	}
}
