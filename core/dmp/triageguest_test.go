package dmp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/stacks"
	"coredrop/server/corpustest"
)

// secret is what the users' pages hold.
const secret = "a user's own words"

// Where the guests of these tests have their driver, and what the crasher's
// registers and stack point to in user mode and in the page tables' own region.
const (
	triageDriver = 0xfffff80314a00000
	userSecret   = 0x7ff600000000
)

// unwindable lays out an image's exception data: every function has a frame of
// 0x28 bytes.
func unwindable(g *synth.Editor, base uint64, table uint32, functions ...[2]uint32) {
	var pdata []byte
	info := table + uint32(12*len(functions))
	for _, f := range functions {
		for _, v := range []uint32{f[0], f[1], info} {
			pdata = binary.LittleEndian.AppendUint32(pdata, v)
		}
	}
	g.Write(base+uint64(table), append(pdata, 1, 4, 1, 0, 4, 0x42, 0, 0))
	g.Write(base+0x80+0x88+3*8, binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, table), uint32(12*len(functions))))
}

// dressed makes a guest that has stacks to walk: the kernel's and the driver's
// exception data, a current thread of each processor, the frames that led to the
// bug check, secrets in user memory with pointers to them in registers and stack,
// and drivers that were unloaded.
func dressed(g *synth.Editor, build uint16) {
	t := g.Truth
	check := uint32(g.Sym("KeBugCheckEx") - t.KernelBase)
	unwindable(g, t.KernelBase, t.SizeOfImage-0x800, [2]uint32{check, check + 0x100}, [2]uint32{check + 0x400, check + 0x500}, [2]uint32{check + 0x500, check + 0x600}, [2]uint32{check + 0x700, check + 0x800})
	h := make([]byte, 0x1000)
	copy(h, g.Read(t.KernelBase, 0x200)) // the signatures and the optional header
	binary.LittleEndian.PutUint32(h[0xd0:], 0x5000)
	clear(h[0x80+0x88 : 0x80+0x88+16*8])
	g.Write(triageDriver, h)
	g.Write(triageDriver+0x1300, bytes.Repeat([]byte{0x90}, 0x100))
	unwindable(g, triageDriver, 0x2000, [2]uint32{0x1300, 0x1400})

	for i := range 40 {
		g.WriteUser(userSecret+uint64(i*len(secret)), []byte(secret))
	}
	slots := g.Alloc(50 * 0x28)
	names := g.Alloc(0x200)
	for i := range 3 {
		text := fmt.Sprintf("gone%d_long_name.sys", i)
		for j, c := range []byte(text) {
			g.Write(names+uint64(0x40*i+2*j), []byte{c, 0})
		}
		at := slots + uint64(0x28*((49+i)%50)) // the list has come round
		g.Write(at, []byte{byte(2 * len(text)), 0, byte(2 * len(text)), 0})
		g.Write64(at+8, names+uint64(0x40*i))
		g.Write64(at+0x10, 0xfffff80400000000+uint64(i)<<20)
		g.Write64(at+0x18, 0xfffff80400008000+uint64(i)<<20)
	}
	variables := g.Alloc(16)
	g.Write64(variables, slots)
	g.Write32(variables+8, 2) // the next to be used
	g.Write64(t.KDBG+0x220, variables)
	g.Write64(t.KDBG+0x228, variables+8)

	for p, prcb := range t.PRCB {
		if prcb == 0 {
			continue
		}
		th := g.Alloc(0x500)
		base, state := uint64(0x38), uint64(0x184)
		if build < 9200 {
			base, state = 0x278, 0x164
		}
		g.Write(th, []byte{6})
		g.Write64(th+0x30, g.Stack(p))
		g.Write64(th+base, g.Stack(p)+0x6000)
		g.Write64(th+0x58, g.Stack(p)+0x5000)
		g.Write64(th+0xb8, t.Processes[2].VA)
		g.Write(th+state, []byte{2})
		at := binary.LittleEndian.Uint64(g.Read(t.KDBG+0x2b4, 8)) & 0xffff
		g.Write64(prcb+at, th)
	}
	sp := g.Call(0).RSP
	g.Write64(sp+8+0x28, t.KernelBase+uint64(check)+0x420) // behind the driver's frame
	g.Write64(sp+8+0x58, t.KernelBase+uint64(check)+0x540)
	g.Write64(sp+8+0x88, 0)
	g.Write64(sp+0x48, userSecret+0x20)
	if build >= 14393 {
		tables := binary.LittleEndian.Uint64(g.Read(t.KDBG+0x360, 8)) // which show themselves there
		self := tables >> 39 & 511
		g.Write64(sp+0x50, tables|self<<30|self<<21|self<<12|0x800) // the root
	}
	r := t.Records[0]
	r.RAX = userSecret
	g.SaveRecord(0, r)
}

func triageGuest(table *synth.Tables, seed uint64, cpus ...synth.Mode) *synth.Built {
	build := uint16(19041)
	if table != nil {
		build = table.Build
	}
	return synth.Guest(synth.Options{Tables: table, CPUs: cpus, Seed: seed, BugCheckCPU: 0,
		BugCheck: &synth.BugCheck{Code: 0xd1, Called: 0xa, Parameters: driverBug, Record: synth.RecordFresh, Frozen: true},
		Edit:     func(g *synth.Editor) { dressed(g, build) }})
}

