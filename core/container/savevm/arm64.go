package savevm

import (
	"strconv"

	"coredrop/core/cpu"
)

// System registers have a number made of their encoding. Source: QEMU 10.0
// target/arm/kvm-consts.h (CP_REG_ARM64, CP_REG_ARM64_SYSREG).
const armSystem = 0x6030_0000_0013_0000

// sysreg is the number of a system register.
func sysreg(op0, op1, crn, crm, op2 uint64) uint64 {
	return armSystem | op0<<14 | op1<<11 | crn<<7 | crm<<3 | op2
}

var armSystems = map[uint64]cpu.Reg{
	sysreg(3, 0, 1, 0, 0):  cpu.SCTLR,
	sysreg(3, 0, 1, 0, 2):  cpu.CPACR,
	sysreg(3, 0, 2, 0, 0):  cpu.TTBR0,
	sysreg(3, 0, 2, 0, 1):  cpu.TTBR1,
	sysreg(3, 0, 2, 0, 2):  cpu.TCR,
	sysreg(3, 0, 5, 2, 0):  cpu.ESR,
	sysreg(3, 0, 6, 0, 0):  cpu.FAR,
	sysreg(3, 0, 10, 2, 0): cpu.MAIR,
	sysreg(3, 0, 12, 0, 0): cpu.VBAR,
	sysreg(3, 0, 13, 0, 1): cpu.CONTEXTIDR,
	sysreg(3, 0, 13, 0, 4): cpu.TPIDR,
	sysreg(3, 3, 4, 4, 0):  cpu.FPCR,
	sysreg(3, 3, 4, 4, 1):  cpu.FPSR,
	sysreg(3, 3, 13, 0, 2): cpu.TPIDREL0,
	sysreg(3, 3, 13, 0, 3): cpu.TPIDRROEL0,
}

// armFields are the fields of the section that hold registers, in the order of
// their elements. Source: QEMU 10.0 target/arm/machine.c (vmstate_arm_cpu).
var armFields = []struct {
	name string
	regs []cpu.Reg
}{
	{"env.xregs", append(cpu.Range(cpu.X0, 31, 1), cpu.ArmSP)},
	{"env.pc", []cpu.Reg{cpu.ArmPC}},
	{"cpsr", []cpu.Reg{cpu.PSTATE}},
	{"env.elr_el", []cpu.Reg{cpu.None, cpu.ELR}},
	{"env.sp_el", []cpu.Reg{cpu.SPEL0, cpu.SPEL1}},
	{"env.banked_spsr", []cpu.Reg{cpu.SPSR}},
}

const (
	armVectors = 32
	// maxSystems bounds the list of system registers; some 300 are usual.
	maxSystems = 1 << 14
)

// loadARM64 takes the registers out of a section, which must be described.
func loadARM64(f *found, p []byte) *cpu.State {
	if f.described == nil {
		return nil
	}
	own, below := f.described.places(0)
	s := cpu.New(cpu.ARM64)
	for _, g := range armFields {
		at, ok := own.named(g.name, 0)
		if !ok || !at.load(s, p, g.regs...) {
			return nil
		}
	}
	index, _ := own.named("cpreg_vmstate_indexes", 0)
	value, _ := own.named("cpreg_vmstate_values", 0)
	if index.size == 8 && value.size == 8 {
		for i := range min(index.count, value.count, maxSystems) {
			at, of := index.off+8*i, value.off+8*i
			if max(at, of)+8 > int64(len(p)) {
				return nil
			}
			if r, ok := armSystems[be.Uint64(p[at:])]; ok {
				s.Set(r, be.Uint64(p[of:]))
			}
		}
	}
	// The current level's stack pointer is in env.xregs only.
	if level := s.Get(cpu.PSTATE) >> 2 & 3; s.Get(cpu.PSTATE)&1 != 0 && level == 1 {
		s.Set(cpu.SPEL1, s.Get(cpu.ArmSP))
	} else if s.Get(cpu.PSTATE)&1 == 0 {
		s.Set(cpu.SPEL0, s.Get(cpu.ArmSP))
	}
	loadVFP(s, below["cpu/vfp"], p)
	return s
}

// loadVFP takes the SIMD registers.
func loadVFP(s *cpu.State, l layout, p []byte) {
	for i := range armVectors {
		at, ok := l["env.vfp.zregs["+strconv.Itoa(i)+"].d"]
		if !ok || at.count < 2 {
			return
		}
		at.load(s, p, cpu.V0+cpu.Reg(2*i), cpu.V0+cpu.Reg(2*i)+1)
	}
}

// load takes the elements of a field as registers; false: they are not all there.
func (f span) load(s *cpu.State, p []byte, regs ...cpu.Reg) bool {
	if f.size < 1 || f.size > 8 || f.count < int64(len(regs)) || f.off+f.size*int64(len(regs)) > int64(len(p)) {
		return false
	}
	l := cpu.Layout{BigEndian: true, Fields: cpu.At(0, int(f.size), regs...)}
	l.Load(s, p[f.off:])
	return true
}
