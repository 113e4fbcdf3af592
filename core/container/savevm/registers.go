package savevm

import (
	"sort"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
)

// processor is how one architecture's `cpu` sections are read.
type processor struct {
	version func(v uint32) bool
	// load takes the registers out of a section's data; nil: they are not all there.
	load func(f *found, p []byte) *cpu.State
	// bytes of the data that are looked at.
	bytes int64
}

// The processors, by the version of their section: it is what tells them apart
// where there is no description. Source: QEMU 10.0 target/i386/machine.c,
// target/arm/machine.c.
var processors = []processor{
	{version: func(v uint32) bool { return v == 11 || v == 12 }, load: loadX86, bytes: 64 << 10},
	{version: func(v uint32) bool { return v >= 20 && v <= 22 }, load: loadARM64, bytes: 128 << 10},
}

// processor gives how a section's registers are read.
func (f *found) processor() *processor {
	for i := range processors {
		if f.name == deviceCPU && processors[i].version(f.version) {
			return &processors[i]
		}
	}
	return nil
}

// readCPUs takes the registers of all processors.
func (st *state) readCPUs() error {
	m := st.machine
	states := map[uint32]*cpu.State{}
	st.states = states
	last := uint32(0)
	incomplete := map[uint32]bool{}
	for i := range st.found {
		f := &st.found[i]
		how := f.processor()
		if how == nil || f.instance >= maxInstance || states[f.instance] != nil {
			continue
		}
		p, err := f.read(st.source, how.bytes)
		if err != nil {
			return err
		}
		s := how.load(f, p)
		if s == nil {
			incomplete[f.instance] = true
			continue
		}
		if m.Arch == nil {
			m.Arch = s.Arch
		} else if m.Arch != s.Arch {
			continue // a false head
		}
		states[f.instance] = s
		delete(incomplete, f.instance)
		last = max(last, f.instance)
	}
	if len(states) > 0 {
		for i := range last + 1 {
			m.CPUs = append(m.CPUs, machine.CPU{Index: int(i), State: states[i]})
		}
	}
	missing := int(last) + 1 - len(states)
	switch {
	case len(states) == 0 && len(incomplete) == 0:
		st.warn(fault.NoQEMUNotes, "the saved state holds no processor's registers: %s", st.whyNone())
	case len(states) == 0:
		st.warn(fault.NoQEMUNotes, "the registers of no processor could be read")
	case missing > 0 || len(incomplete) > 0:
		st.warn(fault.Truncated, "the registers of %s could not be read", count(max(missing, len(incomplete)), "processor", "processors"))
	}
	return nil
}

// whyNone says why there are no registers.
func (st *state) whyNone() string {
	if st.trouble == errCut {
		return "the file ends before them"
	}
	if st.trouble != nil {
		return "it is damaged in front of them"
	}
	return "none were found in it"
}

// device gives the first device of a name; nil: it is not there.
func (st *state) device(match func(name string) bool) *found {
	list := make([]*found, 0, 1)
	for i := range st.found {
		if match(st.found[i].name) {
			list = append(list, &st.found[i])
		}
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].instance < list[j].instance })
	if len(list) == 0 {
		return nil
	}
	return list[0]
}
