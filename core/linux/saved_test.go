package linux

import (
	"context"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/linux/linuxtest"
)

// TestSaved: preserved registers come back through the pushes of the functions
// inside, as far as they were executed, and all of them at an interrupt.
func TestSaved(t *testing.T) {
	g := linuxtest.New(linuxtest.Config{Release: "6.1.0", DataSymbols: true})
	// endbr64; push %rbp; mov %rsp,%rbp; push %r12; push %rbx; nops
	leaf := g.Func("leaf", append([]byte{0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x41, 0x54, 0x53}, make([]byte, 40)...))
	caller := g.Func("caller", append([]byte{0x55, 0x48, 0x89, 0xe5}, make([]byte, 40)...))
	s := g.Heap(4096)
	// leaf's frame: saved rbp at +0x100, r12 and rbx below it.
	g.Poke64(s+0x100, s+0x200)
	g.Poke64(s+0x108, caller+0x10)
	g.Poke64(s+0xf8, 0x1212)
	g.Poke64(s+0xf0, 0xbbbb)
	g.Poke64(s+0x200, 0)
	g.Poke64(s+0x208, caller+0x20)
	x := cpu.Values{cpu.RIP: leaf + 30, cpu.RSP: s + 0xe0, cpu.RBP: s + 0x100, cpu.RBX: 1, cpu.R12: 2, cpu.R13: 13, cpu.RDI: 7}
	g.CPU(x)
	x[cpu.RIP] = leaf + 10 // r12 is pushed, rbx not yet
	g.CPU(x)
	k, err := Locate(context.Background(), g.Machine(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for cpu, rbx := range []uint64{0xbbbb, 1} {
		frames := k.Unwind(cpu)
		if len(frames) < 2 {
			t.Fatalf("%+v", frames)
		}
		r := k.Saved(cpu, frames, 1)
		for reg, want := range map[Reg]uint64{3: rbx, 12: 0x1212, 13: 13, RegBP: s + 0x200, RegSP: s + 0x110} {
			if v, ok := r.Get(reg); !ok || v != want {
				t.Errorf("cpu %d: register %d is %#x %v, want %#x", cpu, reg, v, ok, want)
			}
		}
		if _, ok := r.Get(RegDI); ok {
			t.Errorf("cpu %d: a register that a call may change is known", cpu)
		}
		if v, ok := k.Saved(cpu, frames, 0).Get(RegDI); !ok || v != 7 {
			t.Errorf("cpu %d: its own register is %#x %v", cpu, v, ok)
		}
	}
}

// TestKept finds where a function keeps its arguments.
func TestKept(t *testing.T) {
	var r Registers
	for reg, v := range map[Reg]uint64{12: 0xffff888000001000, 3: 8, RegSP: 0x1000, RegBP: 0x2000, 14: 0xffffffff00000005} {
		r.set(reg, v)
	}
	read := func(at uint64) (uint64, bool) { return at, at == 0x1018 || at == 0x2000-0x38 }
	out := Kept([]byte{
		0x49, 0x89, 0xfc, // mov %rdi,%r12
		0x48, 0x89, 0xf3, // mov %rsi,%rbx
		0x89, 0x54, 0x24, 0x18, // mov %edx,0x18(%rsp)
		0x48, 0x89, 0x4d, 0xc8, // mov %rcx,-0x38(%rbp)
		0x41, 0x89, 0xd6, // mov %edx,%r14d: the second, not asked any more
		0x90, 0x90, 0x90, 0x90,
	}, r, read)
	for reg, want := range map[Reg]uint64{RegDI: 0xffff888000001000, RegSI: 8, RegDX: 0x1018, RegCX: 0x2000 - 0x38} {
		if v, ok := out.Get(reg); !ok || v != want {
			t.Errorf("argument %d is %#x %v, want %#x", reg, v, ok, want)
		}
	}
	if out := Kept([]byte{0x89, 0xf8, 0x90, 0x90, 0x90, 0x90}, r, read); out.known != 0 { // mov %edi,%eax
		t.Errorf("%+v", out)
	}
}
