package fault

import "sort"

// Entry is one row of the catalogue: the sentence used where no occurrence
// says it better, and the next steps to show.
type Entry struct {
	Sentence string
	Remedy   []Step
}

// say is a step in words, for every surface.
func say(text string) Step { return Step{Text: text} }

// do is a command for every surface, with the words that lead to it.
func do(text, command string) Step { return Step{Text: text, Command: command} }

// at keeps a step to one surface.
func at(on Surface, s Step) Step { s.For = []Surface{on}; return s }

// TakeCore is how to take a core that can be read.
func TakeCore() []Step {
	return []Step{
		do("take the core with libvirt", "virsh dump --memory-only --format elf VM vm.core"),
		do("or in QEMU's monitor (Proxmox VE: qm monitor VMID)", "dump-guest-memory vm.core"),
	}
}

// TakeSnapshot is how to make a core of a snapshot that cannot be read.
func TakeSnapshot() []Step {
	return []Step{
		do("go back to the snapshot without running the guest on; what the disk has since is lost, so copy the image first", "virsh snapshot-revert VM SNAPSHOT --paused"),
		do("then take the core", "virsh dump --memory-only --format elf VM vm.core"),
	}
}

// Steps that several rows share.
var (
	readable  = say("readable: cores of QEMU and libvirt (dump-guest-memory, virsh dump --memory-only), saved VM states (virsh save, virsh dump, migrate to a file)")
	noSymbols = say("the work goes on without symbols where it can")
	dropPDB   = at(Page, say("drop the PDB itself onto the page"))
	fetchPDB  = at(CLI, do("fetch the PDB into a store, then convert with -symbols store", "coredrop get -o store {file}"))
	reportIt  = say("report the details with the version; nothing of the file is in them")
	which     = say("what could be read is shown; say which kernel it was when you report it")
	checkCopy = do("compare the copy with the original", "sha256sum {file}")
	// QEMU stops the guest for every dump by itself, so that pausing it is no
	// remedy (qapi/dump.json: STOP, DUMP_COMPLETED, RESUME).
	whyNone = say("what can be behind it: the guest was in its firmware or boot loader or was resuming from hibernation, another system runs in it, the core holds a part of memory only, or it was copied while it was being written")
	again   = say("take it once more when the guest is up")
	linux   = at(CLI, do("a Linux guest's race reports and log", "coredrop kcsan {file}"))
)

// with joins steps.
func with(first []Step, more ...Step) []Step { return append(first, more...) }

