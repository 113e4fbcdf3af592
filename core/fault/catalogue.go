package fault

import "sort"

// Entry is one row of the catalogue: the sentence used where no occurrence
// says it better, and the next steps to show.
type Entry struct {
	Sentence string
	Remedy   []string
}

// The codes. Input that is something else:
const (
	KdumpCompressed Code = "kdump-compressed"
	SavevmImage     Code = "savevm-image"
	RawImage        Code = "raw-image"
	IsDmp           Code = "is-dmp"
	OtherFormat     Code = "other-format"
	UnknownFormat   Code = "unknown-format"
	EmptyFile       Code = "empty-file"
	DamagedHeader   Code = "damaged-header"
	UnsupportedCPU  Code = "unsupported-cpu"
	NotWindows      Code = "not-windows"
	IsLinux         Code = "is-linux"
	IsWindows       Code = "is-windows"
	IsLog           Code = "is-log"
	EncryptedGuest  Code = "encrypted-guest"
)

// Input that is incomplete or cannot be read:
const (
	InputUnreadable Code = "input-unreadable"
	NoPermission    Code = "no-permission"
	Truncated       Code = "truncated"
	FileChanged     Code = "file-changed"
	NoQEMUNotes     Code = "no-qemu-notes"
	NoteDamaged     Code = "note-damaged"
	PartialPage     Code = "partial-page"
	NoMemory        Code = "no-memory"
)

// The way to the kernel:
const (
	KernelPagedState Code = "kernel-paged-state"
	IDTUnreadable    Code = "idt-unreadable"
	KernelNotFound   Code = "kernel-not-found"
	NoCodeView       Code = "no-codeview"
	ForeignKernel    Code = "foreign-kernel"
	KDBGMissing      Code = "kdbg-missing"
	KDBGUndecodable  Code = "kdbg-undecodable"
	SymbolsDisagree  Code = "symbols-disagree"
	FwCfgIgnored     Code = "fwcfg-ignored"
)

// Symbols:
const (
	SymbolsOffline    Code = "symbols-offline"
	SymbolsNotFound   Code = "symbols-not-found"
	SymbolsNotAPDB    Code = "symbols-not-a-pdb"
	SymbolsMismatch   Code = "symbols-mismatch"
	SymbolsCompressed Code = "symbols-compressed"
	SymbolsUnreadable Code = "symbols-unreadable"
	SymbolPath        Code = "symbol-path"
	PDBDamaged        Code = "pdb-damaged"
	SymbolMissing     Code = "symbol-missing"
	ServerBusy        Code = "server-busy"
)

// What the dump cannot say in full:
const (
	VersionUnreadable      Code = "version-unreadable"
	KUSDUnreadable         Code = "kusd-unreadable"
	BugcheckUnreadable     Code = "bugcheck-unreadable"
	ContextUnreadable      Code = "context-unreadable"
	ProcessorParked        Code = "processor-parked"
	ProcessorsPositional   Code = "processors-positional"
	ProcessesUnknownLayout Code = "processes-unknown-layout"
	ModulesDamaged         Code = "modules-damaged"
	BitmapDump             Code = "bitmap-dump"
	CompatLossy            Code = "compat-lossy"
	VerifyFailed           Code = "verify-failed"
	HeaderDTB              Code = "header-dtb"
)

// Linux guests and race reports:
const (
	NoKCSAN          Code = "no-kcsan"
	KallsymsMissing  Code = "kallsyms-missing"
	UnknownLayout    Code = "unknown-layout"
	LogDamaged       Code = "log-damaged"
	LinuxUnreachable Code = "linux-unreachable"
)

// The tool and its surroundings:
const (
	OutputFailed    Code = "output-failed"
	BrowserSave     Code = "browser-save"
	InsecureContext Code = "insecure-context"
	Cancelled       Code = "cancelled"
	Busy            Code = "busy"
	BadOption       Code = "bad-option"
	Internal        Code = "internal"
)

