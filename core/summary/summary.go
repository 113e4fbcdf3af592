// Package summary is what was found, as a value: one JSON object, the same from
// the command line's -json and in the page. It holds types and the pure function
// Of that fills them from what other packages found; it reads no guest memory.
// summary.schema.json describes the object, and a test holds the two together.
package summary

import (
	"encoding/json"
	"io"

	"coredrop/core/fault"
)

// Schema counts breaking changes of the object.
const Schema = 1

// Summary says what a file is and what came of it. Quantities of 64 bits are
// strings of the form 0x…; sizes and counts are numbers. On failure it is filled
// as far as things are known, and Error says why it ends there.
type Summary struct {
	Schema    int             `json:"schema"`
	File      File            `json:"file"`
	Guest     Guest           `json:"guest"`
	Convert   Convert         `json:"convert"`
	Symbols   Symbols         `json:"symbols"`
	Memory    Memory          `json:"memory"`
	CPUs      []CPU           `json:"cpus"`
	Threads   []Thread        `json:"threads"`
	Windows   *Windows        `json:"windows,omitempty"`
	Linux     *Linux          `json:"linux,omitempty"`
	Reports   []Report        `json:"reports"`
	Fragments []Fragment      `json:"fragments"`
	Dump      *Dump           `json:"dump,omitempty"`
	Warnings  []fault.Warning `json:"warnings"`
	Error     *Error          `json:"error,omitempty"`
}

// File is the input file. Format is what it was opened as ("elf", "log", …), ""
// where it is nothing that can be read. NamesPercent is how much of the file its
// own headers name, null where the format has none. Machine is the type of the
// virtual machine as QEMU calls it ("pc-q35-7.2"), "" where the file does not say;
// Capabilities are those that changed how the file was written ("mapped-ram").
type File struct {
	Name         string   `json:"name"`
	Size         int64    `json:"size"`
	Format       string   `json:"format"`
	Writer       string   `json:"writer"` // the tool that wrote it, as far as the file says: "QEMU"
	NamesPercent *float64 `json:"names_percent" jsonschema:"nullable"`
	Machine      string   `json:"machine"`
	Capabilities []string `json:"capabilities"`

	Packed    *Packed    `json:"packed,omitempty"`    // what it was unpacked from; absent: it was not
	Snapshots []Snapshot `json:"snapshots,omitempty"` // those with memory, of a disk image
}

// Packed is the file that the input was unpacked from. Forms are those of package
// identify, the outermost first.
type Packed struct {
	Name  string   `json:"name"`
	Bytes int64    `json:"bytes"`
	Forms []string `json:"forms"`
}

// Snapshot is a snapshot with memory in a disk image. Taken is in UTC, in RFC 3339
// form; Bytes is the size of its saved state. Opened: it is the one that the rest
// of the summary is about.
type Snapshot struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Taken  string `json:"taken"`
	Bytes  uint64 `json:"bytes"`
	Opened bool   `json:"opened"`
}

// Guest is the frozen machine's system. OS is windows, linux or unknown;
// SystemTime is the guest's clock in UTC, in RFC 3339 form.
type Guest struct {
	OS            string  `json:"os"`
	Arch          string  `json:"arch"`
	Build         uint32  `json:"build"`
	Version       string  `json:"version"`
	Product       string  `json:"product"`
	SystemTime    string  `json:"system_time"`
	UptimeSeconds float64 `json:"uptime_seconds"`
}

// Convert says whether a crash dump can be made, and if not, the codes of what
// stands in the way. Types lists the dumps that can be made with their sizes.
type Convert struct {
	Possible bool         `json:"possible"`
	Needs    []fault.Code `json:"needs"`
	Types    []DumpSize   `json:"types"`
}

// DumpSize is how large a type of dump becomes, before anything is written; with
// AtMost, that is a bound.
type DumpSize struct {
	Type   string `json:"type"`
	Bytes  int64  `json:"bytes"`
	AtMost bool   `json:"at_most"`
}

// Symbols is the state of the kernel's PDB. Key is its place in a symbol store
// (NAME/ID/NAME), URL where Microsoft's server has it, From where it came from.
type Symbols struct {
	Status string  `json:"status"` // none-needed, needed, found, missing; "" no kernel
	Key    string  `json:"key"`
	URL    string  `json:"url"`
	From   *Origin `json:"from" jsonschema:"nullable"` // null: nowhere from
}

// Origin is where a PDB came from. Name is a file, a directory or a URL; ""
// where the kind says it all.
type Origin struct {
	Kind string `json:"kind"` // file, store, server, cache
	Name string `json:"name"`
}

// Memory is the physical memory that the core holds: sorted, merged, disjoint
// runs of whole pages. MissingBytes is what the core announces and does not hold.
type Memory struct {
	Bytes        int64  `json:"bytes"`
	MissingBytes int64  `json:"missing_bytes"`
	Runs         []Run  `json:"runs"`
	Marks        []Mark `json:"marks"`
}

