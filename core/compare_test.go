package core

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"coredrop/core/dmp/dmptest"
	"coredrop/core/summary"
)

// fill is the word that Windows leaves in fields it does not set.
const fill = 0x45474150

func compareHeader(t *testing.T, tr *truth, d *dmptest.Dump) {
	t.Helper()
	e := &tr.Expect
	code := uint64(e.BugCheck[0])
	if code == 0 {
		code = 0x161
	}
	u32 := map[string]struct {
		off  int
		want uint64
	}{
		"MajorVersion": {0x8, uint64(e.Version[0])}, "MinorVersion": {0xc, uint64(e.Version[1])},
		"MachineImageType": {0x30, uint64(e.Machine)}, "NumberProcessors": {0x34, uint64(len(e.PRCB))},
		"BugCheckCode": {0x38, code}, "DumpType": {0xf98, 1}, "MiniDumpFields": {0x1038, fill},
		"SecondaryDataState": {0x103c, fill}, "ProductType": {0x1040, uint64(e.ProductType)}, "SuiteMask": {0x1044, uint64(e.SuiteMask)},
		"WriterStatus": {0x1048, 0}, "Attributes": {0x1050, fill}, "BootId": {0x1054, fill}, "NumberOfRuns": {0x88, uint64(len(e.UnionRuns))},
		"ExceptionCode": {0xf00, 0x80000003}, "ExceptionFlags": {0xf04, 1}, "NumberParameters": {0xf18, 0},
		"ContextFlags": {0x348 + 0x30, 0x100007}, "MxCsr": {0x348 + 0x34, 0x1f80}, "FltSave.MxCsr": {0x348 + 0x118, 0x1f80},
	}
	for i := 0; i < 0x20; i += 4 {
		u32[fmt.Sprint("VersionUser+", i)] = struct {
			off  int
			want uint64
		}{0x60 + i, fill}
	}
	for i := 0; i < 0x80; i += 4 {
		u32[fmt.Sprint("Comment+", i)] = struct {
			off  int
			want uint64
		}{0xfb0 + i, fill}
	}
	for i := 0x1058; i < 0x2000; i += 4 {
		u32[fmt.Sprint("reserved+", i)] = struct {
			off  int
			want uint64
		}{i, fill}
	}
	for name, f := range u32 {
		if got := d.U32(f.off); uint64(got) != f.want {
			t.Errorf("%s: %#x, want %#x", name, got, f.want)
		}
	}
	pages := uint64(0)
	for _, r := range e.UnionRuns {
		pages += uint64(r[1])
	}
	for name, f := range map[string]struct {
		off  int
		want uint64
	}{
		"DirectoryTableBase": {0x10, uint64(e.DTB)}, "PfnDatabase": {0x18, uint64(e.PFN)},
		"PsLoadedModuleList":  {0x20, uint64(e.Symbols["PsLoadedModuleList"])},
		"PsActiveProcessHead": {0x28, uint64(e.Symbols["PsActiveProcessHead"])},
		"BugCheckParameter1":  {0x40, uint64(e.BugCheck[1])}, "BugCheckParameter2": {0x48, uint64(e.BugCheck[2])},
		"BugCheckParameter3": {0x50, uint64(e.BugCheck[3])}, "BugCheckParameter4": {0x58, uint64(e.BugCheck[4])},
		"KdDebuggerDataBlock": {0x80, uint64(e.Symbols["KdDebuggerDataBlock"])}, "NumberOfPages": {0x90, pages},
		"RequiredDumpSpace": {0xfa0, 0x2000 + 4096*pages}, "SystemTime": {0xfa8, uint64(e.SystemTime)},
		"SystemUpTime": {0x1030, uint64(e.InterruptTime)}, "ExceptionRecord": {0xf08, 0},
	} {
		if got := d.U64(f.off); got != f.want {
			t.Errorf("%s: %#x, want %#x", name, got, f.want)
		}
	}
	if d.Header[0x104c] != 'P' || d.Header[0x104d] != 0 {
		t.Errorf("bytes 0x104c: % x", d.Header[0x104c:0x104e])
	}
	if len(d.Runs) != len(e.UnionRuns) {
		t.Fatalf("%d runs, want %d", len(d.Runs), len(e.UnionRuns))
	}
	for i, r := range e.UnionRuns {
		if d.Runs[i].Page != uint64(r[0]) || d.Runs[i].Count != uint64(r[1]) {
			t.Errorf("run %d: %+v, want %x", i, d.Runs[i], r)
		}
	}
	// The header's context is that of the CPU in the bug check, if one is.
	rip, found := d.U64(0x348+0xf8), false
	for _, c := range tr.CPUs {
		found = found || uint64(c.RIP) == rip && (e.BugCheck[0] == 0 || c.Mode == "bug")
	}
	if !found || d.U64(0xf10) != rip {
		t.Errorf("header context's rip %#x, exception address %#x", rip, d.U64(0xf10))
	}
}

