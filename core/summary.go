package core

import "coredrop/core/fault"

// Schema counts breaking changes of the summary.
const Schema = 1

// Summary says what a file is and what came of it: the same object from the
// command line's -json and in the page. Quantities of 64 bits are strings of
// the form 0x…; sizes and counts are numbers. On failure it is filled as far as
// things are known, and Error says why it ends there.
type Summary struct {
	Schema   int             `json:"schema"`
	File     FileInfo        `json:"file"`
	Guest    GuestInfo       `json:"guest"`
	Convert  ConvertInfo     `json:"convert"`
	Symbols  SymbolsInfo     `json:"symbols"`
	Memory   MemoryInfo      `json:"memory"`
	CPUs     []CPUInfo       `json:"cpus"`
	Windows  *WindowsInfo    `json:"windows,omitempty"`
	Linux    *LinuxInfo      `json:"linux,omitempty"`
	Dump     *DumpInfo       `json:"dump,omitempty"`
	Reports  []ReportInfo    `json:"reports,omitempty"` // set, though perhaps empty, by Races only
	Warnings []fault.Warning `json:"warnings"`
	Error    *ErrorInfo      `json:"error,omitempty"`
}

// FileInfo is the input file. Format is "" where it is not a core we read.
type FileInfo struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Format string `json:"format"`
}

// GuestInfo is the frozen machine's system. OS is windows, linux or unknown;
// SystemTime is the guest's clock in UTC, in RFC 3339 form.
type GuestInfo struct {
	OS            string  `json:"os"`
	Arch          string  `json:"arch"`
	Build         uint32  `json:"build"`
	Version       string  `json:"version"`
	Product       string  `json:"product"`
	SystemTime    string  `json:"system_time"`
	UptimeSeconds float64 `json:"uptime_seconds"`
}

// ConvertInfo says whether a crash dump can be made, and if not, the codes of
// what stands in the way.
type ConvertInfo struct {
	Possible bool         `json:"possible"`
	Needs    []fault.Code `json:"needs"`
}

// SymbolsInfo is the state of the kernel's PDB. Key is its place in a symbol
// store (NAME/ID/NAME), URL where Microsoft's server has it, From where it came
// from.
type SymbolsInfo struct {
	Status string `json:"status"`
	Key    string `json:"key"`
	URL    string `json:"url"`
	From   string `json:"from"`
}

// MemoryInfo is the physical memory that the core holds: sorted, merged,
// disjoint runs of whole pages.
type MemoryInfo struct {
	Bytes int64     `json:"bytes"`
	Runs  []RunInfo `json:"runs"`
}

// RunInfo is one run. FileOffset is where the input holds its first byte, null
// where the input does not hold it verbatim.
type RunInfo struct {
	Start      string `json:"start"`
	Bytes      int64  `json:"bytes"`
	FileOffset *int64 `json:"file_offset"`
}

// CPUInfo is one virtual CPU. Processor is the number Windows gave it, null
// where that is not known; Context is the address of the context record that
// was written for it, "" where none was.
type CPUInfo struct {
	Index     int    `json:"index"`
	Processor *int   `json:"processor"`
	RIP       string `json:"rip"`
	CR3       string `json:"cr3"`
	Mode      string `json:"mode"`
	KPCR      string `json:"kpcr"`
	Context   string `json:"context"`
}

// WindowsInfo is what was found of a Windows kernel.
type WindowsInfo struct {
	KernelBase string        `json:"kernel_base"`
	DTB        string        `json:"dtb"`
	DTBFrom    string        `json:"dtb_from"`
	PDB        *PDBInfo      `json:"pdb"`
	KDBG       *KDBGInfo     `json:"kdbg"`
	BugCheck   *BugCheckInfo `json:"bugcheck"` // null: the guest was alive
	Modules    []ModuleInfo  `json:"modules"`
	Processes  []ProcessInfo `json:"processes"`
}

