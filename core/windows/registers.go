package windows

// Registers says whose registers a processor's context record holds in a dump.
type Registers string

// The kinds of registers.
const (
	RegistersLive   Registers = "live"   // of its CPU, as the core has them
	RegistersRecord Registers = "record" // as Windows itself saved them
	RegistersNone   Registers = "none"   // nobody's: a minimal record where a place is known
)

// RegistersOf decides what a debugger is shown for the processor with an index
// in Processors. Windows' own records of a bug check are kept: the crasher's,
// and those of the processors that it made wait. With live, a CPU's registers
// are preferred wherever there is a CPU.
func (k *Kernel) RegistersOf(i int, live bool) Registers {
	p := &k.Processors[i]
	runs := p.CPU >= 0 && p.CPU < len(k.Machine.CPUs) && k.Machine.CPUs[p.CPU].State != nil
	switch {
	case runs && (live || !k.Recorded(i)):
		return RegistersLive
	case p.Record.Valid():
		return RegistersRecord
	}
	return RegistersNone
}

// recorded reports whether the record of a processor is Windows' own of this bug
// check.
func (k *Kernel) Recorded(i int) bool {
	p := &k.Processors[i]
	if k.Opens.Choice != ChoiceRecord || !p.Record.Valid() {
		return false
	}
	return i == k.Opens.Index || p.CPU < 0 || Frozen(k.Machine.CPUs[p.CPU].State)
}

// WhyRegisters says in words why RegistersOf answers as it does.
func (k *Kernel) WhyRegisters(i int, live bool) string {
	p := &k.Processors[i]
	switch k.RegistersOf(i, live) {
	case RegistersRecord:
		switch {
		case i == k.Opens.Index && k.Opens.Choice == ChoiceRecord:
			return "saved by KeBugCheckEx"
		case k.Opens.Choice == ChoiceRecord:
			return "saved when the bug check stopped it"
		}
		return "saved by Windows at an earlier time: no CPU of the core runs it"
	case RegistersLive:
		switch {
		case live && k.Recorded(i):
			return "live registers were asked for"
		case k.BugCheck == nil:
			return "the guest was alive"
		}
		return "Windows saved no record of this bug check"
	}
	if p.Err != nil {
		return "no place for its registers is known"
	}
	return "no CPU of the core runs it"
}
