package races

import (
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
)

// layout is where the members of kernel/kcsan/report.c's structures are, x86-64.
// Up to 5.15 struct access_info has no ip: everything behind it moves by 8.
type layout struct {
	entry    int // sizeof(struct other_info)
	stack    int // stack_entries[64]; also sizeof(struct access_info)
	numStack int // num_stack_entries
	task     int
	explicit bool // access_info.ip
}

var (
	layoutSeed = layout{entry: 560, stack: 32, numStack: 544, task: 552}
	layoutIP   = layout{entry: 568, stack: 40, numStack: 552, task: 560, explicit: true}
)

// struct access_info.
const (
	aiPtr  = 0
	aiSize = 8
	aiType = 16
	aiPID  = 20
	aiCPU  = 24
	aiIP   = 32
)

// struct report_time, and how many there are at most: a page of them.
const (
	rtEntry  = 24
	rtTime   = 0
	rtFrame1 = 8
	rtFrame2 = 16
	maxTimes = 4096 / rtEntry
)

// The functions of kernel/kcsan that refer to its data, by what they are called
// from 5.8 to 6.12.
var (
	reportFunctions = []string{"kcsan_report_set_info", "kcsan_report_known_origin", "kcsan_report_unknown_origin",
		"kcsan_report", "print_report", "prepare_report_consumer", "prepare_report_producer", "prepare_report", "release_report"}
	limitFunctions = []string{"print_report", "rate_limit_report"}
	watchFunctions = []string{"kcsan_setup_watchpoint", "kcsan_found_watchpoint"}
)

// imulSize looks for the multiplication of an index by sizeof(struct
// other_info): imul $size, r/m, r (opcode 69 /r id).
func imulSize(code []linux.Code) (layout, bool) {
	for _, c := range code {
		for i := 0; i+6 <= len(c.Bytes); i++ {
			if c.Bytes[i] != 0x69 || c.Bytes[i+1] < 0xc0 {
				continue
			}
			switch n := uint32(c.Bytes[i+2]) | uint32(c.Bytes[i+3])<<8 | uint32(c.Bytes[i+4])<<16 | uint32(c.Bytes[i+5])<<24; int(n) {
			case layoutSeed.entry:
				return layoutSeed, true
			case layoutIP.entry:
				return layoutIP, true
			}
		}
	}
	return layout{}, false
}

// The texts of the kernel by which generations of report.c are told apart (Linux
// kernel/kcsan/report.c, 5.8 to 6.12).
const (
	textValueChange = "value changed: 0x"
	textScoped      = "assert no accesses (scoped)"
	textReordered   = "assert no accesses (reordered)"
	textReadWrite   = "read-write (marked)"
	textUID         = "UID: %u PID"
	textPanic       = "%s: panic_on_warn set"
	textFooter      = "%sCPU: %d "
)

// detectVersion tells the generation from the kernel's own texts and from the
// layout; the release is only asked where they leave a choice.
func detectVersion(k *linux.Kernel, l layout) (kcsan.Version, []string) {
	found := k.FindStrings(textValueChange, textReordered, textScoped, textReadWrite, textUID, textPanic, textFooter)
	has := func(i int) bool { return found[i] != "" }
	v := kcsan.Reference
	switch {
	case has(1) && has(4):
		v = kcsan.V6_12
	case has(1) && has(5):
		v = kcsan.V6_1
	case has(1):
		v = kcsan.V5_17
	case l.explicit && has(2):
		v = kcsan.V5_16
	case has(0):
		v = kcsan.V5_14
	case has(3):
		v = kcsan.V5_10
	case has(2):
		v = kcsan.Reference
	default: // no text was found: the pages may be missing
		v, _ = kcsan.VersionOf(k.Release)
	}
	return v, found
}

// footerFormat is the kernel's format of the footer's first line, as found: the
// part behind the version's number.
func footerFormat(found []string) (string, bool) {
	_, tail, ok := strings.Cut(found[6], "%.*s")
	return strings.TrimSuffix(tail, "\n"), ok
}
