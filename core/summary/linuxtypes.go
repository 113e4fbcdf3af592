package summary

// Linux is what was found of a Linux kernel.
type Linux struct {
	Release     string       `json:"release"`
	Banner      string       `json:"banner"`
	KASLROffset string       `json:"kaslr_offset"`
	PhysBase    string       `json:"phys_base"`
	Panic       string       `json:"panic"` // why it stopped, "" where it did not panic or that is not known
	Troubles    []Trouble    `json:"troubles"`
	Debug       []DebugFile  `json:"debug"` // in use for source lines
	KCSAN       *KCSAN       `json:"kcsan,omitempty"`
	Detail      *LinuxDetail `json:"detail,omitempty"` // null: the kernel was not looked into
}

// Trouble is one thing that went wrong, as the log tells it: panic, oops, lockup,
// stall, hung-task or warning; the first ones are the causes.
type Trouble struct {
	Kind    string  `json:"kind"`
	Text    string  `json:"text"`    // the log's line
	Where   string  `json:"where"`   // the function that it names, "" none
	Seconds float64 `json:"seconds"` // since boot
	Caller  string  `json:"caller"`  // "T42" a task, "C3" a CPU
}

// DebugFile is debugging information that belongs to the core: of the kernel, or
// of one of its modules. BytesRead is how much of the file was read.
type DebugFile struct {
	Name      string `json:"name"`
	BuildID   string `json:"build_id"`
	Module    string `json:"module"`
	BytesRead int64  `json:"bytes_read"`
}

// LinuxDetail is what was found of a Linux guest beyond its identity.
type LinuxDetail struct {
	VMCoreInfo  string `json:"vmcoreinfo"`   // where it was found: "note", "memory", "" nowhere
	BuildID     string `json:"build_id"`     // in hexadecimal, "" unknown
	Symbols     int    `json:"symbols"`      // in the kernel's own table
	SymbolsFrom string `json:"symbols_from"` // "keys" of vmcoreinfo, "scan" of memory, "" none
	LogRecords  int    `json:"log_records"`

	Modules    []Module  `json:"modules"`
	Tasks      []Process `json:"tasks"`
	TasksWhole bool      `json:"tasks_whole"` // false: the list is broken, and both its ends are shown

	// Commands work on this core: crash, and drgn where it can.
	Commands []string `json:"commands"`

	KCSAN *KCSANDetail `json:"kcsan" jsonschema:"nullable"` // null: built without it
}

// KCSANDetail is the sanitizer's own data: where it was found and what it holds.
type KCSANDetail struct {
	Version         string            `json:"version"` // first release of this generation of report.c
	Enabled         bool              `json:"enabled"`
	Verbose         bool              `json:"verbose"`
	ValueChangeOnly bool              `json:"value_change_only"`
	FoundBy         map[string]string `json:"found_by"` // object: "symbol" or "code"
	Slots           int               `json:"slots"`
	RateLimitSlots  int               `json:"rate_limit_slots"`
	RateLimitUsed   int               `json:"rate_limit_used"`
	Counters        []KCSANCounter    `json:"counters"`
	Watchpoints     []KCSANWatchpoint `json:"watchpoints"` // those that are not free
}

// KCSANCounter is one of kcsan_counters.
type KCSANCounter struct {
	Name  string `json:"name"`
	Value int64  `json:"value"`
}

// KCSANWatchpoint is a watchpoint in use; a consumed one has no address any more.
type KCSANWatchpoint struct {
	Index   int    `json:"index"`
	State   string `json:"state"` // "armed" or "consumed"
	Address string `json:"address"`
	Size    uint64 `json:"size"`
	Write   bool   `json:"write"`
}
