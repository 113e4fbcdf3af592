package synth

import (
	"coredrop/core/mem"
	"coredrop/core/source"
)

// Mode is what a CPU of a synthetic guest does when the core is taken.
type Mode int

// What a CPU can be doing.
const (
	// Kernel: idle in the kernel, with System's page tables.
	Kernel Mode = iota
	// Process: in the kernel, with the page tables of a process.
	Process
	// User: in user mode; with Options.KVAShadow the tables map next to nothing
	// of the kernel.
	User
	// Reset: never started; the guest has no processor for it.
	Reset
	// Hypervisor, Secure, Firmware, Management and Parked: the guest has a
	// processor for it, but the CPU does something else: it is in the hypervisor,
	// in the secure kernel (VTL1), in firmware with paging, in SMM, or at the reset
	// vector.
	Hypervisor
	Secure
	Firmware
	Management
	Parked
)

// FwCfg says what note the guest driver left.
type FwCfg int

// The notes, right and forged.
const (
	FwCfgNone      FwCfg = iota
	FwCfgGood            // as the driver writes it
	FwCfgWrongDTB        // the header's page-table base leads nowhere
	FwCfgWrongKDBG       // the header's copy of the debugger block is unmapped
	FwCfgOtherBase       // the copy names another kernel base
	FwCfgNoHeader        // the note holds no dump header
	FwCfgShort           // the note ends early
)

// DebugEntry is one entry of the kernel image's debug directory.
type DebugEntry struct {
	Type     uint32 // 2: CodeView
	Data     []byte // the record; RSDS makes one
	Size     uint32 // SizeOfData when not len(Data)
	Unmapped bool   // AddressOfRawData 0, PointerToRawData set
}

// BugCheck is a stop code and its parameters, and how the guest came to it.
type BugCheck struct {
	Code       uint64
	Parameters [4]uint64
	Called     uint64     // the code that KeBugCheckEx was called with; 0: Code
	CalledWith *[4]uint64 // the parameters of the call; nil: Parameters
	Record     RecordKind // what the crasher's context record holds
	Frozen     bool       // the others wait for the crasher, their records hold what they did
	InDriver   bool       // the crasher stands in a dump driver, not in the kernel
	NoFrame    bool       // nothing of the call is on the stack
}

// RecordKind says what the record of a processor in a bug check holds.
type RecordKind int

// The kinds of records.
const (
	RecordNone  RecordKind = iota // zeros
	RecordFresh                   // the call
	RecordStale                   // the call of an earlier bug check
)

// Saved is what a processor's context record and special registers hold.
type Saved struct {
	Flags                           uint32
	RIP, RSP, RAX, RCX, RDX, R8, R9 uint64
	CS                              uint16
	EFlags                          uint32
	CR2, CR3                        uint64
}

// Layout is where an EPROCESS keeps what a process list needs.
type Layout struct{ PID, Links, Name int }

// Layout19041 is that of Windows 10 19041 to 19045 and Windows 11 22000 to 22631.
var Layout19041 = Layout{PID: 0x440, Links: 0x448, Name: 0x5a8}

// Options of a synthetic guest. The zero value is one CPU in the kernel, 4-level
// paging, a plain debugger block of 0x380 bytes, nothing unusual.
type Options struct {
	CPUs  []Mode // none: one in Kernel
	Order []int  // CPU i is Windows processor Order[i]; none: i
	Seed  uint64 // of register values and keys

	FiveLevel bool // CR4.LA57
	LargePage bool // the kernel image lies in one 2 MiB page whose PAT bit is set
	// KVAShadow is where KernelDirectoryTableBase lies in the KPCR (0x7000,
	// 0x9000, 0xa000); 0: no shadow tables, user mode uses the process's own.
	KVAShadow int

	Build   uint16 // 0: 19041
	PDBName string // "": ntkrnlmp.pdb
	GUID    [16]byte
	Age     uint32       // 0: 1
	Debug   []DebugEntry // replaces the image's debug directory
	NoDebug bool         // no debug directory at all
	Export  string       // export directory's module name; "": ntoskrnl.exe

	Decoys   bool // other images, whole and damaged, between interrupt handler and kernel
	Impostor bool // an image that names ntkrnlmp.pdb with another GUID in between

	KDBGSize    uint32 // 0: 0x380
	Encoded     bool
	Rotation    int  // low six bits of KiWaitNever
	KDBGCrosses bool // the block crosses a page boundary
	SecondBlock bool // a second debugger block is registered: Flink is not Blink
	NoVersion   bool // the version block is zero
	PCRVersion  bool // KPCR.KdVersionBlock of processor 0 is set

	NoContext       []int // processors whose context pointer is 0
	UnmappedContext []int // processors whose context pointer leads nowhere
	SameContext     bool  // no: each its own; yes: all processors point at the first's

	BugCheck    *BugCheck
	BugCheckCPU int // whose stack holds it

	Layout Layout  // of EPROCESS; zero: Layout19041
	Tables *Tables // a real kernel's places for everything, its build and PDB; nil: a small kernel
	FwCfg  FwCfg

	// Apart spreads the guest over its memory: so many bytes of physical memory
	// from one page table to the next, and between groups of Group other pages (0:
	// 32). Not with LargePage, ExtraRuns, FwCfg and lost pages. 0: all lie side by
	// side.
	Apart mem.PA
	Group int

	ExtraRuns   int    // more disjoint runs of one page each above the guest's memory
	ShuffleRuns uint64 // seed of the loads' order; 0: ascending

	// Edit is called when the guest stands, before the core is made.
	Edit func(*Editor)
}

// Named is a module or a process.
type Named struct {
	Name string
	VA   uint64 // of the module's image; of the EPROCESS
	Size uint32 // of the image
	PID  uint64
	DTB  mem.PA
}

// Truth is what a reader should find. Symbols are RVAs.
type Truth struct {
	KernelBase                           uint64
	SizeOfImage                          uint32
	TimeDateStamp                        uint32
	SystemDTB, ProcessDTB, UserDTB       mem.PA // UserDTB: the shadow, or ProcessDTB
	Handler                              uint64 // gate 0
	PDBName                              string
	GUID                                 [16]byte
	Age                                  uint32
	Symbols                              map[string]uint32
	KDBG                                 uint64 // VA
	KDBGPlain, KDBGRaw                   []byte
	WaitNever, WaitAlways                uint64
	KPCR, PRCB, Context                  []uint64 // by processor; 0: none
	CPUOf                                []int    // by processor
	Version                              []byte   // 0x28 bytes
	ProductType, SuiteMask, Build        uint32
	SystemTime, InterruptTime            uint64
	Modules, Processes                   []Named
	BugCheck                             BugCheck
	ImpostorBase                         uint64
	FwCfgKDBG                            uint64 // VA of the decoded copy
	PfnDatabase, ModuleList, ProcessHead uint64
	Records                              []Saved // by processor: what its context record holds

	sections []section
}

// Built is a guest, its core and what is in it.
type Built struct {
	Truth
	Core []byte // of a spread guest all but its memory
	ELF  ELF    // to change and write again
	Opts Options

	ram ram
}

// Source makes an input file of the core.
func (b *Built) Source() source.Source {
	if b.Opts.Apart != 0 {
		return b.spreadSource()
	}
	return Source(b.Core)
}

// PDB makes the kernel's PDB.
func (b *Built) PDB() []byte {
	return PDB(PDBOptions{GUID: b.GUID, Age: b.Age, Symbols: b.Symbols, sections: b.sections})
}
