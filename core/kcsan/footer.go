package kcsan

import "fmt"

// A Footer is the machine and the printing task as dump_stack_print_info
// (lib/dump_stack.c) shows them.
type Footer struct {
	CPU  int
	UID  uint32 // printed since 6.12
	PID  int
	Comm string
	// CommUncut: this kernel prints names longer than 20 bytes whole.
	CommUncut bool

	KdumpLoaded bool   // a crash kernel is loaded
	Taint       string // print_tainted(): "Not tainted", or "Tainted: " and one column a flag

	Release string // utsname release, "6.1.192-kcsan-b"
	Build   string // utsname version up to its first blank, "#1"
	// Tail is the rest of the line with its leading blank: the distributor's
	// package name (LINUX_PACKAGE_ID; an empty one leaves the blank), the
	// preemption model, the build ID.
	Tail string

	// Taints spells the flags out, "[N]=TEST"; printed since 6.12 when there
	// are any.
	Taints string
	// Hardware is the DMI name of the machine, "" without one.
	Hardware string
	// More are further lines, as printed: "Workqueue: …", "Stopper: …".
	More []string
}

// commMax is the precision that dump_stack_print_info prints a name with, and
// commUncut the longest name of a kernel that prints a worker with its queue,
// "kworker/u64:12+events_unbound" (wq_worker_comm's buffer).
const (
	commMax   = 20
	commUncut = 64
)

// Beginnings of footer lines.
const (
	reportedBy     = "Reported by Kernel Concurrency Sanitizer on:"
	hardwarePrefix = "Hardware name: "
	taintPrefix    = "Tainted: "
	notTainted     = "Not tainted"
	kdumpLoaded    = "Kdump: loaded "
)

// lines returns the footer of version v.
func (f *Footer) lines(v Version) []string {
	feat := v.Features()
	uid, kdump := "", ""
	if feat.FooterUID {
		uid = fmt.Sprintf(" UID: %d", f.UID)
	}
	if f.KdumpLoaded {
		kdump = kdumpLoaded
	}
	comm := f.Comm
	if len(comm) > commMax && !f.CommUncut {
		comm = comm[:commMax]
	}
	out := []string{fmt.Sprintf("CPU: %d%s PID: %d Comm: %s %s%s %s %s%s",
		f.CPU, uid, f.PID, comm, kdump, f.Taint, f.Release, f.Build, f.Tail)}
	if feat.FooterTaints && f.Taints != "" {
		out = append(out, taintPrefix+f.Taints)
	}
	if f.Hardware != "" {
		out = append(out, hardwarePrefix+f.Hardware)
	}
	return append(out, f.More...)
}
