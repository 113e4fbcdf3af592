package synth

import (
	"encoding/binary"

	"coredrop/core/cpu"
)

// SavedCPU is the section of an x86 processor, of qemu-system-x86_64 (word 8) or
// qemu-system-i386 (4). What the state does not know is zero, or what a processor
// has after a reset.
func SavedCPU(i int, x *cpu.State, word int) SavedDevice {
	w := func(list ...uint64) (p []byte) {
		for _, v := range list {
			if word == 4 {
				p = be.AppendUint32(p, uint32(v))
			} else {
				p = be.AppendUint64(p, v)
			}
		}
		return p
	}
	half := func(list ...uint32) (p []byte) {
		for _, v := range list {
			p = be.AppendUint32(p, v)
		}
		return p
	}
	segment := func(r cpu.Reg) []byte {
		g := x.Segment(r)
		return append(append(half(g.Selector), w(g.Base)...), half(g.Limit, g.Flags)...)
	}
	vectors := 8
	if word == 8 {
		vectors = 16
	}
	var regs []uint64
	for _, r := range []cpu.Reg{cpu.RAX, cpu.RCX, cpu.RDX, cpu.RBX, cpu.RSP, cpu.RBP, cpu.RSI, cpu.RDI, cpu.R8, cpu.R9, cpu.R10, cpu.R11, cpu.R12, cpu.R13, cpu.R14, cpu.R15}[:vectors] {
		regs = append(regs, x.Get(r))
	}
	var segments, x87 []byte
	for _, g := range []cpu.Reg{cpu.ES, cpu.CS, cpu.SS, cpu.DS, cpu.FS, cpu.GS} {
		segments = append(segments, segment(g)...)
	}
	for k := range 8 { // of the file's registers, not of the stack's
		x87 = be.AppendUint16(be.AppendUint64(x87, 1<<63|uint64(k)), 0x3fff)
	}
	var xmm []byte
	for k := range vectors {
		xmm = be.AppendUint64(be.AppendUint64(xmm, uint64(0x1000+k)), uint64(0x2000+k))
	}
	one := func(name string, p []byte) SavedField { return SavedField{Name: name, Data: p} }
	d := SavedDevice{Name: "cpu", Instance: uint32(i), Version: 12, Fields: []SavedField{
		{"env.regs", len(regs), w(regs...)}, one("env.eip", w(x.Get(cpu.RIP))), one("env.eflags", w(x.Get(cpu.RFLAGS))), one("env.hflags", half(uint32(x.Get(cpu.CS))&3)),
		one("env.fpuc", []byte{0x03, 0x7f}), one("env.fpus_vmstate", []byte{3 << 3, 0}), one("env.fptag_vmstate", []byte{0, 0x18}), one("env.fpregs_format_vmstate", []byte{0, 0}),
		{"env.fpregs", 8, x87}, {"env.segs", 6, segments},
		one("env.ldt", segment(cpu.LDT)), one("env.tr", segment(cpu.TR)), one("env.gdt", segment(cpu.GDT)), one("env.idt", segment(cpu.IDT)),
		one("env.sysenter_cs", half(0x10)), one("env.sysenter_esp", w(0x11)), one("env.sysenter_eip", w(0x12)),
		one("env.cr[0]", w(x.Get(cpu.CR0))), one("env.cr[2]", w(x.Get(cpu.CR2))), one("env.cr[3]", w(x.Get(cpu.CR3))), one("env.cr[4]", w(x.Get(cpu.CR4))),
		{"env.dr", 8, w(0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xd5, 0xffff0ff0, 0x400)},
		one("env.a20_mask", half(0xffffffff)), one("env.mxcsr", half(0x1f80)), {"env.xmm_regs[0]", vectors, xmm},
	}, Sub: []SavedSub{{"cpu/poll_control_msr", []SavedField{one("env.poll_control_msr", make([]byte, 8))}}}}
	if word == 8 {
		efer := uint64(0xd01)
		if x.Segment(cpu.CS).Flags&(1<<21) == 0 && x.Get(cpu.CR4)&(1<<5) == 0 {
			efer = 0
		}
		for _, f := range []struct {
			name string
			v    uint64
		}{{"efer", efer}, {"star", 1}, {"lstar", 2}, {"cstar", 3}, {"fmask", 4}, {"kernelgsbase", x.Get(cpu.KernelGSBase)}} {
			d.Fields = append(d.Fields, one("env."+f.name, be.AppendUint64(nil, f.v)))
		}
	}
	d.Fields = append(d.Fields, one("env.smbase", half(0x30000)), one("env.pat", make([]byte, 8)))
	return d
}

