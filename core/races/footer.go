package races

import (
	"encoding/hex"
	"slices"
	"strings"

	"coredrop/core/kcsan"
)

// taints are the kernel's flags in the order of their bits (kernel/panic.c,
// taint_flags): the letter when set, when not, and since 6.12 the name.
var taints = []struct {
	set, clear byte
	name       string
}{
	{'P', 'G', "PROPRIETARY_MODULE"}, {'F', ' ', "FORCED_MODULE"}, {'S', ' ', "CPU_OUT_OF_SPEC"},
	{'R', ' ', "FORCED_RMMOD"}, {'M', ' ', "MACHINE_CHECK"}, {'B', ' ', "BAD_PAGE"}, {'U', ' ', "USER"},
	{'D', ' ', "DIE"}, {'A', ' ', "OVERRIDDEN_ACPI_TABLE"}, {'W', ' ', "WARN"}, {'C', ' ', "CRAP"},
	{'I', ' ', "FIRMWARE_WORKAROUND"}, {'O', ' ', "OOT_MODULE"}, {'E', ' ', "UNSIGNED_MODULE"},
	{'L', ' ', "SOFTLOCKUP"}, {'K', ' ', "LIVEPATCH"}, {'X', ' ', "AUX"}, {'T', ' ', "RANDSTRUCT"},
	{'N', ' ', "TEST"}, {'J', ' ', "FWCTL"},
}

// taintCount is how many flags a release has: TEST came with 6.0, FWCTL with
// 6.15.
func taintCount(major, minor int) int {
	switch {
	case major > 6 || major == 6 && minor >= 15:
		return 20
	case major == 6:
		return 19
	}
	return 18
}

// footers remembers the newest footer that the log holds.
func (c *recovery) footers(found []kcsan.Found) {
	for i := range found {
		if found[i].Report != nil {
			f := found[i].Report.Footer
			c.foot = &f
		}
	}
}

// footer describes machine and printing task as dump_stack_print_info will. What
// memory does not tell is copied from the log's newest report, and said to be
// unknown when there is none.
func (c *recovery) footer(rep *kcsan.Report, own *consumer, out *Report) {
	f := &rep.Footer
	f.CPU = own.cpu
	known := own.hasTask
	f.PID, f.Comm = own.task.PID, own.task.Comm
	f.Release = c.k.Release
	f.Build, _, _ = strings.Cut(c.k.Version, " ")
	known = c.taint(f) && known
	known = c.tail(f) && known
	if at, ok := c.k.Symbols.Lookup("dump_stack_arch_desc_str"); ok {
		f.Hardware, _ = c.k.String(at, 128)
	} else if c.foot != nil {
		f.Hardware = c.foot.Hardware
	} else {
		known = false
	}
	if c.s.Version.Features().FooterUID {
		uid := -1
		for i := range c.log {
			if r := c.log[i].Report; r != nil && r.Footer.PID == f.PID && r.Footer.Comm == f.Comm {
				uid = int(r.Footer.UID)
			}
		}
		if uid >= 0 {
			f.UID = uint32(uid)
		} else {
			out.Unknown = append(out.Unknown, unknownUID)
		}
	}
	if !known {
		out.Unknown = append(out.Unknown, unknownFooter)
	}
}

// taint spells the kernel's taint flags.
func (c *recovery) taint(f *kcsan.Footer) bool {
	at, ok := c.k.Symbols.Lookup("tainted_mask")
	mask, ok2 := c.k.Uint64(at)
	if !ok || !ok2 {
		if c.foot != nil {
			f.Taint, f.Taints = c.foot.Taint, c.foot.Taints
		}
		return c.foot != nil
	}
	if mask == 0 {
		f.Taint = "Not tainted"
		return true
	}
	var letters []byte
	var names []string
	for i, t := range taints[:taintCount(c.k.MinorRelease())] {
		if mask>>i&1 != 0 {
			letters = append(letters, t.set)
			names = append(names, "["+string(t.set)+"]="+t.name)
		} else {
			letters = append(letters, t.clear)
		}
	}
	f.Taint = "Tainted: " + string(letters)
	if c.s.Version.Features().FooterTaints {
		f.Taints = strings.Join(names, ", ")
	}
	return true
}

// tail is what follows the version's number: LINUX_PACKAGE_ID, which Debian sets
// and vanilla kernels do not have, and the build ID (STACKTRACE_BUILD_ID), as the
// kernel's own format string says.
func (c *recovery) tail(f *kcsan.Footer) bool {
	if c.foot != nil {
		f.Tail = c.foot.Tail
		return true
	}
	if !c.s.hasTail {
		return false
	}
	tail := c.s.footer
	if strings.Contains(tail, "%20phN") {
		id := c.k.Info.BuildID()
		if b, err := hex.DecodeString(id); err != nil || len(b) == 0 {
			return false
		}
		tail = strings.Replace(tail, "%20phN", id, 1)
	}
	words := strings.Fields(c.k.Version)
	if i := slices.Index(words, "Debian"); i >= 0 && i+1 < len(words) {
		// 5.10's package name brings its own blank.
		id := "Debian " + words[i+1]
		if strings.HasPrefix(tail, "%s") {
			id = " " + id
		}
		tail = strings.Replace(tail, "%s", id, 1)
	}
	f.Tail = strings.ReplaceAll(tail, "%s", "")
	return true
}