func layoutTables(t testing.TB, path string) []*synth.Tables {
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

// TestTriageLayouts: triage dumps of guests that keep everything where a real
// kernel does.
func TestTriageLayouts(t *testing.T) {
	t.Run("few", func(t *testing.T) {
		testTriageLayouts(t, layoutTables(t, filepath.Join("..", "windows", "testdata", "layouts.json")))
	})
	t.Run("all", func(t *testing.T) {
		testTriageLayouts(t, layoutTables(t, filepath.Join(corpustest.Dir(t, "layouts"), "layouts", "layouts.json")))
	})
}

func testTriageLayouts(t *testing.T, list []*synth.Tables) {
	for i, table := range list {
		t.Run(fmt.Sprintf("%d-%s", table.Build, table.Key[:8]), func(t *testing.T) {
			b := triageGuest(table, uint64(i), synth.Kernel, synth.Process, synth.User)
			k := locate(t, b.Source())
			im, d := checkTriage(t, k)
			checkNoSecret(t, im)
			rep, err := stacks.Read(context.Background(), aloneOf(t, im, d), nil, false)
			if err != nil {
				t.Fatal(err)
			}
			var pcs []uint64
			for _, f := range rep.Processors[0].Stack.Frames {
				pcs = append(pcs, f.Address)
			}
			check := b.KernelBase + uint64(b.Symbols["KeBugCheckEx"])
			if want := []uint64{check, triageDriver + 0x1319, check + 0x420, check + 0x540}; !slices.Equal(pcs, want) || rep.Processors[0].Number != 0 {
				t.Errorf("stack of processor %d: %#x, want %#x", rep.Processors[0].Number, pcs, want)
			}
			wantUnloaded(t, d)
			size := int64(table.KPRCB["size"])
			if own := d.OwnPrcb(size); !bytes.Equal(own, d.Bytes(b.PRCB[0], int(size))) || own[table.KPRCB["Number"]] != 0 {
				t.Error("the control block in its place is not processor 0's")
			}
			for p := range 3 {
				if d.Bytes(b.PRCB[p], int(size)) == nil {
					t.Errorf("processor %d: no whole control block", p)
				}
				if at, record := d.Context(p); at != b.Context[p] || binary.LittleEndian.Uint64(record[0xf8:]) != b.Records[p].RIP {
					t.Errorf("processor %d: context %#x at %#x, want %#x at %#x", p, binary.LittleEndian.Uint64(record[0xf8:]), at, b.Records[p].RIP, b.Context[p])
				}
			}
			for name, va := range map[string]uint64{"the shared page": 0xfffff78000000000, "the version block": b.KernelBase + uint64(b.Symbols["KdVersionBlock"])} {
				if d.Bytes(va, 0x28) == nil {
					t.Errorf("%s is not there", name)
				}
			}
		})
	}
}

func wantUnloaded(t *testing.T, d *dmptest.Dump) {
	t.Helper()
	var want []dmptest.Unloaded
	for i := 2; i >= 0; i-- {
		at := 0xfffff80400000000 + uint64(i)<<20
		want = append(want, dmptest.Unloaded{Name: fmt.Sprintf("gone%d_long_n", i), Start: at, End: at + 0x8000})
	}
	if got := d.UnloadedDrivers(); !slices.Equal(got, want) {
		t.Errorf("unloaded %+v, want %+v", got, want)
	}
}

// checkNoSecret: none of the users' words is in the dump.
func checkNoSecret(t *testing.T, im *dmp.Image) {
	t.Helper()
	p := make([]byte, im.Size())
	if _, err := im.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if i := bytes.Index(p, []byte(secret)); i >= 0 {
		t.Errorf("a user's memory is in the dump at %#x", i)
	}
}

// TestTriageOwnTables: what the page tables' own addresses show is not taken, even
// where a user's large page can be seen there.
func TestTriageOwnTables(t *testing.T) {
	b := triageGuest(nil, 1, synth.Process)
	k := locate(t, b.Source())
	self := k.Space.At(b.ELF.CPUs[0].State.Root())
	base := mem.VA(le64(t, k, k.KDBG.VA+0x360))
	if !self.OwnTables(base) || self.OwnTables(k.KDBG.VA) {
		t.Fatalf("%v: own tables %v", base, self.OwnTables(base))
	}
	_, d := checkTriage(t, k)
	for _, block := range d.Blocks {
		if k.Space.OwnTables(mem.VA(block.VA)) {
			t.Errorf("block %#x", block.VA)
		}
	}
}

func le64(t *testing.T, k *windows.Kernel, va mem.VA) uint64 {
	t.Helper()
	v, err := k.Space.Uint64(va)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTriageOfMany: sixty processors do not fit whole; every one has its
// registers and its stack, and the dump says what it leaves out.
func TestTriageOfMany(t *testing.T) {
	cpus := make([]synth.Mode, 60)
	k := locate(t, triageGuest(nil, 1, cpus...).Source())
	im, d := checkTriage(t, k)
	if im.Size() < 2<<20-0x10000 {
		t.Errorf("only %d bytes", im.Size())
	}
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.MemoryLeftOut || !strings.Contains(im.Warnings[0].Text, "2 MiB") {
		t.Errorf("%v", im.Warnings)
	}
	for p := range cpus {
		if _, record := d.Context(p); record == nil {
			t.Errorf("processor %d has no record", p)
		}
	}
}