const (
	takeCore   = "take an ELF core with the VM paused: virsh dump --memory-only --format elf VM FILE, or in the QEMU monitor: dump-guest-memory FILE"
	noSymbols  = "the work goes on without symbols where it can"
	dropPDB    = "fetch the PDB with `coredrop get`, or give the file itself"
	supported  = "readable: ELF cores of QEMU and libvirt (dump-guest-memory, virsh dump --memory-only)"
	reportIt   = "report the details with the version; nothing of the file is in them"
	askVersion = "what could be read is shown; say which kernel it was when you report it"
)

var catalogue = map[Code]Entry{
	KdumpCompressed: {"this is a kdump-compressed core", []string{"take it again as ELF: virsh dump --memory-only --format elf, or dump-guest-memory without a format"}},
	SavevmImage:     {"this is a saved VM state, not a memory core", []string{"use virsh dump with --memory-only; for a VM that is gone: restore it, then dump", takeCore}},
	RawImage:        {"this looks like raw memory, which has no CPU state", []string{takeCore}},
	IsDmp:           {"this already is a Windows dump", []string{"open it in WinDbg as it is"}},
	OtherFormat:     {"this is another tool's file", []string{supported, takeCore}},
	UnknownFormat:   {"this is not a memory core we know", []string{supported, takeCore}},
	EmptyFile:       {"the file is empty", []string{"the dump may have failed for want of disk space; take it again"}},
	DamagedHeader:   {"the core's header is damaged", []string{"copy the file again and compare checksums", takeCore}},
	UnsupportedCPU:  {"the guest's processor is not supported", []string{"for 32-bit Windows guests with a vmcoreinfo device, QEMU's own dump-guest-memory -w writes a dump"}},
	NotWindows:      {"no Windows kernel was found in this core", []string{"if this is a Windows guest, take the core with the VM paused", "if it is a Linux guest: coredrop kcsan, crash or drgn read it"}},
	IsLinux:         {"this is a Linux guest", []string{"coredrop kcsan CORE shows its race reports; crash VMLINUX CORE or drgn -c CORE debug it"}},
	IsWindows:       {"this is a Windows guest", []string{"coredrop convert CORE OUT.dmp makes the crash dump"}},
	IsLog:           {"this is text, perhaps a kernel log", []string{"coredrop kcsan LOG shows the race reports in it; no crash dump can be made of a text"}},
	EncryptedGuest:  {"guest memory seems encrypted (SEV or TDX)", []string{"the host cannot read it; take the dump inside the guest"}},

	InputUnreadable: {"the core could not be read", nil},
	NoPermission:    {"the file is readable by its owner only", []string{"QEMU writes cores with mode 0400: sudo chmod +r FILE, or copy it; only reading is needed, never writing"}},
	Truncated:       {"the file ends before the memory it announces", []string{"copy it again and compare sizes; the disk may have been full when the core was taken", "what is there is used; the missing pages are left out"}},
	FileChanged:     {"the file changed while it was being read", []string{"is the dump still running? wait until virsh domjobinfo shows none, then open the file again"}},
	NoQEMUNotes:     {"the core holds no QEMU CPU notes", []string{"which tool wrote this? " + supported, takeCore}},
	NoteDamaged:     {"the core's notes are damaged", []string{"the notes before the damage are used"}},
	PartialPage:     {"a page is in the core only in part; the rest is zero", nil},
	NoMemory:        {"the core holds no memory", []string{takeCore}},

	KernelPagedState: {"page tables could not be walked from any CPU", []string{"take the dump with the VM paused, not with --live"}},
	IDTUnreadable:    {"the kernel could not be reached through any CPU's interrupt table", []string{"take the core later in the boot, or with the VM paused"}},
	KernelNotFound:   {"no Windows kernel image was found", []string{"take the core with the VM paused", "if it is a Linux guest: coredrop kcsan, crash or drgn read it"}},
	NoCodeView:       {"the kernel image names no PDB", []string{noSymbols}},
	ForeignKernel:    {"an image that looks like a kernel was passed over", nil},
	KDBGMissing:      {"no kernel debugger block was found", []string{dropPDB, "take the core again with the VM paused"}},
	KDBGUndecodable:  {"the kernel's debugger block could not be decoded", []string{dropPDB}},
	SymbolsDisagree:  {"the PDB and the search in memory disagree", []string{"the PDB's value was used; report both values"}},
	FwCfgIgnored:     {"the guest's dump header note was not used", nil},

	SymbolsOffline:    {"the kernel's PDB is needed and could not be fetched", []string{dropPDB, "firewalls must allow msdl.microsoft.com and the blob host it redirects to (*.blob.core.windows.net)"}},
	SymbolsNotFound:   {"no symbol store or server has this PDB", []string{"an insider or private build? add a directory or server with -symbols"}},
	SymbolsNotAPDB:    {"what the symbol store or server gave is not a PDB", []string{"a login or proxy page? open the URL in a browser; check the proxy settings"}},
	SymbolsMismatch:   {"this PDB belongs to another build", []string{dropPDB}},
	SymbolsCompressed: {"the symbol file is compressed (CAB)", []string{"unpack it with expand or cabextract, then give the .pdb"}},
	SymbolsUnreadable: {"the symbol store could not be read", nil},
	SymbolPath:        {"a part of the symbol path was not used", []string{"directories, srv*STORE*URL, cache*DIR and https URLs are understood, separated by ;"}},
	PDBDamaged:        {"the PDB is damaged", []string{"fetch it again", noSymbols}},
	SymbolMissing:     {"a symbol is not in the PDB", []string{noSymbols}},
	ServerBusy:        {"the symbol server is busy", []string{"try again in a minute"}},

	VersionUnreadable:      {"the kernel's version block could not be read", nil},
	KUSDUnreadable:         {"the guest's shared page (KUSER_SHARED_DATA) could not be read", nil},
	BugcheckUnreadable:     {"the guest's bug check data could not be read", nil},
	ContextUnreadable:      {"a CPU's registers have no place in the dump", nil},
	ProcessorParked:        {"a processor is parked: its CPU was never started by Windows", nil},
	ProcessorsPositional:   {"processors were matched to CPUs by position", nil},
	ProcessesUnknownLayout: {"the process list could not be read on this build", []string{askVersion}},
	ModulesDamaged:         {"the module list ends early", nil},
	BitmapDump:             {"the memory has more runs than a full dump's header holds; a bitmap dump was written", nil},
	CompatLossy:            {"elf2dmp would lose or corrupt data of this core", []string{"leave -compat away"}},
	VerifyFailed:           {"reading the dump back did not give what was written", []string{reportIt}},
	HeaderDTB:              {"the header's page-table base is not a CPU's", nil},

	NoKCSAN:          {"this kernel was built without KCSAN, or its reports are gone", nil},
	KallsymsMissing:  {"the kernel's symbol table was not found in memory", []string{askVersion}},
	UnknownLayout:    {"a kernel structure has an unknown layout", []string{askVersion}},
	LogDamaged:       {"the kernel log is damaged", nil},
	LinuxUnreachable: {"the Linux kernel could not be reached", []string{"take the core with the VM paused, and with -device vmcoreinfo where the guest supports it"}},

	OutputFailed:    {"the output could not be written", []string{"nothing was left behind; free space or choose another place"}},
	BrowserSave:     {"the browser could not store the dump", []string{"use a browser with a save picker, or the command line"}},
	InsecureContext: {"opened over plain http: working offline and the save picker are off", []string{"use https or localhost"}},
	Cancelled:       {"cancelled; nothing was saved or sent", nil},
	Busy:            {"another core is being worked on", []string{"wait for it, or cancel it first"}},
	BadOption:       {"an option has a value that is not allowed", nil},
	Internal:        {"something broke in the tool itself; nothing left this machine", []string{reportIt}},
}

// Lookup gives the catalogue's row for a code.
func Lookup(c Code) (Entry, bool) {
	e, ok := catalogue[c]
	return e, ok
}

// Codes lists every code in alphabetical order.
func Codes() []Code {
	list := make([]Code, 0, len(catalogue))
	for c := range catalogue {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	return list
}
