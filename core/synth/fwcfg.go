package synth

import (
	"coredrop/core/machine"
	"coredrop/core/mem"
)

// fwCfg makes the note of virtio-win's FwCfg driver: a dump header whose first
// bug check parameter is the address of a decoded debugger block.
func (g *Editor) fwCfg() {
	kind, t := g.opts.FwCfg, g.Truth
	if kind == FwCfgNone {
		return
	}
	copied := append(image{}, t.KDBGPlain...)
	if kind == FwCfgOtherBase {
		copied.u64(0x18, kernelBase+0x1000000)
	}
	t.FwCfgKDBG = g.Alloc(len(copied))
	g.Write(t.FwCfgKDBG, copied)

	h := make(image, 8192)
	for i := 0; i < len(h); i += 4 {
		h.text(i, "PAGE")
	}
	h.text(4, "DU64")
	h.u32(0x08, 0xf)
	h.u32(0x0c, t.Build)
	h.u64(0x10, uint64(t.SystemDTB))
	h.u64(0x18, t.PfnDatabase)
	h.u64(0x20, t.ModuleList)
	h.u64(0x28, t.ProcessHead)
	h.u32(0x30, 0x8664)
	h.u32(0x34, uint32(len(g.opts.CPUs)))
	h.u32(0x38, 0)
	h.u64(0x40, t.FwCfgKDBG)
	for i := 0x48; i < 0x60; i += 8 {
		h.u64(i, 0)
	}
	h.u64(0x80, t.KDBG)
	h.u32(0x88, 1)
	h.u64(0x90, uint64(len(g.ram.data)/mem.PageSize))
	h.u64(0x98, uint64(ramBase/mem.PageSize))
	h.u64(0xa0, uint64(len(g.ram.data)/mem.PageSize))
	h.u32(0xf98, 1)
	switch kind {
	case FwCfgWrongDTB:
		h.u64(0x10, uint64(ramBase)+0x7777000)
	case FwCfgWrongKDBG:
		h.u64(0x40, 0xffff8d0cbadc0000)
	case FwCfgNoHeader:
		copy(h, "no dump header here")
	case FwCfgShort:
		h = h[:0x80]
	}
	g.notes = append(g.notes, machine.Note{Name: "VMCOREINFO", Desc: h})
}
