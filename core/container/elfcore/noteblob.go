package elfcore

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// Notes is what a blob of notes says of a machine. Other containers keep the same
// notes as ELF cores do.
type Notes struct {
	Arch     machine.Arch // as the CPUs' notes show it, else as it was given
	CPUs     []machine.CPU
	Guest    []machine.Note
	Writer   string
	Warnings []fault.Warning
}

// machines are the numbers of an ELF header by processor.
var machines = map[machine.Arch]uint16{machine.X64: machineX64, machine.X86: machineX86, machine.ARM64: machineARM64}

// statusArchs are the processors by the length of their NT_PRSTATUS. Source: Linux
// include/linux/elfcore.h with each processor's elf_gregset_t.
var statusArchs = map[int64]machine.Arch{statusBytes: machine.X64, status32Bytes: machine.X86, 392: machine.ARM64}

// ReadNotes reads the notes in a range of a file that has no ELF header. arch is
// what the container says of the processor; "": it does not, and the notes tell.
// Damage ends the notes with a warning.
func ReadNotes(ctx context.Context, s source.Source, r source.Range, arch machine.Arch) (*Notes, error) {
	ranges := []noteRange{{offset: r.Off, bytes: min(r.Bytes, s.Size-r.Off), cut: r.Bytes > s.Size-r.Off}}
	probe, err := firstStatus(s, r)
	if err != nil {
		return nil, err
	}
	if probe != "" {
		arch = probe
	}
	number, known := machines[arch]
	if !known {
		number, arch = machineX64, machine.X64
	}
	n, err := readNotes(ctx, s, ranges, number)
	if err != nil {
		return nil, err
	}
	out := &Notes{Arch: arch, CPUs: n.cpus(), Guest: n.guest, Warnings: n.warnings}
	if len(n.states) > 0 {
		out.Writer = "QEMU"
	}
	return out, nil
}

// firstStatus gives the processor by the first note, "" where that is none of a
// known length.
func firstStatus(s source.Source, r source.Range) (machine.Arch, error) {
	if s.Size-r.Off < noteHeader+8 {
		return "", nil
	}
	head := make([]byte, noteHeader+8)
	if err := s.Full(head, r.Off); err != nil {
		return "", err
	}
	if le.Uint32(head[noteType:]) != noteStatus || string(head[noteHeader:][:5]) != "CORE\x00" {
		return "", nil
	}
	return statusArchs[int64(le.Uint32(head[noteDescSize:]))], nil
}
