package identify

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"coredrop/core/fault"
)

func u16(p []byte) uint16 { return binary.LittleEndian.Uint16(p) }
func u32(p []byte) uint32 { return binary.LittleEndian.Uint32(p) }
func u64(p []byte) uint64 { return binary.LittleEndian.Uint64(p) }

// The fields of the ELF headers that are looked at, by class: System V ABI,
// chapters 4 and 5.
type elfLayout struct {
	header, phoff, shoff, phsize, phnum, shsize, shnum int
	ptOffset, ptPaddr, ptFilesz                        int
	shOffset                                           int
	word                                               int // bytes of an offset
}

var (
	elf32 = elfLayout{header: 52, phoff: 0x1c, shoff: 0x20, phsize: 0x2a, phnum: 0x2c, shsize: 0x2e, shnum: 0x30, ptOffset: 4, ptPaddr: 12, ptFilesz: 16, shOffset: 16, word: 4}
	elf64 = elfLayout{header: 64, phoff: 0x20, shoff: 0x28, phsize: 0x36, phnum: 0x38, shsize: 0x3a, shnum: 0x3c, ptOffset: 8, ptPaddr: 24, ptFilesz: 32, shOffset: 24, word: 8}
)

func (l *elfLayout) at(p []byte, off int) uint64 {
	if l.word == 4 {
		return uint64(u32(p[off:]))
	}
	return u64(p[off:])
}

const (
	elfTypeAt    = 0x10
	elfMachineAt = 0x12
	elfCore      = 4
	ptLoad       = 1
	ptNote       = 4
	shtNote      = 7

	machine386 = 3
	machineX64 = 62

	maxElfHeaders = 256 // that are looked at here; process cores have more loads
)

// Machines that an ELF header can name (System V ABI, gABI registry).
var elfMachines = map[uint16]string{machine386: "32-bit x86", machineX64: "x86-64", 183: "ARM64", 40: "32-bit ARM",
	243: "RISC-V", 20: "PowerPC", 21: "PowerPC", 22: "S/390", 8: "MIPS", 258: "LoongArch"}

// elf names what an ELF file is: whose core, or no core at all.
func elf(v *view) *File {
	if !bytes.HasPrefix(v.head, []byte("\x7fELF")) {
		return nil
	}
	broken := func(format string, args ...any) *File {
		return &File{Kind: Kind{ID: "elf-damaged", Class: Damaged, Noun: "an ELF file whose header is damaged" + fmt.Sprintf(format, args...), Code: fault.DamagedHeader}}
	}
	if len(v.head) < elf32.header {
		return broken(": it ends after %d bytes", len(v.head))
	}
	var l *elfLayout
	switch {
	case v.head[4] == 1:
		l = &elf32
	case v.head[4] == 2:
		l = &elf64
	default:
		return broken(": class %d", v.head[4])
	}
	if len(v.head) < l.header {
		return broken(": it ends after %d bytes", len(v.head))
	}
	switch v.head[5] {
	case 1:
	case 2:
		name, ok := elfMachines[binary.BigEndian.Uint16(v.head[elfMachineAt:])]
		if !ok {
			name = "an unknown processor"
		}
		return &File{Arch: name, Kind: Kind{ID: "elf-big-endian", Class: Other, Noun: "a big-endian ELF file of " + name, Note: "which no Windows guest is", Code: fault.UnsupportedCPU}}
	default:
		return broken(": byte order %d", v.head[5])
	}
	f := &File{}
	machine := u16(v.head[elfMachineAt:])
	if name, ok := elfMachines[machine]; ok {
		f.Arch = name
	} else {
		f.Arch = fmt.Sprintf("of an unknown kind (%d)", machine)
	}
	switch kind := u16(v.head[elfTypeAt:]); kind {
	case elfCore:
	case 1:
		f.Kind = other("elf-object", "an ELF object file or kernel module")
		return f
	case 2:
		f.Kind = other("elf-program", "an ELF program or a kernel (vmlinux)")
		return f
	case 3:
		f.Kind = other("elf-library", "an ELF program or shared library")
		return f
	default:
		return broken(": type %d", kind)
	}
	s := survey(v, l)
	switch {
	case s.xen:
		f.Kind = Kind{ID: "xen-core", Class: Core, Noun: "a core of a Xen domain (xl dump-core)", Note: "which is not read", Code: fault.OtherFormat, Steps: xenSteps}
	case s.virtualBox:
		f.Kind = Kind{ID: "virtualbox-core", Class: Core, Noun: "a core of VirtualBox (dumpvmcore)", Note: "which is not read yet", Code: fault.OtherFormat,
			Steps: []fault.Step{say("VirtualBox's debugger and volatility read it")}}
	case s.process && s.physical == 0:
		f.Kind = processCore(s.program)
	default:
		f.Kind = Kind{ID: "elf-core", Class: Core, Noun: "an ELF memory core of a guest on " + f.Arch}
		if s.qemu {
			f.ID, f.Noun = "qemu-core", "an ELF memory core of QEMU, "+f.Arch
		}
		f.Guest = s.guest
		if machine != machineX64 && machine != machine386 {
			f.Code, f.Note = fault.UnsupportedCPU, "and such guests are not read"
		}
	}
	return f
}