// PDBInfo is the identity of the kernel's PDB, from its CodeView record.
type PDBInfo struct {
	Name string `json:"name"`
	GUID string `json:"guid"`
	Age  uint32 `json:"age"`
	Key  string `json:"key"`
}

// KDBGInfo is the kernel's debugger block.
type KDBGInfo struct {
	VA      string `json:"va"`
	Size    uint32 `json:"size"`
	Encoded bool   `json:"encoded"`
	FoundBy string `json:"found_by"`
}

// BugCheckInfo is a stop code with its four parameters.
type BugCheckInfo struct {
	Code       string   `json:"code"`
	Parameters []string `json:"parameters"`
}

// ModuleInfo is a loaded module.
type ModuleInfo struct {
	Name string `json:"name"`
	Base string `json:"base"`
	Size uint32 `json:"size"`
}

// ProcessInfo is a process.
type ProcessInfo struct {
	PID  uint64 `json:"pid"`
	Name string `json:"name"`
	DTB  string `json:"dtb"`
}

// LinuxInfo is what was found of a Linux kernel.
type LinuxInfo struct {
	Release     string       `json:"release"`
	Banner      string       `json:"banner"`
	KASLROffset string       `json:"kaslr_offset"`
	PhysBase    string       `json:"phys_base"`
	KCSAN       *KCSANInfo   `json:"kcsan,omitempty"`
	Detail      *LinuxDetail `json:"detail,omitempty"` // set by Races only
}

// KCSANInfo counts the race reports by their state.
type KCSANInfo struct {
	Printed    int `json:"printed"`
	InFlight   int `json:"in_flight"`
	Pending    int `json:"pending"`
	Suppressed int `json:"suppressed"`
	Residue    int `json:"residue"`
}

// ReportInfo is one distinct race report. Rule says why a suppressed one was,
// Unknown what is not known of a rebuilt one.
type ReportInfo struct {
	State        string   `json:"state"`
	Title        string   `json:"title"`
	Text         string   `json:"text"`
	Count        int      `json:"count"`
	FirstSeconds *float64 `json:"first_seconds"`
	Sources      []string `json:"sources"`
	Rule         string   `json:"rule,omitempty"`
	Unknown      []string `json:"unknown,omitempty"`
}

// DumpInfo is the dump that was described: its kind, its length, of how many
// parts it is made, what was changed in guest memory, and whether reading it
// back as a debugger does gave the same as the core.
type DumpInfo struct {
	Type     string      `json:"type"`
	Bytes    int64       `json:"bytes"`
	Parts    int         `json:"parts"`
	Patches  []PatchInfo `json:"patches"`
	Verified bool        `json:"verified"`
}

// PatchInfo is a change of guest memory.
type PatchInfo struct {
	What  string `json:"what"`
	PA    string `json:"pa"`
	Bytes int64  `json:"bytes"`
}

// ErrorInfo is a failure as the catalogue words it.
type ErrorInfo struct {
	Code   fault.Code `json:"code"`
	Text   string     `json:"text"`
	Remedy []string   `json:"remedy"`
}

// NewSummary gives an empty summary, its lists set.
func NewSummary() *Summary {
	return &Summary{
		Schema:   Schema,
		Guest:    GuestInfo{OS: "unknown"},
		Convert:  ConvertInfo{Needs: []fault.Code{}},
		Memory:   MemoryInfo{Runs: []RunInfo{}},
		CPUs:     []CPUInfo{},
		Warnings: []fault.Warning{},
	}
}

// Fail notes the error that ended the job; nil clears it.
func (s *Summary) Fail(err error) {
	if err == nil {
		s.Error = nil
		return
	}
	f := fault.As(err)
	s.Error = &ErrorInfo{Code: f.Code, Text: f.Text, Remedy: f.Remedy()}
	if s.Error.Remedy == nil {
		s.Error.Remedy = []string{}
	}
	if s.Error.Text == "" {
		if e, ok := fault.Lookup(f.Code); ok {
			s.Error.Text = e.Sentence
		}
	}
}
