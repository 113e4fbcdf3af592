package core

import (
	"fmt"
	"math"
	"time"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// maxListed bounds the runs that a summary lists; Bytes counts them all.
const maxListed = 1 << 16

// symbolServer is where Microsoft publishes the kernel's PDBs.
const symbolServer = "https://msdl.microsoft.com/download/symbols/"

func hex64(v uint64) string { return fmt.Sprintf("%#x", v) }

func (s *Summary) file(src source.Source) {
	s.File = FileInfo{Name: src.Name, Size: src.Size}
}

func (s *Summary) warn(list ...fault.Warning) { s.Warnings = append(s.Warnings, list...) }

// machine notes what the container says.
func (s *Summary) machine(m *machine.Machine) {
	s.File.Format = m.Format
	s.Guest.Arch = string(m.Arch)
	s.warn(m.Warnings...)
	if m.Mem != nil {
		s.memory(m.Mem.Extents())
	}
	for i, c := range m.CPUs {
		info := CPUInfo{Index: i}
		if x := c.X64; x != nil {
			info.RIP, info.CR3, info.Mode, info.KPCR = hex64(x.RIP), hex64(x.CR3), "user", hex64(uint64(x.KPCR()))
			if x.Kernel() {
				info.Mode = "kernel"
			}
		}
		s.CPUs = append(s.CPUs, info)
	}
}

func (s *Summary) memory(extents []mem.Extent) {
	runs, _ := mem.Runs(extents)
	for i, r := range runs {
		bytes := int64(min(r.Pages, math.MaxInt64/mem.PageSize) * mem.PageSize)
		s.Memory.Bytes += min(bytes, math.MaxInt64-s.Memory.Bytes)
		if i >= maxListed {
			continue
		}
		info := RunInfo{Start: hex64(uint64(r.Start)), Bytes: bytes}
		if j, _ := mem.Find(extents, r.Start); j < len(extents) && extents[j].Offset >= 0 {
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

// kernel notes what was found of Windows; k may be filled in part only.
func (s *Summary) kernel(k *windows.Kernel) {
	s.warn(k.Warnings...)
	s.Symbols.Status, s.Symbols.From = k.SymbolsStatus, k.SymbolsFrom
	if k.Image == nil {
		return
	}
	s.Guest.OS = "windows"
	w := &WindowsInfo{
		KernelBase: hex64(uint64(k.Image.Base)), DTB: hex64(uint64(k.DTB)), DTBFrom: k.DTBFrom,
		Modules: []ModuleInfo{}, Processes: []ProcessInfo{},
	}
	s.Windows = w
	if p := k.PDB; p != nil {
		key := p.Name + "/" + p.Key() + "/" + p.Name
		w.PDB = &PDBInfo{Name: p.Name, GUID: guidString(p.GUID), Age: p.Age, Key: key}
		s.Symbols.Key, s.Symbols.URL = key, symbolServer+key
	}
	if b := k.KDBG; b.VA != 0 {
		w.KDBG = &KDBGInfo{VA: hex64(uint64(b.VA)), Size: b.Size, Encoded: b.Encoded, FoundBy: b.FoundBy}
	}
	if b := k.BugCheck; b != nil {
		w.BugCheck = &BugCheckInfo{Code: hex64(uint64(b.Code))}
		for _, p := range b.Parameters {
			w.BugCheck.Parameters = append(w.BugCheck.Parameters, hex64(p))
		}
	}
	for _, m := range k.Modules {
		w.Modules = append(w.Modules, ModuleInfo{m.Name, hex64(uint64(m.Base)), m.Size})
	}
	for _, p := range k.Processes {
		w.Processes = append(w.Processes, ProcessInfo{p.PID, p.Name, hex64(uint64(p.DTB))})
	}
	for _, p := range k.Processors {
		if p.CPU >= 0 && p.CPU < len(s.CPUs) {
			number := p.Number
			s.CPUs[p.CPU].Processor = &number
			if p.KPCR != 0 {
				s.CPUs[p.CPU].KPCR = hex64(uint64(p.KPCR))
			}
		}
	}
	s.guest(k)
}

func (s *Summary) guest(k *windows.Kernel) {
	g := &s.Guest
	g.Build = k.Shared.Build
	if k.Version.Minor != 0 {
		g.Build = uint32(k.Version.Minor)
	}
	g.Version = versionName(g.Build, k.Shared.ProductType)
	g.Product = productName(k.Shared.ProductType)
	if !k.Shared.Readable {
		return
	}
	g.SystemTime = systemTime(k.Shared.SystemTime)
	g.UptimeSeconds = float64(k.Shared.InterruptTime) / ticksPerSecond
}

const ticksPerSecond = 10_000_000 // of 100 ns

// unixEpoch is 1970 in seconds since 1601, where FILETIME begins.
const unixEpoch = 11_644_473_600

// systemTime words a FILETIME; "" for none.
func systemTime(t uint64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(int64(t/ticksPerSecond)-unixEpoch, int64(t%ticksPerSecond)*100).UTC().Format("2006-01-02T15:04:05.0000000Z")
}

// guidString words a GUID in the registry's form, without braces.
func guidString(g [16]byte) string {
	return fmt.Sprintf("%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X",
		g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15])
}

// image notes the dump that was described.
func (s *Summary) image(im *dmp.Image) {
	s.warn(im.Warnings...)
	d := &DumpInfo{Type: im.Type, Bytes: im.Size(), Parts: len(im.Parts()), Patches: []PatchInfo{}}
	for _, p := range im.Patches {
		d.Patches = append(d.Patches, PatchInfo{p.What, hex64(uint64(p.PA)), p.Bytes})
	}
	s.Dump = d
	for cpu, va := range im.Contexts {
		if cpu < len(s.CPUs) {
			s.CPUs[cpu].Context = hex64(uint64(va))
		}
	}
}
