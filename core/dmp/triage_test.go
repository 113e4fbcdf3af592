package dmp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/dump"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
	"coredrop/core/windows/stacks"
)

// locate opens an ELF core and finds its kernel; a core that holds none that can
// be converted ends the test.
func locate(t testing.TB, s source.Source) *windows.Kernel {
	t.Helper()
	m, err := elfcore.Open(context.Background(), s, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{})
	if err == nil {
		err = dmp.Check(k, false)
	}
	if err != nil {
		t.Skip(err)
	}
	return k
}

// triageOf makes a kernel's triage dump and reads it back twice.
func triageOf(t testing.TB, k *windows.Kernel, o dmp.Options) (*dmp.Image, *dmptest.Dump) {
	t.Helper()
	o.Type = dmp.TypeTriage
	im, d := written(t, k, o)
	if im.Size() > 2<<20 || im.Type != "triage" || d.Type != 4 {
		t.Errorf("%d bytes, %s, type %d", im.Size(), im.Type, d.Type)
	}
	return im, d
}

// aloneOf is what the dump alone says of its kernel: nothing of the core.
func aloneOf(t testing.TB, im *dmp.Image, d *dmptest.Dump) *windows.Kernel {
	t.Helper()
	f, err := dump.Open(im, im.Size())
	if err != nil {
		t.Fatal(err)
	}
	phys, err := mem.NewFile(source.Source{ReaderAt: im, Size: im.Size(), Name: "dump"}, dump.Flat(f.Blocks), 0)
	if err != nil {
		t.Fatal(err)
	}
	k := &windows.Kernel{Space: paging.New(phys, 0, windows.X64L5.Flat()), Machine: &machine.Machine{Arch: cpu.X64, Mem: phys}}
	plain := d.OwnKDBG()
	k.KDBG = windows.KDBG{VA: mem.VA(d.U64(0x80)), Size: uint32(len(plain)), Plain: plain}
	k.Version.Minor = uint16(d.U32(0xc))
	k.Shared = windows.ReadShared(k.Space)
	if k.Image, err = pe.Read(k.Space, k.KDBG.KernBase()); err != nil {
		t.Fatal(err)
	}
	drivers, err := d.Drivers()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range drivers {
		k.Modules = append(k.Modules, windows.Module{Name: m.Name[strings.LastIndexByte(m.Name, '\\')+1:], Base: mem.VA(m.Base), Size: m.Size,
			Exceptions: mem.VA(m.Exceptions), ExceptionBytes: m.ExceptionBytes})
	}
	k.ReadProcessors(context.Background())
	k.Opens.Index = -1
	opens, _ := d.Opens()
	for i := range k.Processors {
		if r := k.Processors[i].Record; r != nil && bytes.Equal(r.Raw, opens) {
			k.Opens = windows.Opening{Index: i, Choice: windows.ChoiceRecord}
		}
	}
	return k
}

// words is a stack for comparison. What the core's registers gave is a record in
// the dump; in user mode the dump has nothing.
func words(s *stacks.Stack) (list []string) {
	if s == nil {
		return nil
	}
	for i, f := range s.Frames {
		kind := f.Kind
		if i == 0 {
			kind = "first"
		}
		list = append(list, fmt.Sprintf("%#x %#x %s %s guessed %v %v trap %v user %v %q", f.Address, f.StackPointer, f.Name, kind, f.Guessed, f.Weak, f.TrapFrame, f.User, f.On))
		if f.User {
			return append(list, "user")
		}
	}
	return append(list, string(s.End))
}

