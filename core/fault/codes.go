package fault

// The codes. Input that is something else:
const (
	KdumpCompressed Code = "kdump-compressed"
	SavevmImage     Code = "savevm-image"
	RawImage        Code = "raw-image"
	IsDmp           Code = "is-dmp"
	OtherFormat     Code = "other-format"
	Packed          Code = "packed"
	ProcessCore     Code = "process-core"
	NotTheFile      Code = "not-the-file"
	IsLog           Code = "is-log"
	IsSymbols       Code = "is-symbols"
	UnknownFormat   Code = "unknown-format"
	EmptyFile       Code = "empty-file"
	SnapshotChoice  Code = "snapshot-choice"
	DiskUnsupported Code = "disk-unsupported"
	DamagedHeader   Code = "damaged-header"
	UnsupportedCPU  Code = "unsupported-cpu"
	NotWindows      Code = "not-windows"
	IsLinux         Code = "is-linux"
	IsWindows       Code = "is-windows"
	EncryptedGuest  Code = "encrypted-guest"
)

// Input that is incomplete or cannot be read:
const (
	InputUnreadable Code = "input-unreadable"
	InputStream     Code = "input-stream"
	NoPermission    Code = "no-permission"
	Truncated       Code = "truncated"
	FileChanged     Code = "file-changed"
	NoRanges        Code = "no-ranges"
	DamagedCopy     Code = "damaged-copy"
	PagingCore      Code = "paging-core"
	MemoryFiltered  Code = "memory-filtered"
	NotesDiffer     Code = "notes-differ"
	NoQEMUNotes     Code = "no-qemu-notes"
	NoteDamaged     Code = "note-damaged"
	PartialPage     Code = "partial-page"
	NoMemory        Code = "no-memory"
	MemoryUnplaced  Code = "memory-unplaced"
)

// The way to the kernel:
const (
	KernelPagedState Code = "kernel-paged-state"
	IDTUnreadable    Code = "idt-unreadable"
	KernelNotFound   Code = "kernel-not-found"
	NoCodeView       Code = "no-codeview"
	ImageDamaged     Code = "image-damaged"
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
	PlainHTTP         Code = "plain-http"
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
	ThreadsIncomplete      Code = "threads-incomplete"
	BitmapDump             Code = "bitmap-dump"
	CompatLossy            Code = "compat-lossy"
	VerifyFailed           Code = "verify-failed"
	HeaderDTB              Code = "header-dtb"
	NoRegisters            Code = "no-registers"
	CrasherUnclear         Code = "crasher-unclear"
	ClockImplausible       Code = "clock-implausible"
	GuestStarting          Code = "guest-starting"
	MemoryLeftOut          Code = "memory-left-out"
	ReaderLimit            Code = "reader-limit"
)

// Linux guests and race reports:
const (
	NoKCSAN          Code = "no-kcsan"
	KallsymsMissing  Code = "kallsyms-missing"
	UnknownLayout    Code = "unknown-layout"
	LogDamaged       Code = "log-damaged"
	LinuxUnreachable Code = "linux-unreachable"
	NewerKernel      Code = "newer-kernel"
	NoDebugInfo      Code = "no-debug-info"
	DebugMismatch    Code = "debug-mismatch"
	DebugDamaged     Code = "debug-damaged"
	DebugTooLarge    Code = "debug-too-large"
)

// The tool and its surroundings:
const (
	OutputFailed     Code = "output-failed"
	OutputExists     Code = "output-exists"
	OutputTerminal   Code = "output-terminal"
	StoreDenied      Code = "store-denied"
	CopiedHere       Code = "copied-here"
	StoreUnguarded   Code = "store-unguarded"
	UnpackSpace      Code = "unpack-space"
	UnpackedInMemory Code = "unpacked-in-memory"
	BrowserSave      Code = "browser-save"
	InsecureContext  Code = "insecure-context"
	NeedsWhole       Code = "needs-whole"
	Cancelled        Code = "cancelled"
	Busy             Code = "busy"
	BadOption        Code = "bad-option"
	Internal         Code = "internal"
)
