package find

import (
	"errors"
	"fmt"
	"strings"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// matchProcessors finds the CPU of each processor: by the control region's
// address, by the descriptor tables that the region names, and at last by
// position among those that neither way can tell, with a warning. A CPU that
// does not run Windows at all is nobody's.
func (f *finder) matchProcessors(k *windows.Kernel) {
	m := matcher{f: f, k: k, taken: make([]bool, len(f.m.CPUs)), tables: map[*windows.Processor]descriptors{}}
	for i := range k.Processors {
		m.tables[&k.Processors[i]] = descriptorsOf(k, &k.Processors[i])
	}
	named := func(x *cpu.State, p *windows.Processor) bool { return f.p.region(x) == p.KPCR }
	m.match(func(x *cpu.State, p *windows.Processor) bool { return named(x, p) && m.usesTables(x, p) })
	m.match(named)
	m.match(func(x *cpu.State, p *windows.Processor) bool { return f.p.region(x) == 0 && m.usesTables(x, p) })
	m.byPosition()
	k.Modes = make([]windows.Mode, len(f.m.CPUs))
	for c, v := range f.m.CPUs {
		if k.Modes[c] = f.strangerMode(k, v.State); m.taken[c] {
			k.Modes[c] = windowsMode(v.State)
		}
	}
	m.warn()
}

type matcher struct {
	f          *finder
	k          *windows.Kernel
	taken      []bool // by CPU
	positional []string
	tables     map[*windows.Processor]descriptors
}

func (m *matcher) match(is func(x *cpu.State, p *windows.Processor) bool) {
	for i := range m.k.Processors {
		p := &m.k.Processors[i]
		for c, v := range m.f.m.CPUs {
			if p.CPU < 0 && p.KPCR != 0 && !m.taken[c] && v.State != nil && is(v.State, p) && m.runs(v.State, p) {
				p.CPU, m.taken[c] = c, true
			}
		}
	}
}

// runs reports whether a CPU can be executing Windows on a processor: its own
// page tables, those for user mode too, map the processor's control region where
// Windows has it. A hypervisor or the secure kernel may leave Windows' address
// of it in a register. Where the registers or the tables are not in the core,
// nothing speaks against it.
func (m *matcher) runs(x *cpu.State, p *windows.Processor) bool {
	if !x.System() {
		return true
	}
	if !x.Paging() {
		return false
	}
	want, _, err := m.k.Space.Translate(p.KPCR)
	if err != nil {
		return true
	}
	got, _, err := paging.New(m.f.m.Mem, x.Root(), m.f.modeOf(x)).Translate(p.KPCR)
	return err == nil && got == want || errors.Is(err, mem.ErrHole)
}

// byPosition takes CPU n for processor n where nothing in the registers tells. A
// CPU whose control region is known and is not this one runs another.
func (m *matcher) byPosition() {
	for i := range m.k.Processors {
		p := &m.k.Processors[i]
		n := p.Number
		if p.CPU >= 0 || n >= len(m.taken) || m.taken[n] {
			continue
		}
		if x := m.f.m.CPUs[n].State; x != nil && m.f.p.region(x) == 0 && m.runs(x, p) {
			p.CPU, m.taken[n] = n, true
			m.positional = append(m.positional, fmt.Sprintf("CPU %d", n))
		}
	}
}

// modeWords says where a CPU that runs none of Windows' processors is.
var modeWords = map[windows.Mode]string{
	windows.ModeKernel: "in Windows, on no processor it lists", windows.ModeUser: "in Windows, on no processor it lists",
	windows.ModeHypervisor: "in the hypervisor", windows.ModeVTL1: "in VTL1", windows.ModeFirmware: "in firmware", windows.ModeSMM: "in SMM", windows.ModeReset: "in reset",
	windows.ModeUnknown: "not in Windows",
}

// warn tells of what has no counterpart.
func (m *matcher) warn() {
	if list := m.positional; len(list) > 0 {
		m.k.Warn(fault.ProcessorsPositional, "processors were matched to CPUs by position, as nothing in their registers tells: %s", nameSome(list))
	}
	var parked []string
	for _, p := range m.k.Processors {
		if p.CPU < 0 {
			parked = append(parked, fmt.Sprintf("processor %d", p.Number))
		}
	}
	for c, taken := range m.taken {
		if !taken {
			parked = append(parked, fmt.Sprintf("CPU %d (%s)", c, modeWords[m.k.Modes[c]]))
		}
	}
	if len(parked) > 0 && len(m.taken) > 0 { // of a core without CPUs warnNoRegisters tells
		m.k.Warn(fault.ProcessorParked, "parked, or not Windows': %s has no counterpart, and its registers are not in the dump", nameSome(parked))
	}
}

// nameSome joins the first names and counts the rest.
func nameSome(list []string) string {
	if n := len(list) - windows.MaxNamed; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:windows.MaxNamed], ", "), n)
	}
	return strings.Join(list, ", ")
}
