package windows

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pdb"
	"coredrop/core/pe"
)

// Symbols gives the PDB that an image's CodeView record names, and where it
// came from. The error is a *fault.Error with one of the symbols codes.
type Symbols interface {
	PDB(ctx context.Context, cv pe.CodeView) (f *pdb.File, from pdb.Origin, err error)
}

// The states of Kernel.SymbolsStatus.
const (
	SymbolsNoneNeeded = "none-needed" // nobody was asked, and all was found without
	SymbolsNeeded     = "needed"      // nobody was asked, and something is missing without
	SymbolsFound      = "found"       // the PDB was used
	SymbolsMissing    = "missing"     // the PDB was asked for and is not to be had
)

// Kernel is what was found. Where the search fails after the kernel image was
// found, a Kernel that is filled so far comes along with the error.
type Kernel struct {
	Machine *machine.Machine
	Space   *paging.Space // the address space of DTB
	DTB     mem.PA        // page-table base the kernel was found through
	DTBFrom Root          // the way to it
	// HeaderDTB is the page-table base for the dump's header: that of the
	// processor it opens on, else System's, else DTB.
	HeaderDTB mem.PA

	Image *pe.Image
	PDB   *pe.CodeView // the image's record; nil: it has none that is usable

	SymbolsStatus string     // one of the constants above
	SymbolsFrom   pdb.Origin // where the PDB came from
	SymbolsError  error      // why there is no PDB

	KDBG        KDBG
	EncodedFlag mem.VA // KdpDataBlockEncoded; 0: not known
	Version     VersionBlock
	Shared      SharedData
	BugCheck    *BugCheck // nil: the guest was alive
	Processors  []Processor
	Modules     []Module
	Processes   []Process
	Modes       []Mode  // by the machine's CPUs: what each was executing
	Opens       Opening // whose registers belong in the dump's header

	Warnings []fault.Warning
}

// VersionBlock is DBGKD_GET_VERSION64, or what KUSER_SHARED_DATA says where it
// could not be found.
type VersionBlock struct {
	VA                 mem.VA // 0: not found, filled from KUSER_SHARED_DATA
	Major              uint16 // 0xf free build, 0xc checked build
	Minor              uint16 // build number
	Protocol           uint8
	KdSecondaryVersion uint8
	Flags              uint16
	MachineType        uint16
	KernBase           uint64
	PsLoadedModuleList uint64
	DebuggerDataList   uint64
}

// SharedData is what KUSER_SHARED_DATA says. Times are in units of 100 ns:
// SystemTime since 1601 (FILETIME), InterruptTime since the guest's start.
type SharedData struct {
	Readable                  bool
	ProductType, SuiteMask    uint32
	Build, Major, Minor       uint32
	SystemTime, InterruptTime uint64 // 0: not known
	ActiveProcessors          uint32 // 0: not known
	SystemRoot                string // "C:\Windows"

	clockTrouble string // why a time is 0
}

// Processor is one processor as Windows knows it.
type Processor struct {
	Number  int    // index in KiProcessorBlock
	PRCB    mem.VA // KPRCB
	KPCR    mem.VA
	Context mem.VA  // where its CONTEXT record belongs; 0: unknown, see Err
	CPU     int     // the machine's CPU that runs it (index in Machine.CPUs); -1: none
	Record  *Record // what the guest's memory has at Context; nil: it cannot be read
	Err     error   // why Context cannot be used, a *fault.Error
	// Doubtful says that the control region does not name itself and the KPRCB:
	// nothing may be written to either.
	Doubtful bool
}

// Module is an entry of the loaded-module list.
type Module struct {
	Name string
	Base mem.VA
	Size uint32
	// Exceptions is where Windows has the image's exception directory, of
	// ExceptionBytes bytes; 0: not known.
	Exceptions     mem.VA
	ExceptionBytes uint32
}

// Process is an entry of the active-process list.
type Process struct {
	PID  uint64
	Name string
	DTB  mem.PA // page-table base as EPROCESS holds it, with its PCID; 0: unknown
	// Links is where its ActiveProcessLinks lie, EPROCESS where it begins; 0:
	// unknown.
	Links, EPROCESS mem.VA
}

// warn records a warning.
func (k *Kernel) Warn(code fault.Code, format string, args ...any) {
	k.Warnings = append(k.Warnings, fault.Warn(code, format, args...))
}