var catalogue = map[Code]Entry{
	KdumpCompressed: {"this kdump core is of a form that is not read", []Step{do("take it again as ELF", "virsh dump --memory-only --format elf VM vm.core"), say("in QEMU's monitor: dump-guest-memory without -z, -l, -s and -R")}},
	SavevmImage:     {"this saved VM state cannot be read", []Step{do("restore it without letting the VM run, then take a core", "virsh restore --paused {file}"), do("a VM that runs: take a core with --memory-only", "virsh dump --memory-only --format elf VM vm.core")}},
	RawImage:        {"this looks like raw memory, which has no CPU state", TakeCore()},
	IsDmp:           {"this already is a Windows dump", []Step{say("open it in WinDbg as it is")}},
	OtherFormat:     {"this is another tool's file", with([]Step{readable}, TakeCore()...)},
	UnknownFormat:   {"this is not a memory core we know", with([]Step{readable}, TakeCore()...)},
	Packed:          {"this file is packed", []Step{do("let it be unpacked on the way", "coredrop convert -unpack {file} {dump}"), say("or unpack it, then open what is inside")}},
	ProcessCore:     {"this is the core of a process, not of a virtual machine's memory", with([]Step{say("a guest's memory is taken through QEMU or libvirt, not with gcore or by a crash of QEMU")}, TakeCore()...)},
	NotTheFile:      {"this is a message or a placeholder in place of the file", []Step{say("fetch the file itself; the first lines of this one say what went wrong")}},
	IsLog:           {"this is text, perhaps a kernel log, not a memory core", []Step{at(CLI, do("its race reports", "coredrop kcsan {file}")), at(Page, say("drop the log onto the page: its race reports are read"))}},
	IsSymbols:       {"this is a symbol file, not a memory core", []Step{at(Page, say("open it together with a core")), at(CLI, do("give it with the core", "coredrop convert -symbols {file} vm.core vm.dmp"))}},
	EmptyFile:       {"the file is empty", []Step{say("the dump may have failed for want of disk space: free some and take it again")}},
	SnapshotChoice:  {"the disk image has several snapshots with memory", []Step{at(Page, say("choose one above")), at(CLI, do("what they are called", "coredrop info {file}")), at(CLI, do("name one", "coredrop convert -snapshot NAME {file} {dump}"))}},
	DiskUnsupported: {"the memory of a snapshot cannot be read out of a disk image of this form", TakeSnapshot()},
	DamagedHeader:   {"the core's header is damaged", []Step{checkCopy, say("copy the file again")}},
	UnsupportedCPU:  {"the guest's processor is not supported", []Step{say("a Windows guest: take the dump inside it, Windows writes one itself when it is set up to"), do("a Linux guest, with its vmlinux", "drgn -s vmlinux -c {file}")}},
	NotWindows:      {"no Windows kernel was found in this core", []Step{whyNone, again, linux}},
	IsLinux:         {"this is a Linux guest", []Step{linux, do("to debug it", "crash vmlinux {file}"), do("or", "drgn -c {file}")}},
	IsWindows:       {"this is a Windows guest", []Step{at(CLI, do("make the crash dump", "coredrop convert {file} {dump}")), at(Page, say("press Convert: the dump opens in WinDbg"))}},
	EncryptedGuest:  {"guest memory seems encrypted (SEV or TDX)", []Step{say("the host cannot read it; take the dump inside the guest")}},

	InputUnreadable: {"the core could not be read", nil},
	InputStream:     {"a core is read here and there, not from its beginning to its end, so it cannot come from a pipe", []Step{do("put it into a file first, and name that", "cat > vm.core"), say("a kernel log may come from a pipe: coredrop kcsan -")}},
	NoPermission:    {"the file is readable by its owner only", []Step{do("QEMU writes cores with mode 0400; only reading is needed, never writing", "sudo chmod +r {file}")}},
	Truncated:       {"the file ends before the memory it announces", []Step{say("copy it again and compare sizes; the disk may have been full when the core was taken"), say("what is there is used; the missing pages are left out")}},
	FileChanged:     {"the file changed while it was being read", []Step{do("is the dump still being written? wait until this shows no job, then open the file again", "virsh domjobinfo VM")}},
	NoRanges:        {"the server gives whole files only, and a core is read here and there", []Step{at(CLI, say("download the file first, then give that")), at(CLI, say("a web server or object store that answers Range requests as they are asked is read in place"))}},
	DamagedCopy:     {"the file was damaged when it was copied", []Step{checkCopy, say("copy it again in binary mode, whole")}},
	PagingCore:      {"the core's headers name a part of its memory only", []Step{do("take it again without paging (QMP: \"paging\": false; no -p)", "dump-guest-memory vm.core")}},
	MemoryFiltered:  {"parts of the memory were left out when the core was written", []Step{do("to have all of it: makedumpfile's dump level 0 or 1", "makedumpfile -d 1")}},
	NotesDiffer:     {"the core has another number of CPU notes than of status notes", nil},
	NoQEMUNotes:     {"the core holds no QEMU CPU notes", with([]Step{say("which tool wrote this?"), readable}, TakeCore()...)},
	NoteDamaged:     {"the core's notes are damaged", []Step{say("the notes before the damage are used")}},
	PartialPage:     {"a page is in the core only in part; the rest is zero", nil},
	NoMemory:        {"the core holds no memory", TakeCore()},
	MemoryUnplaced:  {"the file does not say where a part of the memory was", []Step{say("memory that was plugged in has its address in libvirt's header only: virsh save writes it, migrate and savevm do not"), do("a VM that runs: a core has it all", "virsh dump --memory-only --format elf VM vm.core")}},

	KernelPagedState: {"page tables could not be walked from any CPU", []Step{whyNone, again}},
	IDTUnreadable:    {"the kernel could not be reached through any CPU's interrupt table", []Step{whyNone, again}},
	KernelNotFound:   {"no Windows kernel image was found", []Step{whyNone, again, linux}},
	NoCodeView:       {"the kernel image names no PDB", []Step{noSymbols}},
	ImageDamaged:     {"a part of the kernel image's header is missing or cannot be right", nil},
	ForeignKernel:    {"an image that looks like a kernel was passed over", nil},
	KDBGMissing:      {"no kernel debugger block was found", []Step{dropPDB, fetchPDB, whyNone}},
	KDBGUndecodable:  {"the kernel's debugger block could not be decoded", []Step{dropPDB, fetchPDB}},
	SymbolsDisagree:  {"the PDB and the search in memory disagree", []Step{say("the PDB's value was used; report both values")}},
	FwCfgIgnored:     {"the guest's dump header note was not used", nil},

	SymbolsOffline:    {"the kernel's PDB is needed and could not be fetched", []Step{dropPDB, fetchPDB, say("firewalls must allow msdl.microsoft.com and the blob host it redirects to (*.blob.core.windows.net)")}},
	SymbolsNotFound:   {"no symbol store or server has this PDB", []Step{at(CLI, say("an insider or private build? add a directory or server with -symbols")), at(Page, say("an insider or private build? drop its PDB onto the page"))}},
	SymbolsNotAPDB:    {"what the symbol store or server gave is not a PDB", []Step{say("a login or proxy page? open the URL in a browser; check the proxy settings")}},
	SymbolsMismatch:   {"this PDB belongs to another build", []Step{dropPDB, fetchPDB}},
	SymbolsCompressed: {"the symbol file is compressed (CAB)", []Step{do("unpack it, then give the .pdb", "cabextract {file}"), do("or, on Windows", "expand {file} NAME.pdb")}},
	SymbolsUnreadable: {"the symbol store could not be read", nil},
	SymbolPath:        {"a part of the symbol path was not used", []Step{say("directories, srv*STORE*URL, cache*DIR and https URLs are understood, separated by ;")}},
	PlainHTTP:         {"another machine is asked over https only, unless it is allowed by name", []Step{at(CLI, say("on a network you trust: -allow-http HOST")), at(CLI, say("this machine's own servers (127.0.0.1, localhost) need no leave"))}},
	PDBDamaged:        {"the PDB is damaged", []Step{say("fetch it again"), noSymbols}},
	SymbolMissing:     {"a symbol is not in the PDB", []Step{noSymbols}},
	ServerBusy:        {"the symbol server is busy", []Step{say("try again in a minute")}},

	VersionUnreadable:      {"the kernel's version block could not be read", nil},
	KUSDUnreadable:         {"the guest's shared page (KUSER_SHARED_DATA) could not be read", nil},
	BugcheckUnreadable:     {"the guest's bug check data could not be read", nil},
	ContextUnreadable:      {"a CPU's registers have no place in the dump", nil},
	ProcessorParked:        {"a processor is parked: its CPU was never started by Windows", nil},
	ProcessorsPositional:   {"processors were matched to CPUs by position", nil},
	ProcessesUnknownLayout: {"the process list could not be read on this build", []Step{which}},
	ModulesDamaged:         {"the module list ends early", nil},
	ThreadsIncomplete:      {"not all threads of the guest could be listed", nil},
	BitmapDump:             {"the memory has more runs than a full dump's header holds; a bitmap dump was written", nil},
	CompatLossy:            {"elf2dmp would lose or corrupt data of this core", []Step{at(CLI, do("leave -compat away", "coredrop convert {file} {dump}"))}},
	VerifyFailed:           {"reading the dump back did not give what was written", []Step{reportIt}},
	HeaderDTB:              {"the header's page-table base is not a CPU's", nil},
	NoRegisters:            {"no registers in this dump", []Step{say("memory, modules and processes can be looked at"), whyNone}},
	CrasherUnclear:         {"it is not clear which processor called KeBugCheckEx", []Step{at(CLI, do("to see what every CPU was executing when the core was taken", "coredrop convert -registers live {file} {dump}"))}},
	ClockImplausible:       {"a clock of the guest cannot be right", nil},
	GuestStarting:          {"the guest is still starting: no processes yet", []Step{again}},
	MemoryLeftOut:          {"memory beyond what a dump can hold was left out", nil},
	ReaderLimit:            {"some readers refuse a dump of this size", nil},

	NoKCSAN:          {"this kernel was built without KCSAN, or its reports are gone", nil},
	KallsymsMissing:  {"the kernel's symbol table was not found in memory", []Step{which}},
	UnknownLayout:    {"a kernel structure has an unknown layout", []Step{which}},
	LogDamaged:       {"the kernel log is damaged", nil},
	NewerKernel:      {"this kernel is newer than any that was measured", []Step{say("what is shown was found by its contents; compare it with the kernel's own log where it matters")}},
	NoDebugInfo:      {"the file has no debugging information (DWARF)", []Step{say("give the vmlinux of the kernel's build, or the one of the distribution's debug package")}},
	DebugMismatch:    {"the debugging information belongs to another build and was not used", []Step{say("its build ID must be the kernel's: look for the debug package of exactly this release")}},
	DebugDamaged:     {"the debugging information is damaged", []Step{say("copy the file again and compare checksums")}},
	DebugTooLarge:    {"the debugging information has a part that is too large to be read", []Step{say("a kernel built with link-time optimisation may have all of its code in one part: addr2line reads it")}},
	LinuxUnreachable: {"the Linux kernel could not be reached", []Step{say("give the guest -device vmcoreinfo where it supports it, and take the core once more"), whyNone}},

	OutputFailed:     {"the output could not be written", []Step{at(CLI, say("nothing was left behind; free space or choose another place"))}},
	OutputExists:     {"the output exists, and it is no dump", []Step{at(CLI, say("give another name, or -f to replace it"))}},
	OutputTerminal:   {"a dump is not written to a terminal", []Step{at(CLI, do("send it on through a pipe", "coredrop convert {file} - | gzip > {dump}.gz"))}},
	StoreDenied:      {"the object store refuses it to these credentials", []Step{at(CLI, do("which credentials are used? the environment's come first, then the profile's, then the machine's role", "env | grep ^AWS_; aws sts get-caller-identity")), at(CLI, say("docs/fleet.md lists the rights that each command needs"))}},
	CopiedHere:       {"the object store copied nothing itself: all of it went through this machine", nil},
	StoreUnguarded:   {"the object store knows no conditional writes", []Step{at(CLI, say("let no two runs write the same dump there at once: the last one would have it"))}},
	UnpackSpace:      {"there is no room to unpack the file", []Step{at(CLI, say("nothing was left behind; give the dump a place on a disk with more room: the file is unpacked beside it"))}},
	UnpackedInMemory: {"the unpacked file takes up memory, not room on a disk", []Step{at(CLI, say("give the dump a place on a disk, or set TMPDIR to one"))}},
	BrowserSave:      {"the browser could not store the dump", []Step{at(Page, say("use a browser with a save picker")), at(Page, do("or the command line", "coredrop convert {file} {dump}"))}},
	InsecureContext:  {"opened over plain http: working offline and the save picker are off", []Step{at(Page, say("use https or localhost"))}},
	NeedsWhole:       {"this needs the whole program, which the page has not fetched", []Step{at(Page, say("open the file again while the page can reach its server"))}},
	Cancelled:        {"cancelled; nothing was saved or sent", nil},
	Busy:             {"another core is being worked on", []Step{say("wait for it, or cancel it first")}},
	BadOption:        {"an option has a value that is not allowed", nil},
	Internal:         {"something broke in the tool itself; nothing left this machine", []Step{reportIt}},
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
