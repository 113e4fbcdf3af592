package savevm

import "coredrop/core/cpu"

// The front of an x86 processor's section, which is the same bytes in QEMU 7.2 and
// 10.0 and the same list from 2.4 on. A word is of 8 bytes in qemu-system-x86_64
// and of 4 in qemu-system-i386. Source: QEMU 10.0 target/i386/machine.c
// (vmstate_x86_cpu).
type frontX86 struct {
	cpu.Layout
	word  int
	flags int // where eflags is
	fpu   int // where the x87 registers are
}

const (
	x87Bytes  = 10
	x87Top    = 11 // bits 11 to 13 of the status word
	x87Count  = 8
	sysDebugs = 8
)

var frontsX86 = []frontX86{frontOf(8, 16), frontOf(4, 8)}

// frontOf lays out the front by the bytes of a word and the number of general
// registers.
func frontOf(word, general int) frontX86 {
	f := frontX86{word: word}
	f.BigEndian = true
	at := 0
	put := func(bytes int, regs ...cpu.Reg) {
		f.Fields = append(f.Fields, cpu.At(at, bytes, regs...)...)
		at += bytes * len(regs)
	}
	put(word, cpu.General[:general]...)
	f.flags = at + word
	put(word, cpu.RIP, cpu.RFLAGS)
	put(4, cpu.None) // hflags
	put(2, cpu.FCW, cpu.FSW, cpu.FTW, cpu.None)
	f.fpu = at
	at += x87Count * x87Bytes
	parts := cpu.SegmentParts{Selector: cpu.Field{Off: 0, Bytes: 4}, Base: cpu.Field{Off: 4, Bytes: uint8(word)},
		Limit: cpu.Field{Off: uint16(4 + word), Bytes: 4}, Flags: cpu.Field{Off: uint16(8 + word), Bytes: 4}}
	segments := []cpu.Reg{cpu.ES, cpu.CS, cpu.SS, cpu.DS, cpu.FS, cpu.GS, cpu.LDT, cpu.TR, cpu.GDT, cpu.IDT}
	f.Fields = append(f.Fields, cpu.Segments(at, 12+word, parts, segments...)...)
	at += (12 + word) * len(segments)
	put(4, cpu.SysenterCS)
	put(word, cpu.SysenterESP, cpu.SysenterEIP)
	put(word, cpu.CR0, cpu.CR2, cpu.CR3, cpu.CR4)
	put(word, cpu.DR0, cpu.DR1, cpu.DR2, cpu.DR3, cpu.None, cpu.None, cpu.DR6, cpu.DR7)
	put(4, cpu.None, cpu.MXCSR) // a20_mask
	vectors := general
	f.Fields = append(f.Fields, cpu.Each(at, 16, []cpu.Field{{Reg: 0, Off: 0, Bytes: 8}, {Reg: 1, Off: 8, Bytes: 8}}, cpu.Range(cpu.XMM0, vectors, 2)...)...)
	at += 16 * vectors
	if word == 8 {
		put(8, cpu.EFER, cpu.STAR, cpu.LSTAR, cpu.CSTAR, cpu.SFMASK, cpu.KernelGSBase)
	}
	f.Bytes = at
	return f
}

// x87 is where the registers of the x87 file are: register i of the file is
// ST((i - top) mod 8).
func (f *frontX86) x87(top int) cpu.Layout {
	regs := make([]cpu.Reg, x87Count)
	for i := range regs {
		regs[i] = cpu.ST0 + cpu.Reg(2*((i-top+x87Count)%x87Count))
	}
	return cpu.Layout{BigEndian: true, Fields: cpu.Each(f.fpu, x87Bytes, []cpu.Field{{Reg: 0, Off: 0, Bytes: 8}, {Reg: 1, Off: 8, Bytes: 2}}, regs...)}
}

// loadX86 takes the registers out of a section.
func loadX86(f *found, p []byte) *cpu.State {
	front := f.frontX86(p)
	if front == nil || len(p) < front.Bytes {
		return nil
	}
	arch := cpu.X64
	if front.word == 4 {
		arch = cpu.X86
	}
	s := cpu.New(arch)
	front.Load(s, p)
	fpu := front.x87(int(s.Get(cpu.FSW) >> x87Top & (x87Count - 1)))
	fpu.Load(s, p)
	return s
}

// frontX86 chooses the layout: by the length of a register where that is
// described, else by the flags, of which bit 1 is always set and bits 22 and up
// never.
func (f *found) frontX86(p []byte) *frontX86 {
	if f.described != nil {
		own, _ := f.described.places(0)
		regs, ok := own.named("env.regs", 0)
		for i := range frontsX86 {
			if ok && regs.off == 0 && regs.size == int64(frontsX86[i].word) {
				return &frontsX86[i]
			}
		}
		return nil
	}
	for i := range frontsX86 {
		front := &frontsX86[i]
		if len(p) < front.flags+front.word {
			continue
		}
		flags := be.Uint64(append(make([]byte, 8-front.word), p[front.flags:][:front.word]...))
		if flags&2 != 0 && flags>>22 == 0 {
			return front
		}
	}
	return nil
}
