package linuxtest

import (
	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/synth"
)

// PlainRelease is the release of Plain's guest.
const PlainRelease = "6.8.0-plain"

// Plain is a finished Linux guest without KCSAN that panicked: two CPUs, one of
// them reached from a module, tasks, a module, a log.
func Plain() (*Guest, *machine.Machine) {
	g := New(Config{Release: PlainRelease, Note: true, DataSymbols: true, Table: OrderLast, Plain: true})
	body := append([]byte{0x55, 0x48, 0x89, 0xe5}, make([]byte, 60)...) // push %rbp; mov %rsp,%rbp
	panicAt := g.Func("panic", body)
	caller := g.Func("sysrq_handle_crash", body)
	idle := g.Func("default_idle", body)
	tasks := g.Tasks("init", "kthreadd", "bash", "sleep")
	mods := g.Modules(ModuleForms()[1], [6]byte{}, "virtio_net")
	offsets := g.Data("__per_cpu_offset", 8*8)
	g.Symbol("current_task", 'A', 0x40)
	g.Log([]Record{
		{Seq: 1, Time: 1e9, Level: 5, Caller: 1, Text: "Linux version " + PlainRelease},
		{Seq: 2, Time: 7e9, Level: 1, Caller: 3, Text: "BUG: kernel NULL pointer dereference, address: 0000000000000000"},
		{Seq: 3, Time: 7e9, Level: 4, Caller: 3, Text: "RIP: 0010:sysrq_handle_crash+0x8/0x50"},
		{Seq: 4, Time: 7250e6, Level: 0, Caller: 3, Text: "Kernel panic - not syncing: Fatal exception"},
	})
	stack := g.Heap(4096)
	frame := func(at, next, ret uint64) { g.Poke64(at, next); g.Poke64(at+8, ret) }
	frame(stack+0x100, stack+0x200, caller+0x10)
	frame(stack+0x200, 0, mods[0].Function+0x20)
	for n, x := range []cpu.Values{
		{cpu.RIP: idle + 8, cpu.RSP: stack + 0x800, cpu.RBP: stack + 0x900},
		{cpu.RIP: panicAt + 0x20, cpu.RSP: stack + 0x80, cpu.RBP: stack + 0x100},
	} {
		base := g.CPU(x)
		g.Poke64(base+0x40, tasks[2+n])
		g.Poke64(offsets+uint64(8*n), base)
	}
	return g, g.Machine()
}

// PlainCores are cores of Plain's guest: as QEMU and virsh write it, and as a copy
// of /proc/vmcore, which has no control registers.
func PlainCores() map[string][]byte {
	g, m := Plain()
	loads := []synth.Load{{Data: g.Memory()}}
	return map[string][]byte{
		"qemu":            synth.WriteELF(synth.ELF{Loads: loads, CPUs: m.CPUs, Guest: m.Guest}),
		"no vmcoreinfo":   synth.WriteELF(synth.ELF{Loads: loads, CPUs: m.CPUs}),
		"vmcore":          synth.WriteELF(synth.ELF{Loads: loads, CPUs: m.CPUs, Guest: m.Guest, NoState: true}),
		"vmcore, no note": synth.WriteELF(synth.ELF{Loads: loads, CPUs: m.CPUs, NoState: true}),
	}
}
