package summary

// KCSAN counts the race reports by their state, equal ones as often as they
// occur.
type KCSAN struct {
	Printed    int `json:"printed"`
	InFlight   int `json:"in_flight"`
	Pending    int `json:"pending"`
	Suppressed int `json:"suppressed"`
	Residue    int `json:"residue"`
}

// Report is one distinct race report. Text is what the kernel prints, from
// separator to separator without time stamps; for residue only what is left.
type Report struct {
	State string `json:"state"` // printed, in-flight, pending, suppressed, residue
	// Grade is whole (the kernel's own text) or retyped (one real report whose
	// text differs from the kernel's: Differences says in what).
	Grade       string   `json:"grade"`
	Differences []string `json:"differences"`

	Title          string    `json:"title"`
	SyzkallerTitle string    `json:"syzkaller_title"`
	Label          string    `json:"label"` // state, time and source in one line
	Text           string    `json:"text"`
	Count          int       `json:"count"`
	Times          []float64 `json:"times"`                       // seconds since boot, as far as the log has them
	Accesses       []Access  `json:"accesses"`                    // as printed: the watcher's last
	Value          *Value    `json:"value" jsonschema:"nullable"` // null: not known, or not printed
	Sources        []string  `json:"sources"`                     // log, cpu 1, other_infos[46], report_times[3]
	Rule           string    `json:"rule"`                        // why a suppressed one is
	Unknown        []string  `json:"unknown"`                     // what of the text is not known
}

// Access is one side of a race.
type Access struct {
	Kind      string  `json:"kind"` // read, write, read-write; no writes, no accesses of an assertion
	Marked    bool    `json:"marked"`
	Scoped    bool    `json:"scoped"`
	Assert    bool    `json:"assert"`
	Reordered bool    `json:"reordered"`
	Address   string  `json:"address"`
	Size      uint64  `json:"size"`                      // in bytes
	By        string  `json:"by"`                        // task, interrupt
	PID       *int    `json:"pid" jsonschema:"nullable"` // null: an interrupt
	CPU       int     `json:"cpu"`
	Stack     []Frame `json:"stack"`
	Object    *Object `json:"object" jsonschema:"nullable"` // null: a log's, or not known
}

// Object is what lies at an address of a Linux guest: a variable, an object of a slab
// cache, a task's stack. Base and Size are those of the object, "" and 0 where they are
// not known. Type and Member are the kernel's own words, "" where they are not certain.
// Now: the report is older than the core, and such memory changes hands.
type Object struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Base    string `json:"base"`
	Offset  uint64 `json:"offset"`
	Size    uint64 `json:"size"`
	Type    string `json:"type"`
	Member  string `json:"member"`
	Module  string `json:"module"`
	CPU     *int   `json:"cpu" jsonschema:"nullable"` // of per-CPU memory
	PID     *int   `json:"pid" jsonschema:"nullable"` // of a task or its stack
	Comm    string `json:"comm"`
	Users   int    `json:"users"` // caches that share the slab cache
	Certain bool   `json:"certain"`
	Now     bool   `json:"now"`
	Text    string `json:"text"` // all of it in words
}

// Value is how the value changed while it was watched; Mask is "" where all its
// bits count.
type Value struct {
	Old  string `json:"old"`
	New  string `json:"new"`
	Mask string `json:"mask"`
}

// Fragment is a piece of a report whose rest is missing, with the reason.
type Fragment struct {
	Title  string `json:"title"`
	Reason string `json:"reason"`
	Text   string `json:"text"`
	Count  int    `json:"count"`
}
