package races

import (
	"encoding/hex"
	"slices"
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/linux"
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
func (c *recovery) footers(found []logtext.Found) {
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
	known := c.printing(f, own)
	f.Release = c.k.Release
	f.Build, _, _ = strings.Cut(c.k.Version, " ")
	known = c.kdump(f) && known
	known = c.taint(f) && known
	known = c.tail(f) && known
	if at, ok := c.k.Symbols.Lookup("dump_stack_arch_desc_str"); ok {
		f.Hardware, _ = c.k.String(at, 128)
	} else if c.foot != nil {
		f.Hardware = c.foot.Hardware
	} else {
		known = false
	}
	known = c.doing(f, own) && known
	if c.s.Version.Features().FooterUID && !c.user(f, own) {
		out.Unknown = append(out.Unknown, unknownUID)
	}
	if !known {
		out.Unknown = append(out.Unknown, unknownFooter)
	}
}

// printing fills in who prints: the CPU's current task or, where it is not known,
// the one that the access names.
func (c *recovery) printing(f *kcsan.Footer, own *consumer) bool {
	if own.hasTask {
		f.PID, f.Comm = own.task.PID, own.task.Comm
		return true
	}
	if !own.exact || own.access.PID <= 0 {
		return false
	}
	f.PID = own.access.PID
	t, ok := c.k.TaskByPID(f.PID)
	if ok {
		own.task, f.Comm = t, t.Comm
	}
	return ok
}

// user fills in the effective user ID, by the printing task's credentials, else
// from a report of the same task.
func (c *recovery) user(f *kcsan.Footer, own *consumer) bool {
	if uid, ok := c.k.EUID(own.task); ok {
		f.UID = uid
		return true
	}
	for i := len(c.log) - 1; i >= 0; i-- {
		if r := c.log[i].Report; r != nil && r.Footer.PID == f.PID && r.Footer.Comm == f.Comm {
			f.UID = r.Footer.UID
			return true
		}
	}
	return false
}

// kdump tells whether a crash kernel is loaded (kexec_crash_loaded).
func (c *recovery) kdump(f *kcsan.Footer) bool {
	if at, ok := c.k.Symbols.Lookup("kexec_crash_image"); ok {
		image, ok := c.k.Uint64(at)
		f.KdumpLoaded = image != 0
		return ok
	}
	if c.foot != nil {
		f.KdumpLoaded = c.foot.KdumpLoaded
		return true
	}
	// With data symbols and without this one the kernel cannot load any.
	_, ok := c.k.Symbols.Lookup("tainted_mask")
	return ok
}

// doing adds the line of a thread that works for others: a kworker's. A stopper's
// (migration/N) is not known.
func (c *recovery) doing(f *kcsan.Footer, own *consumer) bool {
	w, busy, ok := c.k.Work(own.frames)
	if busy && ok {
		line := "Workqueue: " + w.Queue + " " + kcsan.NewFrame(c.s.symbols, w.Func).Func()
		if w.Desc != "" {
			line += " (" + w.Desc + ")"
		}
		f.More = append(f.More, line)
	}
	stopper := slices.ContainsFunc(own.frames, func(f linux.Frame) bool { return c.s.function(f) == "cpu_stopper_thread" })
	return busy == ok && !stopper
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

// tail is what follows the version's number, as the kernel's own format string
// says: the preemption model (6.15 and later), LINUX_PACKAGE_ID, which Debian
// sets and other kernels do not have, and the build ID (STACKTRACE_BUILD_ID; an
// empty text without it). A text that the format asks for and that is not one of
// these is not known.
func (c *recovery) tail(f *kcsan.Footer) bool {
	if c.foot != nil {
		f.Tail = c.foot.Tail
		return true
	}
	if !c.s.hasTail {
		return false
	}
	tail, known := c.s.footer, true
	fill := func(verb, text string) { tail = strings.Replace(tail, verb, text, 1) }
	if strings.Contains(tail, "%20phN") {
		id := c.k.Info.BuildID()
		if b, err := hex.DecodeString(id); err != nil || len(b) == 0 {
			return false
		}
		fill("%20phN", id)
	}
	if c.s.callsPreempt() {
		model, ok := c.s.preemptModel()
		fill("%s", model)
		known = known && ok
	}
	words := strings.Fields(c.k.Version)
	if i := slices.Index(words, "Debian"); i >= 0 && i+1 < len(words) {
		// 5.10's package name brings its own blank.
		id := "Debian " + words[i+1]
		if strings.HasPrefix(tail, "%s") {
			id = " " + id
		}
		fill("%s", id)
		fill("%s", "") // no build ID
	} else {
		fill("%s", "")
		fill("%s", "")
	}
	f.Tail = tail
	return known && !strings.Contains(tail, "%")
}
