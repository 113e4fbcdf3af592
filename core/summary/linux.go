//go:build !lean

package summary

import (
	"fmt"
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/races"
	"coredrop/core/srcline"
)

// OfLinux are the facts of a Linux guest.
type OfLinux struct {
	Linux *linux.Kernel
	State *linux.State
	Log   *linux.LogFacts
	Lines map[uint64][]srcline.Frame // of the CPUs' stacks, by address
	Races *races.Result              // of a log, too
}

// linuxGuest notes what was found of a Linux guest.
func (s *Summary) linuxGuest(f Facts) {
	if f.Linux != nil {
		s.linux(f)
	}
	if f.Races != nil {
		s.races(f.Races)
	}
}

// linux notes what was found of a Linux kernel.
func (s *Summary) linux(f Facts) {
	k, state := f.Linux, f.State
	s.warn(k.Warnings...)
	s.Guest.OS, s.Guest.Version = "linux", k.Release
	if major, minor := k.MinorRelease(); major != 0 {
		s.Guest.Product = fmt.Sprintf("Linux %d.%d", major, minor)
	}
	d := &LinuxDetail{VMCoreInfo: k.InfoFrom, BuildID: k.BuildID(), Symbols: k.Symbols.Len(), SymbolsFrom: k.SymbolsFrom,
		Modules: []Module{}, Tasks: []Process{}, Commands: debuggers(k, s.File.Name)}
	s.Linux = &Linux{Release: k.Release, Banner: k.Banner, KASLROffset: hex64(k.Slide), PhysBase: hex64(uint64(k.PhysBase)), Troubles: []Trouble{}, Debug: []DebugFile{}, Detail: d}
	if f.Log != nil {
		s.log(f.Log)
	}
	for _, m := range k.Modules {
		d.Modules = append(d.Modules, Module{m.Name, hex64(m.Base), int64(m.Size)})
	}
	for _, m := range k.Marks() {
		s.Memory.Marks = append(s.Memory.Marks, Mark{m.What, hex64(uint64(m.PA)), m.Bytes})
	}
	if state == nil {
		return
	}
	d.TasksWhole = state.Whole
	for _, t := range state.Tasks {
		d.Tasks = append(d.Tasks, Process{PID: uint64(t.PID), Name: t.Comm})
	}
	for i, c := range state.CPUs {
		if i >= len(s.CPUs) {
			break
		}
		number := i
		s.CPUs[i].Processor = &number
		if c.Known {
			s.CPUs[i].Process = &Process{PID: uint64(c.Task.PID), Name: c.Task.Comm}
		}
		for _, p := range c.Stack {
			s.CPUs[i].Stack = append(s.CPUs[i].Stack, withLines(linuxFrame(p), f.Lines[p.Addr])...)
		}
	}
}

// log notes what the log tells as a whole. The guest ran at least up to its newest
// record.
func (s *Summary) log(l *linux.LogFacts) {
	s.Linux.Panic, s.Linux.Detail.LogRecords = l.Troubles.Panic(), l.Records
	s.Guest.UptimeSeconds = float64(l.Last) / 1e9
	for _, t := range l.Troubles.List {
		s.Linux.Troubles = append(s.Linux.Troubles, Trouble{t.Kind, t.Text, t.Where, float64(t.Time) / 1e9, linux.Record{Caller: t.Caller}.CallerName()})
	}
}

// withLines gives a frame with its source line, below the functions that were
// inlined there.
func withLines(f Frame, lines []srcline.Frame) []Frame {
	var out []Frame
	for _, l := range lines {
		if l.Inline {
			out = append(out, Frame{Address: f.Address, Module: f.Module, Symbol: l.Func, File: l.File, Line: l.Line, Inline: true, From: "dwarf", Kind: f.Kind})
		} else {
			f.File, f.Line = l.File, l.Line
		}
	}
	return append(out, f)
}

// linuxFrame words a place of a CPU's stack.
func linuxFrame(p linux.Place) Frame {
	f := Frame{Address: hex64(p.Addr), SP: hex64(p.SP), Kind: "return"}
	if p.Exact {
		f.Kind = "live"
	}
	if p.Symbol.Name != "" {
		f.Symbol, f.Module, f.From = p.Symbol.Name, p.Module, "kallsyms"
		f.Offset, f.Size = p.Addr-p.Symbol.Addr, p.Symbol.Size
	}
	return f
}

// manyBlocks tells a core taken with paging=true, which lists memory by virtual
// address in about 180 pieces, from one with a piece for each block of RAM.
const manyBlocks = 16

// debuggers are the command lines that work on a core of QEMU's (measured with
// crash 8.0.2 and drgn 0.0.22): crash needs --kaslr=auto, also without KASLR;
// drgn needs the VMCOREINFO note and a core that was taken with paging=true.
func debuggers(k *linux.Kernel, core string) []string {
	quoted := "'" + strings.ReplaceAll(core, "'", `'\''`) + "'"
	out := []string{"crash --kaslr=auto vmlinux-" + k.Release + " " + quoted}
	pieces := len(k.Machine.Mem.Extents())
	if elf := k.Machine.ELF; elf != nil {
		pieces = len(elf.Loads)
	}
	if k.InfoFrom == "note" && pieces >= manyBlocks {
		out = append(out, "drgn -s vmlinux-"+k.Release+" -c "+quoted)
	}
	return out
}

func kcsanDetail(st *races.State) *KCSANDetail {
	d := &KCSANDetail{
		Version: st.Version.String(), Enabled: st.Enabled, Verbose: st.Verbose, ValueChangeOnly: st.ValueChangeOnly,
		FoundBy: st.From, Slots: st.NumSlots, RateLimitSlots: st.NumTimes, RateLimitUsed: len(st.Times),
		Counters: []KCSANCounter{}, Watchpoints: []KCSANWatchpoint{},
	}
	if st.HasCounters {
		for i, v := range st.Counters {
			d.Counters = append(d.Counters, KCSANCounter{kcsan.Counter(i).String(), v})
		}
	}
	for _, w := range st.Watchpoints {
		info := KCSANWatchpoint{Index: w.Index, State: "consumed"}
		if !w.Consumed {
			info = KCSANWatchpoint{w.Index, "armed", hex64(w.Addr), w.Size, w.Write}
		}
		d.Watchpoints = append(d.Watchpoints, info)
	}
	return d
}