func compareGuest(t *testing.T, tr *truth, d *dmptest.Dump) {
	t.Helper()
	e := &tr.Expect
	if got := hex.EncodeToString(d.KDBG()); got != e.KDBG.Plain {
		t.Errorf("KDBG reads %s", got)
	}
	modules := d.Modules()
	if len(modules) != len(e.Modules) {
		t.Fatalf("modules %v", modules)
	}
	for i, m := range e.Modules {
		if modules[i] != (dmptest.Module{Name: m.Name, Base: uint64(m.Base), Size: m.Size}) {
			t.Errorf("module %d: %+v, want %+v", i, modules[i], m)
		}
	}
	processes := d.Processes()
	if len(processes) != len(e.Processes) {
		t.Fatalf("processes %v", processes)
	}
	for i, p := range e.Processes {
		if processes[i] != (dmptest.Process{PID: uint64(p.PID), DTB: uint64(p.DTB), Name: p.Name}) {
			t.Errorf("process %d: %+v, want %+v", i, processes[i], p)
		}
	}
	for i := range tr.CPUs {
		compareCPU(t, tr, d, i)
	}
}

// compareCPU compares processor i's context record and special registers.
func compareCPU(t *testing.T, tr *truth, d *dmptest.Dump, i int) {
	t.Helper()
	c := &tr.CPUs[i]
	va, record := d.Context(i)
	if va != uint64(tr.Expect.Context[i].VA) || record == nil {
		t.Errorf("CPU %d: context at %#x, want %#x", i, va, uint64(tr.Expect.Context[i].VA))
		return
	}
	if pa, err := d.Translate(va); err != nil || pa != uint64(tr.Expect.Context[i].PA) {
		t.Errorf("CPU %d: context at physical %#x, %v", i, pa, err)
	}
	u16 := func(p []byte, off int) uint64 { return uint64(binary.LittleEndian.Uint16(p[off:])) }
	u32 := func(p []byte, off int) uint64 { return uint64(binary.LittleEndian.Uint32(p[off:])) }
	u64 := func(p []byte, off int) uint64 { return binary.LittleEndian.Uint64(p[off:]) }
	type field struct {
		got  uint64
		want number
	}
	fields := map[string]field{
		"flags": {u32(record, 0x30), 0x100007}, "mxcsr": {u32(record, 0x34), 0x1f80}, "fltsave.mxcsr": {u32(record, 0x118), 0x1f80},
		"cs": {u16(record, 0x38), c.CS.Selector}, "ds": {u16(record, 0x3a), c.DS.Selector}, "es": {u16(record, 0x3c), c.ES.Selector},
		"fs": {u16(record, 0x3e), c.FS.Selector}, "gs": {u16(record, 0x40), c.GS.Selector}, "ss": {u16(record, 0x42), c.SS.Selector},
		"eflags": {u32(record, 0x44), c.RFLAGS & 0xffffffff},
		"rax":    {u64(record, 0x78), c.RAX}, "rcx": {u64(record, 0x80), c.RCX}, "rdx": {u64(record, 0x88), c.RDX}, "rbx": {u64(record, 0x90), c.RBX},
		"rsp": {u64(record, 0x98), c.RSP}, "rbp": {u64(record, 0xa0), c.RBP}, "rsi": {u64(record, 0xa8), c.RSI}, "rdi": {u64(record, 0xb0), c.RDI},
		"r8": {u64(record, 0xb8), c.R8}, "r9": {u64(record, 0xc0), c.R9}, "r10": {u64(record, 0xc8), c.R10}, "r11": {u64(record, 0xd0), c.R11},
		"r12": {u64(record, 0xd8), c.R12}, "r13": {u64(record, 0xe0), c.R13}, "r14": {u64(record, 0xe8), c.R14}, "r15": {u64(record, 0xf0), c.R15},
		"rip": {u64(record, 0xf8), c.RIP},
	}
	prcb := d.Prcb(i)
	if prcb != uint64(tr.Expect.PRCB[i]) {
		t.Errorf("CPU %d: PRCB %#x, want %#x", i, prcb, uint64(tr.Expect.PRCB[i]))
	}
	if off := u16(d.KDBG(), 0x2f2); off != 0 {
		if s := d.Bytes(prcb+off, 0xf0); s != nil {
			for name, f := range map[string]field{
				"cr0": {u64(s, 0), c.CR[0]}, "cr2": {u64(s, 8), c.CR[2]}, "cr3": {u64(s, 0x10), c.CR[3]}, "cr4": {u64(s, 0x18), c.CR[4]},
				"gdt limit": {u16(s, 0x56), c.GDT.Limit}, "gdt": {u64(s, 0x58), c.GDT.Base},
				"idt limit": {u16(s, 0x66), c.IDT.Limit}, "idt": {u64(s, 0x68), c.IDT.Base},
				"tr": {u16(s, 0x70), c.TR.Selector}, "ldt": {u16(s, 0x72), c.LDT.Selector},
			} {
				fields["special "+name] = f
			}
		}
	}
	for name, f := range fields {
		if f.got != uint64(f.want) {
			t.Errorf("CPU %d: %s %#x, want %#x", i, name, f.got, uint64(f.want))
		}
	}
}

