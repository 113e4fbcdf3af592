package windows

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"

	"coredrop/core/dump"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
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
	if n.Name != fwcfgNoteName || n.Type != 0 || f != dump.Form64 || f.MachineImageType.Get(h) != machineAMD64 {
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
				var head [kdHeaderSize + 8]byte
				if s.ReadAt(head[:], n.copy) == nil && u32(head[:], kdTag) == kdTagValue {
					f.hints = append(f.hints, mem.VA(u64(head[:], kdKernBase)))
				}
				if !yield(root{n.dtb, mode, Root{WayFwCfg, -1}}) {
					return
				}
			}
		}
	}
}

// fwcfgBlock gives the debugger block by the guest's note, after checks: the
// decoded copy must be a block, and what lies at the block's own address must be
// the same block, in clear or encoded with one key for all of its words. The
// bytes are those in memory, decoded by that key: the copy may be stale.
func fwcfgBlock(s *paging.Space, n fwcfgNote) (KDBG, error) {
	plain, err := readBlock(s, n.copy)
	if err != nil {
		return KDBG{}, fmt.Errorf("the copy at %v: %w", n.copy, err)
	}
	raw := make([]byte, len(plain))
	if err := s.ReadAt(raw, n.kdbg); err != nil {
		return KDBG{}, fmt.Errorf("the block at %v: %w", n.kdbg, err)
	}
	k := KDBG{VA: n.kdbg, Size: uint32(len(raw)), FoundBy: FoundByFwCfg}
	if u32(raw, kdTag) == kdTagValue {
		if u32(raw, kdSize) != k.Size || !bytes.Equal(raw[kdKernBase:kdKernBase+8], plain[kdKernBase:kdKernBase+8]) {
			return KDBG{}, fmt.Errorf("the block at %v is not the one of the copy", n.kdbg)
		}
		k.Plain = raw
		return k, nil
	}
	// Behind the list entry, which a driver may have changed since, the two
	// must agree word by word.
	same := func(key key) bool {
		for i := kdTag; i < len(raw); i += 8 {
			if key.word(binary.LittleEndian.Uint64(raw[i:])) != u64(plain, i) {
				return false
			}
		}
		return true
	}
	e := u64(raw, kdTag)
	for r := range 64 {
		try := key{r, bits.ReverseBytes64(bits.RotateLeft64(e, r)) ^ u64(plain, kdTag)}
		if same(try) {
			k.Encoded, k.Plain = true, try.decode(raw)
			return k, nil
		}
	}
	return KDBG{}, fmt.Errorf("the block at %v does not decode to the copy at %v", n.kdbg, n.copy)
}

// readBlock reads a debugger block that is in clear.
func readBlock(s *paging.Space, va mem.VA) ([]byte, error) {
	var head [kdHeaderSize]byte
	if err := s.ReadAt(head[:], va); err != nil {
		return nil, err
	}
	size := u32(head[:], kdSize)
	if u32(head[:], kdTag) != kdTagValue || !sane(size) {
		return nil, fmt.Errorf("tag %#x, size %#x", u32(head[:], kdTag), size)
	}
	p := make([]byte, size)
	return p, s.ReadAt(p, va)
}

// compareFwCfg warns about notes that do not fit the kernel that was found.
func (f *finder) compareFwCfg(k *Kernel) {
	for _, n := range f.notes {
		switch {
		case n.kdbg != k.KDBG.VA:
			k.warn(fault.FwCfgIgnored, "the guest's dump header note was not used: it names the debugger block at %v, the kernel has it at %v", n.kdbg, k.KDBG.VA)
		case n.moduleList != k.KDBG.ModuleList():
			k.warn(fault.FwCfgIgnored, "the guest's dump header note was not used: it names the module list at %v, the kernel has it at %v", n.moduleList, k.KDBG.ModuleList())
		case !rootWorks(k.Space, n.dtb):
			k.warn(fault.FwCfgIgnored, "the guest's dump header note was not used: its page-table base %#x does not work", n.dtb)
		}
	}
}
