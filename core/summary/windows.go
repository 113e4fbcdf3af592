package summary

import (
	"fmt"
	"time"

	"coredrop/core/pdb"
	"coredrop/core/symstore"
	"coredrop/core/windows"
)

// Windows is what was found of a Windows kernel.
type Windows struct {
	KernelBase string    `json:"kernel_base"`
	DTB        string    `json:"dtb"`
	DTBFrom    DTBFrom   `json:"dtb_from"`
	PDB        *PDB      `json:"pdb" jsonschema:"nullable"`
	KDBG       *KDBG     `json:"kdbg" jsonschema:"nullable"`
	BugCheck   *BugCheck `json:"bugcheck" jsonschema:"nullable"` // null: the guest was alive
	Opens      *Opens    `json:"opens" jsonschema:"nullable"`    // null: not decided, as with compat
	Modules    []Module  `json:"modules"`
	Processes  []Process `json:"processes"`
	// TransitionPages counts pages that were read although the processor would
	// not: Windows had taken them from their working sets, not yet from memory.
	TransitionPages int      `json:"transition_pages"`
	FirstAid        []string `json:"first_aid"` // what the stacks prove, a line each: where it went wrong, what each processor did
}

// DTBFrom says how the page-table base was found: a way, and the CPU at which it
// begins, null where it begins at none.
type DTBFrom struct {
	Way string `json:"way"`
	CPU *int   `json:"cpu" jsonschema:"nullable"`
}

// Opens says whose registers a debugger is shown first: a processor of Windows',
// null for none, the CPU that runs it, null for none, by what it was chosen
// (record, stack, odd-one-out, interrupts-off, first, guest-record, none), and
// the sentence for people.
type Opens struct {
	Processor *int   `json:"processor" jsonschema:"nullable"`
	CPU       *int   `json:"cpu" jsonschema:"nullable"`
	By        string `json:"by"`
	Text      string `json:"text"`
}

// PDB is the identity of the kernel's PDB, from its CodeView record.
type PDB struct {
	Name string `json:"name"`
	GUID string `json:"guid"`
	Age  uint32 `json:"age"`
	Key  string `json:"key"`
}

// KDBG is the kernel's debugger block.
type KDBG struct {
	VA      string `json:"va"`
	Size    uint32 `json:"size"`
	Encoded bool   `json:"encoded"`
	FoundBy string `json:"found_by"` // pdb, plain, known-plaintext, fwcfg
}

// BugCheck is a stop code with its four parameters.
type BugCheck struct {
	Code       string      `json:"code"`
	Name       string      `json:"name"` // "" unknown
	URL        string      `json:"url"`  // documentation of the codes; "" where nothing was looked up
	Parameters []Parameter `json:"parameters"`
	Stack      []Frame     `json:"stack"`     // of the exception, where a parameter leads to its registers
	StackEnd   string      `json:"stack_end"` // as of a CPU's
}

// Parameter is a parameter of a bug check: its meaning, "" where the code gives
// it none, and for an address the place it points to.
type Parameter struct {
	Value   string `json:"value"`
	Meaning string `json:"meaning"`
	At      string `json:"at"`
}