// SavedClock is the section of the clock, whose memory has where RAM lies.
func SavedClock(below, above uint64) SavedDevice {
	cmos := make(image, 128)
	kib := uint64(0xffff)
	if below < 64<<20 {
		kib = below>>10 - 1024
	}
	cmos.u16(0x30, uint16(min(kib, 0xffff)))
	if below > 16<<20 {
		cmos.u16(0x34, uint16((below-16<<20)>>16))
	}
	cmos.u16(0x5b, uint16(above>>16))
	cmos[0x5d] = byte(above >> 32)
	return SavedDevice{Name: "mc146818rtc", Version: 3, Fields: []SavedField{{Name: "cmos_data", Data: cmos}, {Name: "cmos_index", Data: []byte{0}}, {Name: "offset", Data: make([]byte, 8)}}}
}

// SavedBridge is the section of q35's host bridge, with its registers of what is
// read below 1 MiB.
func SavedBridge(pam [7]byte) SavedDevice {
	config := make([]byte, 4+256+16)
	copy(config[4+0x90:], pam[:])
	return SavedDevice{Name: "0000:00:00.0/mch", Version: 1, Fields: []SavedField{{Name: "parent_obj", Data: config}, {Name: "unused", Data: []byte{0}}}}
}

// AllRAM are the bridge's registers of a machine that runs an operating system.
var AllRAM = [7]byte{0x30, 0x33, 0x33, 0x33, 0x33, 0x33, 0x33}

// SavedHead is libvirt's header with XML, the byte order's choice being the
// caller's, padded to a length.
func SavedHead(magic string, order binary.ByteOrder, version, format uint32, xml string, data int) []byte {
	p := make([]byte, 92+data)
	copy(p, magic)
	for i, v := range []uint32{version, uint32(data), 1, format, 0} {
		order.PutUint32(p[16+4*i:], v)
	}
	copy(p[92:], xml)
	return p
}

// SavedState is the same machine as a saved state: its loads as one block of memory
// from address 0 on, which is below 4 GiB.
func (e ELF) SavedState() SavedState {
	var size uint64
	for _, l := range e.Loads {
		size = max(size, uint64(l.PA)+uint64(len(l.Data)))
	}
	ram := make([]byte, (size+0xffff)&^0xffff)
	for _, l := range e.Loads {
		copy(ram[l.PA:], l.Data)
	}
	s := SavedState{Blocks: []SavedBlock{{"pc.ram", ram}}}
	s.Devices = append(s.Devices, SavedDevice{Name: "timer", Version: 2, Opaque: true, Fields: []SavedField{{Name: "", Data: make([]byte, 24)}}})
	for i, c := range e.CPUs {
		s.Devices = append(s.Devices, SavedDevice{Name: "cpu_common", Instance: uint32(i), Version: 1, Fields: []SavedField{{Name: "halted", Data: make([]byte, 4)}, {Name: "interrupt_request", Data: make([]byte, 4)}}},
			SavedCPU(i, c.State, 8))
	}
	s.Devices = append(s.Devices, SavedBridge(AllRAM), SavedClock(uint64(len(ram)), 0),
		SavedDevice{Name: "globalstate", Version: 1, Fields: []SavedField{{Name: "size", Data: []byte{0, 0, 0, 7}}, {Name: "runstate", Data: make([]byte, 100)}}})
	return s
}
