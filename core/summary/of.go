package summary

import (
	"fmt"
	"math"
	"slices"
	"sort"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/windows"
	"coredrop/core/windows/stacks"
)

// Facts are what was found of a file, as far as the search came: whatever is not
// known is its zero value.
type Facts struct {
	File    source.Source
	Packed  *Packed          // what it was unpacked from; nil: nothing
	Format  string           // of a file that is no machine; "" where Machine says it
	Machine *machine.Machine // nil: no core
	OS      string           // "windows", "linux"; "" unknown

	Windows *windows.Kernel // perhaps filled in part
	Marks   []windows.Mark
	Sizes   []dmp.Size // of the dumps that can be made
	Stacks  *stacks.Report
	Cannot  error // why no dump can be made; nil: it can, where Windows is set

	LinuxRelease string // known without the kernel
	Debug        []DebugFile
	OfLinux

	Image    *dmp.Image
	Verified bool

	Warnings []fault.Warning // of the jobs themselves
	Err      error           // what ended the last job
}

// maxListed bounds the runs that a summary lists; Bytes counts them all.
const maxListed = 1 << 16

func hex64(v uint64) string { return fmt.Sprintf("%#x", v) }

// Of makes the summary of what was found.
func Of(f Facts) *Summary {
	s := New()
	s.File.Name, s.File.Size, s.File.Format, s.File.Packed = f.File.Name, f.File.Size, f.Format, f.Packed
	if f.OS != "" {
		s.Guest.OS = f.OS
	}
	if f.Machine != nil {
		s.machine(f.Machine, f.File.Size)
	}
	if f.Windows != nil {
		s.windows(f.Windows, f.Marks)
		if f.Stacks != nil {
			s.stacks(f.Stacks)
		}
	}
	if f.OS == "linux" {
		s.Guest.Version = f.LinuxRelease
		s.Linux = &Linux{Release: f.LinuxRelease, Troubles: []Trouble{}, Debug: []DebugFile{}}
	}
	s.linuxGuest(f)
	if s.Linux != nil {
		s.Linux.Debug = append(s.Linux.Debug, f.Debug...)
	}
	if f.Cannot != nil {
		s.Convert.Needs = []fault.Code{fault.As(f.Cannot).Code}
	} else if f.Windows != nil {
		s.Convert.Possible = true
		for _, z := range f.Sizes {
			s.Convert.Types = append(s.Convert.Types, DumpSize(z))
		}
	}
	if f.Image != nil {
		s.image(f.Image, f.Verified)
	}
	s.warn(f.Warnings...)
	s.Fail(f.Err)
	return s
}

// warn adds warnings, each once.
func (s *Summary) warn(list ...fault.Warning) {
	for _, w := range list {
		if !slices.Contains(s.Warnings, w) {
			s.Warnings = append(s.Warnings, w)
		}
	}
}

// machine notes what the container says.
func (s *Summary) machine(m *machine.Machine, size int64) {
	s.File.Format, s.File.Writer, s.File.Machine = m.Format, m.Writer, m.Board
	s.File.Capabilities = append(s.File.Capabilities, m.Capabilities...)
	s.Guest.Arch = m.Arch.String()
	s.Memory.MissingBytes = m.MissingEnd
	s.warn(m.Warnings...)
	switch {
	case m.Mem != nil:
		s.memory(m.Mem.Extents())
	case m.Listed != nil:
		s.memory(mem.Normalize(m.Listed))
	}
	if m.ELF != nil && m.ELF.Headers > 0 && size > 0 {
		percent := math.Round(1e5*float64(named(m.ELF.Loads))/float64(size)) / 1e3
		s.File.NamesPercent = &percent
	}
	for _, x := range m.Snapshots {
		s.File.Snapshots = append(s.File.Snapshots, Snapshot{ID: x.ID, Name: x.Name, Bytes: x.Bytes, Opened: x.Opened,
			Taken: clock(int64(x.Seconds)) + "Z"})
	}
	for i, c := range m.CPUs {
		info := CPU{Index: i, Mode: "unknown", RegistersFrom: "none", Registers: []Register{}, Stack: []Frame{}, LiveStack: []Frame{}}
		if x := c.State; x != nil {
			info.registers(x)
		}
		s.CPUs = append(s.CPUs, info)
	}
}

// named is how many bytes of the file the extents name, each once.
func named(blocks []mem.Extent) int64 {
	list := slices.Clone(blocks)
	sort.Slice(list, func(i, j int) bool { return list[i].Offset < list[j].Offset })
	var total, end int64
	for _, b := range list {
		from, to := max(b.Offset, end), b.Offset+int64(b.Bytes)
		if to > from {
			total, end = total+to-from, to
		}
	}
	return total
}

func (s *Summary) memory(extents []mem.Extent) {
	runs, _ := mem.Runs(extents)
	for i, r := range runs {
		bytes := int64(min(r.Pages, math.MaxInt64/mem.PageSize) * mem.PageSize)
		s.Memory.Bytes += min(bytes, math.MaxInt64-s.Memory.Bytes)
		if i >= maxListed {
			continue
		}
		info := Run{Start: hex64(uint64(r.Start)), Bytes: bytes}
		if j, _ := mem.Find(extents, r.Start); j < len(extents) && extents[j].Origin == mem.Verbatim {
			e := extents[j]
			off := e.Offset
			if e.Start < r.Start {
				off += int64(r.Start - e.Start)
			}
			info.FileOffset = &off
		}
		s.Memory.Runs = append(s.Memory.Runs, info)
	}
}