// checkTriage compares a triage dump with its core: every block is the kernel's and
// reads as the core does but for the patches; the stacks are the same; what has a
// place of its own is the crasher's.
func checkTriage(t *testing.T, k *windows.Kernel) (*dmp.Image, *dmptest.Dump) {
	t.Helper()
	im, d := triageOf(t, k, dmp.Options{})
	checkBlocks(t, k, im, d)
	alone := aloneOf(t, im, d)
	got, err := stacks.Read(context.Background(), alone, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	want, err := stacks.Read(context.Background(), k, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	frames := 0
	of := map[int]*stacks.Processor{}
	for _, p := range got.Processors {
		of[p.Number] = p
	}
	for _, p := range want.Processors {
		if p.Number < 0 || p.Stack == nil {
			continue
		}
		q := of[p.Number]
		if q == nil || q.Stack == nil {
			t.Errorf("processor %d has no stack in the dump", p.Number)
			continue
		}
		if a, b := words(p.Stack), words(q.Stack); !slices.Equal(a, b) {
			t.Errorf("processor %d:\n%s\nin the dump:\n%s", p.Number, strings.Join(a, "\n"), strings.Join(b, "\n"))
		}
		if (p.Thread == nil) != (q.Thread == nil) || p.Thread != nil && (p.Thread.VA != q.Thread.VA || p.Thread.Process != q.Thread.Process) {
			t.Errorf("processor %d: thread %+v, in the dump %+v", p.Number, p.Thread, q.Thread)
		}
		frames += len(p.Stack.Frames)
		checkOwn(t, k, d, p)
	}
	checkDrivers(t, k, d)
	t.Logf("%d bytes, %d blocks, %d frames", im.Size(), len(d.Blocks), frames)
	return im, d
}

// checkOwn looks at what the dump has of the processor that it opens on in places
// of their own.
func checkOwn(t *testing.T, k *windows.Kernel, d *dmptest.Dump, p *stacks.Processor) {
	t.Helper()
	i := k.Opens.Index
	if i < 0 || k.Processors[i].Number != p.Number {
		return
	}
	size := int64(binary.LittleEndian.Uint16(d.OwnKDBG()[0x2b0:]))
	if prcb := d.Bytes(d.Prcb(p.Number), int(size)); prcb == nil || !bytes.Equal(prcb, d.OwnPrcb(size)) {
		t.Errorf("the control block in its place is not processor %d's", p.Number)
	}
	at, record := d.Context(p.Number)
	if opens, _ := d.Opens(); at == 0 || !bytes.Equal(record, opens) {
		t.Errorf("the header's context is not the record of processor %d", p.Number)
	}
	if th := p.Thread; th != nil {
		if own := d.OwnThread(0x100); !bytes.Equal(own, d.Bytes(uint64(th.VA), 0x100)) || own[0]&0x7f != 6 {
			t.Errorf("the thread in its place is not processor %d's", p.Number)
		}
		if own := d.OwnProcess(0x100); !bytes.Equal(own, d.Bytes(uint64(th.Process), 0x100)) || own[0]&0x7f != 3 {
			t.Errorf("the process in its place is not processor %d's", p.Number)
		}
	}
	top, stack := d.CallStack()
	sp := dmptest.PlaceOf(record).RSP
	if sp>>63 == 1 && (sp < top || sp-top >= uint64(len(stack))) {
		t.Errorf("the call stack is %#x bytes at %#x, the stack pointer %#x", len(stack), top, sp)
	}
	if !bytes.Equal(stack, d.Bytes(top, len(stack))) {
		t.Error("the call stack in its place is not what memory has there")
	}
}

// checkBlocks: no block is of the lower half, or seen through the page tables' own
// addresses; each leads to a page that a kernel half reaches, and reads as there.
func checkBlocks(t *testing.T, k *windows.Kernel, im *dmp.Image, d *dmptest.Dump) {
	t.Helper()
	patched := map[uint64]bool{}
	for _, p := range im.Patches {
		for pa := p.PA.Page(); pa < p.PA+mem.PA(p.Bytes); pa += mem.PageSize {
			patched[uint64(pa)] = true
		}
	}
	roots := []uint64{uint64(k.HeaderDTB), uint64(k.DTB)}
	for _, c := range k.Machine.CPUs {
		roots = append(roots, c.State.Root())
	}
	var maps []map[uint64]uint64
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		maps = append(maps, mapped(k.Machine.Mem, root, len(k.Space.Mode.Levels), true))
	}
	end := uint64(0)
	for _, b := range d.Blocks {
		if b.VA < end || b.VA>>63 == 0 {
			t.Errorf("block %#x, the one before ends at %#x", b.VA, end)
		}
		end = b.VA + uint64(b.Size)
		for at := b.VA; at < end; {
			n := min(end-at, 4096-at%4096)
			in := d.At(int64(b.Offset)+int64(at-b.VA), int64(n))
			if !same(k, maps, patched, at, in) {
				t.Errorf("%#x: its %#x bytes are not what a kernel half has there", at, n)
			}
			at += n
		}
	}
}

// same reports whether some kernel half has the bytes at an address, or a page
// there that was patched. A large page is in the maps by its ends only, so for one
// the kernel's own walk counts.
func same(k *windows.Kernel, maps []map[uint64]uint64, patched map[uint64]bool, va uint64, want []byte) bool {
	got := make([]byte, len(want))
	for _, m := range maps {
		pa, ok := m[va&^4095]
		if ok && (patched[pa] || k.Machine.Mem.ReadAt(got, mem.PA(pa+va%4096)) == nil && bytes.Equal(got, want)) {
			return true
		}
	}
	pa, left, err := k.Space.Translate(mem.VA(va))
	return err == nil && left > 4096 && !k.Space.OwnTables(mem.VA(va)) &&
		(patched[uint64(pa.Page())] || k.Machine.Mem.ReadAt(got, pa) == nil && bytes.Equal(got, want))
}

func checkDrivers(t *testing.T, k *windows.Kernel, d *dmptest.Dump) {
	t.Helper()
	drivers, err := d.Drivers()
	if err != nil || len(drivers) < len(k.Modules) {
		t.Fatalf("%d drivers of %d, %v", len(drivers), len(k.Modules), err)
	}
	for i, m := range k.Modules {
		got := drivers[i]
		if name := got.Name[strings.LastIndexByte(got.Name, '\\')+1:]; name != m.Name || got.Base != uint64(m.Base) || got.Size != m.Size {
			t.Errorf("driver %d: %+v, want %+v", i, got, m)
		}
		if img, err := pe.Read(k.Space, m.Base); err == nil && got.TimeStamp != img.TimeDateStamp {
			t.Errorf("driver %s: time stamp %#x, want %#x", m.Name, got.TimeStamp, img.TimeDateStamp)
		}
	}
}

// TestTriageCrash: the triage dump of a driver's bug check.
func TestTriageCrash(t *testing.T) {
	core, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	k := locate(t, synth.Source(core))
	im, d := checkTriage(t, k)
	for i, want := range crashRecords {
		if _, record := d.Context(i); dmptest.PlaceOf(record) != want {
			t.Errorf("processor %d: %#x, want %#x", i, dmptest.PlaceOf(record), want)
		}
	}
	code, _ := d.BugCheck()
	if exception, _, at := d.Exception(); d.Processors() != 4 || code != 0xd1 || exception != 0x80000003 || at != crashRecords[crasher].RIP {
		t.Errorf("%d processors, bug check %#x, exception %#x at %#x", d.Processors(), code, exception, at)
	}
	if d.U32(0x88) != 0x45474150 {
		t.Errorf("the header lists %#x runs", d.U32(0x88))
	}
	if top, stack := d.CallStack(); top > crashLive[crasher].RSP || uint64(len(stack)) < 0x300 {
		t.Errorf("the call stack begins at %#x, the processor went on to %#x", top, crashLive[crasher].RSP)
	}
	kdbg := d.OwnKDBG()
	if at := d.U64(0x80); string(kdbg[0x10:0x14]) != "KDBG" || !bytes.Equal(kdbg, d.KDBG()) || at != uint64(k.KDBG.VA) {
		t.Errorf("the debugger block at %#x", at)
	}
	check := d.Bytes(binary.LittleEndian.Uint64(kdbg[0x88:]), 0x28)
	if check == nil || binary.LittleEndian.Uint32(check) != 0xd1 {
		t.Errorf("bug check data % x", check)
	}
	if len(im.Warnings) != 0 || im.LeftOut < 12<<20-2<<20 {
		t.Errorf("%v, %d left out", im.Warnings, im.LeftOut)
	}
}

// TestTriageCorpus: the same of every core of the corpus.
func TestTriageCorpus(t *testing.T) {
	eachCore(t, func(t *testing.T, s source.Source) { checkTriage(t, locate(t, s)) })
}

// TestVerifyRefusesTriage: a triage dump that is damaged or cut short is no dump,
// or one that a debugger would complain about.
func TestVerifyRefusesTriage(t *testing.T) {
	core, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	im, _ := triageOf(t, locate(t, synth.Source(core)), dmp.Options{})
	good := make([]byte, im.Size())
	if _, err := im.ReadAt(good, 0); err != nil {
		t.Fatal(err)
	}
	u32 := func(off int) int { return int(binary.LittleEndian.Uint32(good[off:])) }
	put := func(off int, v uint32) func([]byte) {
		return func(p []byte) { binary.LittleEndian.PutUint32(p[off:], v) }
	}
	for name, c := range map[string]struct {
		damage func([]byte)
		text   string
	}{
		"size":             {put(0x2004, 0x3000), "triage part ends at 0x3000"},
		"mark":             {put(len(good)-4, 0), "ends with"},
		"count of blocks":  {put(0x207c, 0x7fffffff), "data blocks"},
		"list of blocks":   {put(0x2078, 0xfffffff0), "list of data blocks"},
		"a block":          {put(u32(0x2078)+8, uint32(len(good))), "data block"},
		"modules":          {put(0x2034, 0x7fffffff), "list of modules"},
		"a module's name":  {put(u32(0x2030), uint32(len(good))-4), "module's name"},
		"debugger block":   {put(0x2074, 0x7fffffff), "the debugger block"},
		"its bytes":        {put(0x2070, uint32(u32(0x2070))+8), "is not the one in memory"},
		"call stack":       {put(0x202c, 0x7fffffff), "the call stack"},
		"its place":        {put(0x204c, 0xffff0000), "not on the call stack"},
		"control block":    {put(0x201c, 0xfffffff0), "the control block"},
		"another's":        {put(0x201c, uint32(u32(0x2020))), "is no processor's"},
		"no image":         {put(u32(0x2030)+8+0x30, 0x12345678), ""},
		"debugger's place": {put(0x80, 0x1000), "debugger block"},
	} {
		p := bytes.Clone(good)
		c.damage(p)
		r, err := dmp.Verify(context.Background(), bytes.NewReader(p), int64(len(p)))
		if c.text == "" { // the comparison with the core sees it
			if err != nil || len(r.Differences(locate(t, synth.Source(core)), im)) == 0 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		text := fmt.Sprint(err)
		if err == nil {
			text = strings.Join(r.Problems, "; ")
		} else if !fault.Is(err, fault.VerifyFailed) {
			t.Errorf("%s: %v", name, err)
		}
		if !strings.Contains(text, c.text) {
			t.Errorf("%s: %s", name, text)
		}
	}
	for n := 0; n < len(good)-1; n += 997 {
		if _, err := dmp.Verify(context.Background(), bytes.NewReader(good[:n]), int64(n)); !fault.Is(err, fault.VerifyFailed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}