// Run is one run. FileOffset is where the input holds its first byte, null where
// the input does not hold it verbatim.
type Run struct {
	Start      string `json:"start"`
	Bytes      int64  `json:"bytes"`
	FileOffset *int64 `json:"file_offset" jsonschema:"nullable"`
}

// Mark is a range of physical memory that is something known: the kernel's
// image, its page tables' root, its debugger block, a context record.
type Mark struct {
	What  string `json:"what"`
	PA    string `json:"pa"`
	Bytes int64  `json:"bytes"`
}

// CPU is one virtual CPU. Processor is the number the guest gave it, null where
// that is not known. PC, SP and Root repeat the registers by which every
// processor has such: instruction pointer, stack pointer, page-table base. The
// stack is that of the registers the dump opens with; LiveStack that of the live
// ones where the two differ.
type CPU struct {
	Index         int        `json:"index"`
	Processor     *int       `json:"processor" jsonschema:"nullable"`
	Mode          string     `json:"mode"` // kernel, user; not Windows': hypervisor, vtl1, firmware, smm, reset; unknown
	PC            string     `json:"pc"`
	SP            string     `json:"sp"`
	Root          string     `json:"root"`
	Registers     []Register `json:"registers"`
	Process       *Process   `json:"process" jsonschema:"nullable"` // what it runs; null: not known
	KPCR          string     `json:"kpcr"`
	Context       string     `json:"context"`        // address of its context record, "" where it has none
	RegistersFrom string     `json:"registers_from"` // live, record, none: what the dump shows for it
	Opens         bool       `json:"opens"`          // the dump opens on it
	Why           string     `json:"why"`            // in words: why registers_from is what it is
	Stack         []Frame    `json:"stack"`
	StackEnd      string     `json:"stack_end"` // why it ends early, or why there is none; "" where it ends by itself
	LiveStack     []Frame    `json:"live_stack"`
	LiveStackEnd  string     `json:"live_stack_end"`
}

// Register is a register's value.
type Register struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Process is a process of either system; DTB is "" where it is not known.
type Process struct {
	PID  uint64 `json:"pid"`
	Name string `json:"name"`
	DTB  string `json:"dtb"`
}

// Thread is a thread and where it stood.
type Thread struct {
	Process   *Process `json:"process" jsonschema:"nullable"`
	TID       uint64   `json:"tid"`
	Address   string   `json:"address"`
	State     string   `json:"state"`
	Processor *int     `json:"processor" jsonschema:"nullable"` // that runs it; null: none
	Stack     []Frame  `json:"stack"`
	StackEnd  string   `json:"stack_end"` // as of a CPU's
}

// Frame is a place in code, the innermost of a stack first. Symbol with Offset is
// the name that From gave; Size is the function's. File and Line are known from
// debugging information only.
type Frame struct {
	Address string `json:"address"`
	SP      string `json:"sp"` // the stack pointer there; "" not known
	Module  string `json:"module"`
	Symbol  string `json:"symbol"`
	Offset  uint64 `json:"offset"`
	Size    uint64 `json:"size"`
	File    string `json:"file"`
	Line    int    `json:"line"`
	Inline  bool   `json:"inline"`
	From    string `json:"from"`    // pdb, export, kallsyms, dwarf, text; "" no name
	Kind    string `json:"kind"`    // live, record, machine-frame: the instruction itself; return: behind a call
	Guessed bool   `json:"guessed"` // not proven by unwinding data
	Note    string `json:"note"`    // what else is to be said: the stack that begins here, the trap frame
}

// Module is a loaded module of either system.
type Module struct {
	Name string `json:"name"`
	Base string `json:"base"`
	Size int64  `json:"size"`
}

// Error is a failure as the catalogue words it, with the next steps.
type Error struct {
	Code   fault.Code   `json:"code"`
	Text   string       `json:"text"`
	Remedy []fault.Step `json:"remedy"`
}

// New gives an empty summary, its lists set.
func New() *Summary {
	return &Summary{
		Schema:    Schema,
		File:      File{Capabilities: []string{}},
		Guest:     Guest{OS: "unknown"},
		Convert:   Convert{Needs: []fault.Code{}, Types: []DumpSize{}},
		Memory:    Memory{Runs: []Run{}, Marks: []Mark{}},
		CPUs:      []CPU{},
		Threads:   []Thread{},
		Reports:   []Report{},
		Fragments: []Fragment{},
		Warnings:  []fault.Warning{},
	}
}

// Fail notes the error that ended the job; nil clears it.
func (s *Summary) Fail(err error) {
	if err == nil {
		s.Error = nil
		return
	}
	f, name := fault.As(err), s.File.Name
	if s.File.Packed != nil {
		name = s.File.Packed.Name // the one that the user has
	}
	s.Error = &Error{Code: f.Code, Text: f.Text, Remedy: f.Steps(name)}
	if s.Error.Text == "" {
		if e, ok := fault.Lookup(f.Code); ok {
			s.Error.Text = e.Sentence
		}
	}
}

// Write prints the object, indented, as the page and the command line both do:
// the same bytes for the same summary.
func (s *Summary) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}
