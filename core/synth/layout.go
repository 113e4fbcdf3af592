package synth

import (
	"maps"
	"slices"

	"coredrop/core/mem"
)

// layout is where a guest's kernel has its things: RVAs in its image, offsets in
// its structures.
type layout struct {
	symbols  map[string]uint32
	image    uint32 // bytes
	sections []section

	rdata, records, exports uint32 // RVAs: debug directory, CodeView records, export directory
	second                  uint32 // of a second debugger block

	pcrBytes, prcb          uint64 // KPCR: its size, the KPRCB in it
	self, current, gdt, idt uint64
	number, special, frame  uint64 // KPRCB: Number, ProcessorState.SpecialRegisters and .ContextFrame
	context, thread         uint64 // KPRCB: the pointer to the context record, CurrentThread
	prcbBytes               uint64
	process                 Layout
	major                   uint32 // NtMajorVersion
	buildInShared           bool
	whole                   bool // every page of the image is there; else those that something is in
}

// defaultLayout is the small kernel of most tests, with the structures of 19041.
func defaultLayout(o Options) *layout {
	kdbg := uint32(rvaKDBG)
	if o.KDBGCrosses {
		kdbg = rvaKDBGCrosses
	}
	return &layout{
		symbols: map[string]uint32{
			"KiDivideErrorFault": 0x1100, "PoIdle": 0x1200, "KeBugCheckEx": 0x1300, "KiSwapContext": 0x1400,
			"DbgBreakPointWithStatus": 0x1500, "KdCopyDataBlock": 0x1600, "KiFreezeTargetExecution": 0x1800, "KiDivideErrorFaultShadow": rvaShadow + 0x40,
			"NtBuildLab": 0x3800, "NtBuildNumber": 0x3840,
			"KdDebuggerDataBlock": kdbg, "KiProcessorBlock": 0x7800, "KiBugCheckData": 0x7a00, "KdVersionBlock": 0x7a40,
			"KdpDebuggerDataListHead": 0x7a80, "PsLoadedModuleList": 0x7aa0, "PsActiveProcessHead": 0x7ac0,
			"MmPfnDatabase": 0x7ae0, "MmPhysicalMemoryBlock": 0x7ae8, "KdpDataBlockEncoded": 0x7af0,
			"KeNumberProcessors": 0x7af8, "KiWaitNever": 0x7b00, "KiWaitAlways": 0x7b08, "KeTimeIncrement": 0x7b10,
		},
		image: imageBytes, sections: sections, rdata: rvaRData, records: rvaRecords, exports: rvaExports, second: rvaSecondBlock,
		pcrBytes: 0xb080, prcb: 0x180, self: 0x18, current: 0x20, gdt: 0, idt: 0x38,
		number: 0x24, special: 0x100, frame: 0x1f0, context: 0x85c0, thread: 8, prcbBytes: 0xaf00,
		process: or(o.Layout, Layout19041), major: 10, buildInShared: true, whole: true,
	}
}

// The kinds of symbols that a real kernel's table has; the others are data.
var (
	codeSymbols = []string{"KeBugCheckEx", "KiDivideErrorFault", "KiDivideErrorFaultShadow"}
	readSymbols = []string{"NtBuildNumber"}
)

// symbolRoom is what each symbol may take behind its place.
const symbolRoom = 0x2000

// realLayout is a kernel that keeps everything where a real one does. Symbols
// that the table lacks get a place of their own: functions behind KeBugCheckEx,
// the rest behind all others.
func realLayout(t *Tables) *layout {
	l := &layout{symbols: maps.Clone(t.Sym), pcrBytes: uint64(t.KPCR["size"]), prcb: uint64(t.KPCR["Prcb"]), self: uint64(t.KPCR["Self"]),
		current: uint64(t.KPCR["CurrentPrcb"]), gdt: uint64(t.KPCR["GdtBase"]), idt: uint64(t.KPCR["IdtBase"]),
		number: uint64(t.KPRCB["Number"]), context: uint64(t.KPRCB["Context"]), thread: uint64(t.KPRCB["CurrentThread"]), prcbBytes: uint64(t.KPRCB["size"]),
		special: uint64(t.KPRCB["ProcessorState"] + t.KPS["SpecialRegisters"]), frame: uint64(t.KPRCB["ProcessorState"] + t.KPS["ContextFrame"]),
		process: Layout{PID: int(t.EPROCESS["pid"]), Links: int(t.EPROCESS["links"]), Name: int(t.EPROCESS["name"])},
		major:   10, buildInShared: t.KUSD["NtBuildNumber"] != 0,
	}
	if !l.buildInShared {
		l.major = 6
	}
	var last uint32
	kind := map[uint32]uint32{}
	var all []uint32
	for name, rva := range t.Sym {
		last = max(last, rva)
		all = append(all, rva)
		switch kind[rva] = 0xc8000040; {
		case slices.Contains(codeSymbols, name):
			kind[rva] = 0x60000020
		case slices.Contains(readSymbols, name):
			kind[rva] = 0x40000040
		}
	}
	slices.Sort(all)
	for i, rva := range all {
		start, end := rva&^(mem.PageSize-1), (rva+symbolRoom+mem.PageSize-1)&^(mem.PageSize-1)
		if i > 0 && kind[all[i-1]] == kind[rva] {
			l.sections[len(l.sections)-1].size = int(end) - l.sections[len(l.sections)-1].rva
			continue
		}
		if n := len(l.sections); n > 0 {
			s := &l.sections[n-1]
			s.size = min(s.size, int(start)-s.rva)
		}
		name := map[uint32]string{0x60000020: ".text", 0x40000040: ".rdata", 0xc8000040: ".data"}[kind[rva]]
		l.sections = append(l.sections, section{name, int(start), int(end - start), kind[rva]})
	}
	end := (last + symbolRoom + 0xffff) &^ 0xffff
	l.rdata, l.records, l.exports, l.second = end, end+0x200, end+0x1000, end+0x2800
	l.image = end + 0x4000
	l.sections = append(l.sections, section{".rdata2", int(end), 0x1000, 0x40000040}, section{".edata", int(end) + 0x1000, 0x200, 0x40000040},
		section{".data2", int(end) + 0x2000, 0x1000, 0xc8000040})
	for name, off := range map[string]uint32{"PoIdle": 0x400, "KiSwapContext": 0x500, "DbgBreakPointWithStatus": 0x600, "KiFreezeTargetExecution": 0x700, "KdCopyDataBlock": 0x900} {
		l.symbols[name] = t.Sym["KeBugCheckEx"] + off
	}
	l.symbols["KeTimeIncrement"] = end + 0x2000
	return l
}
