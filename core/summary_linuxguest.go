package core

import (
	"fmt"
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/races"
)

// LinuxDetail is what was found of a Linux guest beyond its identity; set by
// Races only.
type LinuxDetail struct {
	VMCoreInfo  string `json:"vmcoreinfo"`   // where it was found: "note", "memory", "" nowhere
	BuildID     string `json:"build_id"`     // in hexadecimal, "" unknown
	Symbols     int    `json:"symbols"`      // in the kernel's own table
	SymbolsFrom string `json:"symbols_from"` // "keys" of vmcoreinfo, "scan" of memory, "" none
	LogRecords  int    `json:"log_records"`

	Modules    []LinuxModule `json:"modules"`
	Tasks      []LinuxTask   `json:"tasks"`
	TasksWhole bool          `json:"tasks_whole"` // false: the list is broken, and both its ends are shown
	CPUs       []LinuxCPU    `json:"cpus"`

	// Commands work on this core: crash, and drgn where it can.
	Commands []string `json:"commands"`

	KCSAN *KCSANDetail `json:"kcsan"` // null: built without it
}

// LinuxModule is a loaded module.
type LinuxModule struct {
	Name string `json:"name"`
	Base string `json:"base"`
	Size int64  `json:"size"`
}

// LinuxTask is a process's main thread.
type LinuxTask struct {
	PID  int    `json:"pid"`
	Comm string `json:"comm"`
}

// LinuxCPU is what a CPU was doing: its task, null where that is not known, and
// its stack, the innermost function first.
type LinuxCPU struct {
	Index int        `json:"index"`
	Task  *LinuxTask `json:"task"`
	Stack []string   `json:"stack"`
}

// KCSANDetail is the sanitizer's own data: where it was found and what it holds.
type KCSANDetail struct {
	Version         string            `json:"version"` // first release of this generation of report.c
	Enabled         bool              `json:"enabled"`
	Verbose         bool              `json:"verbose"`
	ValueChangeOnly bool              `json:"value_change_only"`
	FoundBy         map[string]string `json:"found_by"` // object: "symbol" or "code"
	Slots           int               `json:"slots"`
	RateLimitSlots  int               `json:"rate_limit_slots"`
	RateLimitUsed   int               `json:"rate_limit_used"`
	Counters        []KCSANCounter    `json:"counters"`
	Watchpoints     []KCSANWatchpoint `json:"watchpoints"` // those that are not free
}

// KCSANCounter is one of kcsan_counters.
type KCSANCounter struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// KCSANWatchpoint is a watchpoint in use; a consumed one has no address any more.
type KCSANWatchpoint struct {
	Index   int    `json:"index"`
	State   string `json:"state"` // "armed" or "consumed"
	Address string `json:"address"`
	Size    uint64 `json:"size"`
	Write   bool   `json:"write"`
}

// linux notes what was found of a Linux kernel.
func (s *Summary) linux(k *linux.Kernel) {
	s.warn(k.Warnings...)
	s.Guest.OS, s.Guest.Version = "linux", k.Release
	if major, minor := k.MinorRelease(); major != 0 {
		s.Guest.Product = fmt.Sprintf("Linux %d.%d", major, minor)
	}
	d := &LinuxDetail{VMCoreInfo: k.InfoFrom, BuildID: k.Info.BuildID(), Symbols: k.Symbols.Len(), SymbolsFrom: k.SymbolsFrom,
		Modules: []LinuxModule{}, Tasks: []LinuxTask{}, CPUs: []LinuxCPU{}}
	s.Linux = &LinuxInfo{Release: k.Release, Banner: k.Banner, KASLROffset: hex64(k.Slide), PhysBase: hex64(uint64(k.PhysBase)), Detail: d}
	for _, m := range k.Modules {
		d.Modules = append(d.Modules, LinuxModule{m.Name, hex64(m.Base), int64(m.Size)})
	}
	tasks, whole, err := k.Tasks()
	if err == nil {
		d.TasksWhole = whole
		for _, t := range tasks {
			d.Tasks = append(d.Tasks, LinuxTask{t.PID, t.Comm})
		}
	}
	for i := range k.Machine.CPUs {
		c := LinuxCPU{Index: i, Stack: []string{}}
		if t, ok := k.Current(i); ok {
			c.Task = &LinuxTask{t.PID, t.Comm}
		}
		for _, f := range k.Unwind(i) {
			c.Stack = append(c.Stack, kcsan.NewFrame(resolver(k), f.Addr).String())
		}
		d.CPUs = append(d.CPUs, c)
	}
	d.Commands = debuggers(k, s.File.Name)
}

// resolver gives the guest's symbols to package kcsan.
func resolver(k *linux.Kernel) kcsan.Symbolizer {
	return kcsan.SymbolizerFunc(func(a uint64) (kcsan.Symbol, bool) {
		sym, module, ok := k.Resolve(a)
		return kcsan.Symbol{Name: sym.Name, Offset: a - sym.Addr, Size: sym.Size, Module: module}, ok
	})
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
	if k.InfoFrom == "note" && len(k.Machine.Blocks) >= manyBlocks {
		out = append(out, "drgn -s vmlinux-"+k.Release+" -c "+quoted)
	}
	return out
}

// races notes what was recovered.
func (s *Summary) races(r *races.Result) {
	s.warn(r.Warnings...)
	s.Reports = []ReportInfo{}
	for i := range r.Reports {
		rep := &r.Reports[i]
		info := ReportInfo{State: rep.State, Title: rep.Title, Text: rep.Text, Count: rep.Count,
			Sources: rep.Sources, Rule: rep.Rule, Unknown: rep.Unknown}
		if rep.Timed {
			seconds := float64(rep.Time) / 1e9
			info.FirstSeconds = &seconds
		}
		s.Reports = append(s.Reports, info)
	}
	counts := &KCSANInfo{
		Printed: r.Count(races.Printed), InFlight: r.Count(races.InFlight), Pending: r.Count(races.Pending),
		Suppressed: r.Count(races.Suppressed), Residue: r.Count(races.Residue),
	}
	if s.Linux == nil { // a log: what its reports say of the kernel
		for i := range r.Reports {
			s.Guest.OS, s.Guest.Version = "linux", r.Reports[i].Model.Footer.Release
			s.Linux = &LinuxInfo{Release: s.Guest.Version, KCSAN: counts}
		}
		return
	}
	s.Linux.KCSAN = counts
	s.Linux.Detail.LogRecords = r.Records
	s.Guest.UptimeSeconds = float64(r.LastTime) / 1e9
	if r.State != nil {
		s.Linux.Detail.KCSAN = kcsanDetail(r.State)
	}
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
