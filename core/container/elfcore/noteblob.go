package elfcore

import (
	"context"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// Notes is what a blob of notes says of a machine. Other containers keep the same
// notes as ELF cores do.
type Notes struct {
	Arch     *cpu.Arch // as the CPUs' notes show it, else as it was given
	CPUs     []machine.CPU
	Guest    []machine.Note
	Writer   string
	Warnings []fault.Warning
}

// ReadNotes reads the notes in a range of a file that has no ELF header. arch is
// what the container says of the processor; nil: it does not, and the notes tell.
// Damage ends the notes with a warning.
func ReadNotes(ctx context.Context, s source.Source, r source.Range, arch *cpu.Arch) (*Notes, error) {
	ranges := []noteRange{{offset: r.Off, bytes: min(r.Bytes, s.Size-r.Off), cut: r.Bytes > s.Size-r.Off}}
	probe, err := firstStatus(s, r)
	if err != nil {
		return nil, err
	}
	if probe != nil {
		arch = probe
	}
	if arch == nil {
		arch = cpu.X64
	}
	n, err := readNotes(ctx, s, ranges, formOf(arch.ELF))
	if err != nil {
		return nil, err
	}
	out := &Notes{Arch: arch, CPUs: n.cpus(), Guest: n.guest, Warnings: n.warnings}
	if len(n.states) > 0 {
		out.Writer = "QEMU"
	}
	return out, nil
}

// firstStatus gives the processor by the first note, nil where that is none of a
// known length.
func firstStatus(s source.Source, r source.Range) (*cpu.Arch, error) {
	if s.Size-r.Off < noteHeader+8 {
		return nil, nil
	}
	head := make([]byte, noteHeader+8)
	if err := s.Full(head, r.Off); err != nil {
		return nil, err
	}
	if le.Uint32(head[noteType:]) != noteStatus || string(head[noteHeader:][:5]) != "CORE\x00" {
		return nil, nil
	}
	for _, f := range statusForms {
		if f.bytes == int64(le.Uint32(head[noteDescSize:])) {
			return f.arch, nil
		}
	}
	return nil, nil
}