// windows notes what was found of Windows; k may be filled in part only.
func (s *Summary) windows(k *windows.Kernel, marks []windows.Mark) {
	s.warn(k.Warnings...)
	s.Symbols.Status = k.SymbolsStatus
	if k.SymbolsFrom != (pdb.Origin{}) {
		s.Symbols.From = &Origin{string(k.SymbolsFrom.Kind), k.SymbolsFrom.Name}
	}
	if k.Image == nil {
		return
	}
	s.Guest.OS = "windows"
	w := &Windows{
		KernelBase: hex64(uint64(k.Image.Base)), DTB: hex64(uint64(k.DTB)), DTBFrom: DTBFrom{Way: string(k.DTBFrom.Way)},
		TransitionPages: k.Space.InTransition(),
		Modules:         []Module{}, Processes: []Process{}, FirstAid: []string{},
	}
	if k.DTBFrom.Way.OfCPU() {
		cpu := k.DTBFrom.CPU
		w.DTBFrom.CPU = &cpu
	}
	s.Windows = w
	if p := k.PDB; p != nil {
		w.PDB = &PDB{Name: p.Name, GUID: guidString(p.GUID), Age: p.Age}
		if key, err := symstore.PDBKey(p.Name, p.GUID, p.Age); err == nil {
			w.PDB.Key = key.String()
			s.Symbols.Key, s.Symbols.URL = w.PDB.Key, symstore.MicrosoftURL+"/"+w.PDB.Key
		}
	}
	if b := k.KDBG; b.VA != 0 {
		w.KDBG = &KDBG{VA: hex64(uint64(b.VA)), Size: b.Size, Encoded: b.Encoded, FoundBy: b.FoundBy}
	}
	if b := k.BugCheck; b != nil {
		w.BugCheck = &BugCheck{Code: hex64(uint64(b.Code)), Stack: []Frame{}}
		for _, p := range b.Parameters {
			w.BugCheck.Parameters = append(w.BugCheck.Parameters, Parameter{Value: hex64(p)})
		}
	}
	for _, m := range k.Modules {
		w.Modules = append(w.Modules, Module{m.Name, hex64(uint64(m.Base)), int64(m.Size)})
	}
	for _, p := range k.Processes {
		w.Processes = append(w.Processes, Process{p.PID, p.Name, hex64(uint64(p.DTB))})
	}
	s.processors(k)
	for _, m := range marks {
		s.Memory.Marks = append(s.Memory.Marks, Mark{m.What, hex64(uint64(m.PA)), m.Bytes})
	}
	s.windowsGuest(k)
}

// processors says of each CPU which of Windows' processors it runs, what it was
// doing, and whose registers a dump would show for it.
func (s *Summary) processors(k *windows.Kernel) {
	for i, mode := range k.Modes {
		if i < len(s.CPUs) {
			s.CPUs[i].Mode = string(mode)
			if len(k.Processors) > 0 {
				s.CPUs[i].RegistersFrom, s.CPUs[i].Why = string(windows.RegistersNone), "it runs none of Windows' processors"
			}
		}
	}
	for i, p := range k.Processors {
		if p.CPU < 0 || p.CPU >= len(s.CPUs) {
			continue
		}
		c, number := &s.CPUs[p.CPU], p.Number
		c.Processor = &number
		if p.KPCR != 0 {
			c.KPCR = hex64(uint64(p.KPCR))
		}
		c.RegistersFrom, c.Why = string(k.RegistersOf(i, false)), k.WhyRegisters(i, false)
		c.Opens = k.Opens.Choice != "" && k.Opens.Index == i
	}
	s.opens(k, k.Opening(false))
}

// opens notes whose registers a dump opens with; text is the sentence.
func (s *Summary) opens(k *windows.Kernel, text string) {
	if text == "" {
		return
	}
	o := &Opens{By: string(k.Opens.Choice), Text: text}
	if i := k.Opens.Index; i >= 0 {
		number := k.Processors[i].Number
		o.Processor = &number
	}
	if cpu := k.OpensCPU(); cpu >= 0 {
		o.CPU = &cpu
	}
	s.Windows.Opens = o
}

func (s *Summary) windowsGuest(k *windows.Kernel) {
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
	return fmt.Sprintf("%s.%07dZ", clock(int64(t/ticksPerSecond)-unixEpoch), t%ticksPerSecond)
}

// clock words seconds since 1970 to the second, in UTC: what formats any layout
// would cost the browser's program four kilobytes.
func clock(seconds int64) string {
	t := time.Unix(seconds, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return fmt.Sprintf("%04d-%02d-%02dT%02d:%02d:%02d", year, month, day, hour, minute, second)
}

// guidString words a GUID in the registry's form, without braces.
func guidString(g [16]byte) string {
	return fmt.Sprintf("%02X%02X%02X%02X-%02X%02X-%02X%02X-%02X%02X-%02X%02X%02X%02X%02X%02X",
		g[3], g[2], g[1], g[0], g[5], g[4], g[7], g[6], g[8], g[9], g[10], g[11], g[12], g[13], g[14], g[15])
}
