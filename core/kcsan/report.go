package kcsan

// A Report is one race, with everything that its text is made from and nothing
// else. [Report.Lines] and [Report.Text] print it, [Parse] reads it back.
type Report struct {
	Version Version

	// Other is the thread that ran into the watchpoint, the kernel's
	// other_info. It is nil for a race at unknown origin.
	Other *Thread
	// Own is the thread that had set the watchpoint up and prints.
	Own Thread

	// Values is the change of the value while the watchpoint was up; nil when
	// it is not known. Versions before 5.14 do not print it.
	Values *Values

	Footer Footer
}

// A Thread is one side of a race: its access and how it got there.
type Thread struct {
	Access
	Trace Trace
	// Verbose is printed by kernels with CONFIG_KCSAN_VERBOSE. It is nil
	// otherwise and when the thread's task is not known (R13).
	Verbose *Verbose
}

// Values is what the watching thread read before and after its delay.
type Values struct {
	Old, New uint64
	Mask     uint64 // the bits the access is about; 0 means all of them
}

// A ValueChange is the kernel's enum kcsan_value_change: what is known of the
// value when the report is made.
type ValueChange uint8

// The three answers, with the kernel's numbers.
const (
	ValueMaybe ValueChange = iota // not observed to change
	ValueFalse                    // never report
	ValueTrue                     // observed to change, or always to be assumed
)

// String returns the kernel's word for it.
func (c ValueChange) String() string {
	switch c {
	case ValueMaybe:
		return "maybe"
	case ValueFalse:
		return "false"
	case ValueTrue:
		return "true"
	}
	return "invalid"
}

// types returns the OR of the types of the known accesses (R2).
func (r *Report) types() AccessType {
	t := r.Own.Type
	if r.Other != nil {
		t |= r.Other.Type
	}
	return t
}

// nameable fails with a *[TypeError] when the version has no name for one of
// the accesses.
func (r *Report) nameable() error {
	if r.Other != nil {
		if _, err := r.Version.KindName(r.Other.Type); err != nil {
			return err
		}
	}
	_, err := r.Version.KindName(r.Own.Type)
	return err
}
