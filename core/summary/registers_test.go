package summary

import (
	"fmt"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/machine"
)

// TestRegistersThatAreKnown: the summary lists those and no others, and calls what
// is not known neither zero nor the kernel.
func TestRegistersThatAreKnown(t *testing.T) {
	const kernel = 0xffffa78000000000
	general := cpu.Values{cpu.RAX: 0, cpu.RIP: 0x401000, cpu.RSP: 0x7ff0, cpu.CS: 0x33, cpu.GSBase: 0x7f00, cpu.OrigAX: 59, cpu.XMM0: 1}
	full := cpu.Values{cpu.RIP: kernel, cpu.RSP: kernel + 8, cpu.CS: 0x10, cpu.CR0: 0x80050033, cpu.CR3: 0x1aa000, cpu.IDTBase: kernel, cpu.KernelGSBase: kernel}
	for _, c := range []struct {
		name  string
		state *cpu.State
		want  string
	}{
		{"none", nil, "unknown none pc= sp= root= kpcr="},
		{"nothing", cpu.New(cpu.X64), "unknown none pc= sp= root= kpcr="},
		{"general", cpu.Of(cpu.X64, general), "user live pc=0x401000 sp=0x7ff0 root= kpcr=0x0 rax=0x0 rsp=0x7ff0 rip=0x401000 cs=0x33 gs_base=0x7f00"},
		{"system", cpu.Of(cpu.X64, full), "kernel live pc=0xffffa78000000000 sp=0xffffa78000000008 root=0x1aa000 kpcr=0xffffa78000000000 rsp=0xffffa78000000008 rip=0xffffa78000000000 cs=0x10 cr0=0x80050033 cr3=0x1aa000 idtr=0xffffa78000000000 kernel_gs_base=0xffffa78000000000"},
		{"another processor", cpu.Of(cpu.ARM64, cpu.Values{cpu.X0: 1, cpu.ArmPC: kernel, cpu.ArmSP: 2, cpu.PSTATE: 0x3c5, cpu.TTBR1: 0x1000}),
			"kernel live pc=0xffffa78000000000 sp=0x2 root=0x1000 kpcr=0x0 x0=0x1 sp=0x2 pc=0xffffa78000000000 pstate=0x3c5 ttbr1_el1=0x1000"},
	} {
		s := New()
		s.machine(&machine.Machine{CPUs: []machine.CPU{{State: c.state}}}, 0)
		got := s.CPUs[0]
		text := []string{fmt.Sprintf("%s %s pc=%s sp=%s root=%s kpcr=%s", got.Mode, got.RegistersFrom, got.PC, got.SP, got.Root, got.KPCR)}
		for _, r := range got.Registers {
			text = append(text, r.Name+"="+r.Value)
		}
		if line := strings.Join(text, " "); line != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, line, c.want)
		}
	}
}
