package machine_test

import (
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
)

// TestDoubtIsTheRefusal: where nothing was found and the registers did not show the
// architecture, that is said, and the machine is called what they show.
func TestDoubtIsTheRefusal(t *testing.T) {
	paged := machine.CPU{State: cpu.Of(cpu.X64, cpu.Values{cpu.CR0: 0x80000011})}
	reset := machine.CPU{State: cpu.Of(cpu.X64, cpu.Values{cpu.CR0: 0x60000010})}
	nothing, cancelled := fault.New(fault.KernelNotFound, ""), fault.New(fault.Cancelled, "")
	for _, c := range []struct {
		name string
		cpus []machine.CPU
		err  error
		code fault.Code
		arch *cpu.Arch
	}{
		{"32 bits", []machine.CPU{reset, paged}, nothing, fault.UnsupportedCPU, cpu.X86},
		{"firmware", []machine.CPU{reset, {}}, nothing, fault.UnsupportedCPU, nil},
		{"no CPUs", nil, nothing, fault.UnsupportedCPU, nil},
		{"another error", []machine.CPU{paged}, cancelled, fault.Cancelled, cpu.X64},
	} {
		m := &machine.Machine{Arch: cpu.X64, CPUs: c.cpus, Doubt: fault.New(fault.UnsupportedCPU, "")}
		if err := m.Doubted(c.err); fault.As(err).Code != c.code || m.Arch != c.arch || m.Doubt.Err != nil {
			t.Errorf("%s: %v, %s", c.name, err, m.Arch)
		}
	}
	m := &machine.Machine{Arch: cpu.X64}
	if err := m.Doubted(nothing); err != error(nothing) || m.Arch != cpu.X64 {
		t.Errorf("without a doubt: %v, %s", err, m.Arch)
	}
}