// processCore names the core of a program. That of QEMU itself holds the
// guest's memory, but nothing says where in it.
func processCore(program string) Kind {
	k := Kind{ID: "process-core", Class: Other, Noun: "the core of a process", Note: "not of a virtual machine's memory", Code: fault.ProcessCore}
	if program == "" {
		return k
	}
	k.Noun = fmt.Sprintf("the core of the process %q", program)
	lower := strings.ToLower(program)
	for _, vmm := range []string{"qemu", "kvm", "cloud-hyperviso", "firecracker", "crosvm", "VBoxHeadless", "vmware-vmx"} {
		if strings.Contains(lower, strings.ToLower(vmm)) {
			k.ID, k.Note = "vmm-core", "the virtual machine monitor on the host, not of its guest's memory"
			k.Steps = append([]fault.Step{say("take the guest's memory through the monitor while it runs; gdb VMM FILE reads this one")}, fault.TakeCore()...)
			return k
		}
	}
	k.Steps = append([]fault.Step{do("to debug the process", "gdb "+programWord(program)+" {file}")}, fault.TakeCore()...)
	return k
}

// programWord keeps a name from a file out of a command unless it is plain.
func programWord(name string) string {
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.-", r)) {
			return "PROGRAM"
		}
	}
	return strings.TrimLeft(name, "-")
}

// elfSigns is what headers and notes tell about who wrote a core.
type elfSigns struct {
	qemu, xen, virtualBox, process bool
	program, guest                 string
	physical                       uint64 // all load addresses or-ed: a process has none
}

// survey walks the first program headers and notes.
func survey(v *view, l *elfLayout) elfSigns {
	var s elfSigns
	count, stride := int(u16(v.head[l.phnum:])), int(u16(v.head[l.phsize:]))
	if count == 0 {
		s.sections(v, l)
		return s
	}
	table := l.at(v.head, l.phoff)
	if stride < l.ptFilesz+l.word || table > 1<<62 {
		return s
	}
	entry := make([]byte, l.ptFilesz+l.word)
	for i := range min(count, maxElfHeaders) {
		if !v.read(entry, int64(table)+int64(i*stride)) {
			break
		}
		switch u32(entry) {
		case ptLoad:
			s.physical |= l.at(entry, l.ptPaddr)
		case ptNote:
			s.notes(v, l.at(entry, l.ptOffset), l.at(entry, l.ptFilesz))
		}
	}
	return s
}

// sections looks for the notes of a Xen core, which has sections only.
func (s *elfSigns) sections(v *view, l *elfLayout) {
	count, stride := int(u16(v.head[l.shnum:])), int(u16(v.head[l.shsize:]))
	table := l.at(v.head, l.shoff)
	if stride < l.shOffset+2*l.word || table > 1<<62 {
		return
	}
	entry := make([]byte, l.shOffset+2*l.word)
	for i := range min(count, maxElfHeaders) {
		if !v.read(entry, int64(table)+int64(i*stride)) {
			return
		}
		if u32(entry[4:]) == shtNote {
			s.notes(v, l.at(entry, l.shOffset), l.at(entry, l.shOffset+l.word))
		}
	}
}

// Note types of process cores (Linux include/uapi/linux/elf.h); their
// descriptors' lengths and where the program's name is in NT_PRPSINFO.
const (
	ntPsinfo    = 3
	ntAuxv      = 6
	ntFile      = 0x46494c45
	psinfo64    = 136
	psinfo32    = 124
	program64At = 40
	program32At = 28
	programLen  = 16
	vmcoreinfo  = "VMCOREINFO"
)

// noteWindow is how much of a note segment is looked at: who wrote a core shows
// in its first notes.
const noteWindow = 16 << 10

func (s *elfSigns) notes(v *view, offset, size uint64) {
	if offset > 1<<62 || size > 1<<62 {
		return
	}
	left := v.size - int64(offset)
	if v.more == nil || v.size < 0 {
		left = int64(len(v.head)) - int64(offset)
	}
	if left <= 0 {
		return
	}
	p := make([]byte, min(int64(size), left, noteWindow))
	if !v.read(p, int64(offset)) {
		return
	}
	for len(p) >= 12 {
		nameLen, descLen, kind := uint64(u32(p)), uint64(u32(p[4:])), u32(p[8:])
		p = p[12:]
		nameEnd, descEnd := (nameLen+3)&^3, (descLen+3)&^3
		if nameEnd > uint64(len(p)) {
			return
		}
		name, _, _ := strings.Cut(string(p[:min(nameLen, 16)]), "\x00")
		desc := p[nameEnd:]
		s.note(name, kind, desc[:min(descLen, uint64(len(desc)))], descLen)
		p = desc[min(descEnd, uint64(len(desc))):]
	}
}

// note takes one record; desc may be cut by the window.
func (s *elfSigns) note(name string, kind uint32, desc []byte, size uint64) {
	switch name {
	case "QEMU":
		s.qemu = true
	case "Xen":
		s.xen = true
	case "VBCORE", "VBCPU":
		s.virtualBox = true
	case "CORE":
		if kind == ntPsinfo || kind == ntAuxv || kind == ntFile {
			s.process = true
		}
		if at := map[uint64]int{psinfo64: program64At, psinfo32: program32At}[size]; kind == ntPsinfo && at > 0 && len(desc) >= at+programLen {
			text, _, _ := strings.Cut(string(desc[at:at+programLen]), "\x00")
			s.program = clean(text)
		}
	case vmcoreinfo:
		switch {
		case bytes.HasPrefix(desc, []byte("PAGE")):
			s.guest = "windows"
		case bytes.HasPrefix(desc, []byte("OSRELEASE=")):
			s.guest = "linux"
		}
	}
}

// clean keeps what a terminal and a page can show.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
