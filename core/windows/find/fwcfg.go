package find

import (
	"iter"

	"coredrop/core/dump"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// fwcfgNoteName is the note in which virtio-win's FwCfg driver leaves a dump
// header, whose first bug check parameter is the address of a decoded copy of the
// debugger block. Source: QEMU include/qemu/win_dump_defs.h; virtio-win fwcfg64.
const fwcfgNoteName = "VMCOREINFO"

// fwcfgNote is what the guest's dump header claims. It is as old as the
// driver's start, and the guest could have written anything.
type fwcfgNote struct {
	dtb        uint64
	moduleList mem.VA
	copy       mem.VA // of the debugger block, decoded
	kdbg       mem.VA // the block itself
}

// parseFwCfg reads the note; false: it is not a 64-bit dump header.
func parseFwCfg(n machine.Note) (fwcfgNote, bool) {
	f, h := dump.FormOf(n.Desc), n.Desc
	if n.Name != fwcfgNoteName || n.Type != 0 || f != dump.Form64 || f.MachineImageType.Get(h) != pe.MachineAMD64 {
		return fwcfgNote{}, false
	}
	return fwcfgNote{
		dtb: f.DirectoryTableBase.Get(h), moduleList: mem.VA(f.PsLoadedModuleList.Get(h)),
		copy: mem.VA(f.BugCheckParameters[0].Get(h)), kdbg: mem.VA(f.KdDebuggerDataBlock.Get(h)),
	}, true
}

// fwcfgNotes lists the notes of a machine that are dump headers.
func fwcfgNotes(m *machine.Machine) (out []fwcfgNote) {
	for _, n := range m.Guest {
		if note, ok := parseFwCfg(n); ok {
			out = append(out, note)
		}
	}
	return out
}

// fwcfgRoots is the page-table base of the guest's own header; the kernel's
// base in the decoded copy becomes a hint.
func fwcfgRoots(f *finder) iter.Seq[root] {
	return func(yield func(root) bool) {
		for _, n := range f.notes {
			for _, mode := range f.modes() {
				if n.dtb&mode.Root == 0 {
					continue
				}
				s := paging.New(f.m.Mem, n.dtb, mode)
				if base, clear, ok := windows.InClear(s, n.copy); ok && clear {
					f.hints = append(f.hints, base)
				}
				if !yield(root{n.dtb, mode, windows.Root{Way: windows.WayFwCfg, CPU: -1}}) {
					return
				}
			}
		}
	}
}

// compareFwCfg warns about notes that do not fit the kernel that was found.
func (f *finder) compareFwCfg(k *windows.Kernel) {
	for _, n := range f.notes {
		switch {
		case n.kdbg != k.KDBG.VA:
			k.Warn(fault.FwCfgIgnored, "the guest's dump header note was not used: it names the debugger block at %v, the kernel has it at %v", n.kdbg, k.KDBG.VA)
		case n.moduleList != k.KDBG.ModuleList():
			k.Warn(fault.FwCfgIgnored, "the guest's dump header note was not used: it names the module list at %v, the kernel has it at %v", n.moduleList, k.KDBG.ModuleList())
		case !windows.SharesPage(k.Space, n.dtb):
			k.Warn(fault.FwCfgIgnored, "the guest's dump header note was not used: its page-table base %#x does not work", n.dtb)
		}
	}
}