func compareSummary(t *testing.T, tr *truth, s *summary.Summary, withPDB bool) {
	t.Helper()
	e, w := &tr.Expect, s.Windows
	if w == nil || w.PDB == nil || w.KDBG == nil {
		t.Fatalf("windows: %+v", w)
	}
	equal := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	hx := func(n number) string { return fmt.Sprintf("%#x", uint64(n)) }
	equal("kernel base", w.KernelBase, hx(e.KernelBase))
	equal("pdb name", w.PDB.Name, e.PDB.Name)
	equal("pdb guid", w.PDB.GUID, e.PDB.GUID)
	equal("pdb age", w.PDB.Age, e.PDB.Age)
	equal("key", s.Symbols.Key, e.PDB.Name+"/"+e.PDB.SymbolKey+"/"+e.PDB.Name)
	equal("kdbg va", w.KDBG.VA, hx(e.Symbols["KdDebuggerDataBlock"]))
	equal("kdbg size", w.KDBG.Size, e.KDBG.Size)
	equal("kdbg encoded", w.KDBG.Encoded, e.KDBG.Encoded)
	equal("dtb", w.DTB, hx(e.DTB))
	if withPDB {
		equal("symbols", s.Symbols.Status, "found")
	}
	equal("build", s.Guest.Build, uint64(e.Build))
	equal("os", s.Guest.OS, "windows")
	equal("cpus", len(s.CPUs), len(tr.CPUs))
	for i, c := range s.CPUs {
		equal("rip", c.PC, hx(tr.CPUs[i].RIP))
		equal("context", c.Context, hx(e.Context[i].VA))
		if c.Processor == nil || *c.Processor != i {
			t.Errorf("CPU %d: processor %v", i, c.Processor)
		}
	}
	if len(w.Modules) != len(e.Modules) || len(w.Processes) != len(e.Processes) || len(s.Memory.Runs) != len(e.UnionRuns) {
		t.Fatalf("%d modules, %d processes, %d runs", len(w.Modules), len(w.Processes), len(s.Memory.Runs))
	}
	for i, m := range e.Modules {
		equal("module", w.Modules[i], summary.Module{Name: m.Name, Base: hx(m.Base), Size: int64(m.Size)})
	}
	for i, p := range e.Processes {
		equal("process", w.Processes[i], summary.Process{PID: uint64(p.PID), Name: p.Name, DTB: hx(p.DTB)})
	}
	for i, r := range e.UnionRuns {
		equal("run", s.Memory.Runs[i].Start, hx(r[0]*4096))
		equal("run bytes", s.Memory.Runs[i].Bytes, int64(r[1]*4096))
	}
	if alive := e.BugCheck[0] == 0; alive != (w.BugCheck == nil) {
		t.Errorf("bug check %+v", w.BugCheck)
	} else if !alive {
		equal("bug check", w.BugCheck.Code, hx(e.BugCheck[0]))
		for i, p := range w.BugCheck.Parameters {
			equal("parameter", p.Value, hx(e.BugCheck[i+1]))
		}
	}
}
