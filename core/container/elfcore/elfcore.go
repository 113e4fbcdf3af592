// Package elfcore reads ELF guest-memory cores of x86 machines, as QEMU's
// dump-guest-memory and libvirt's virsh dump --memory-only write them: program
// headers, notes and CPU states, and what shows that a copy is damaged. It knows
// nothing of the guest inside.
package elfcore

import (
	"context"
	"encoding/binary"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/words"
)

// Format is Machine.Format of what this package opens.
const Format = "elf"

var le = binary.LittleEndian

// Open is the machine.Opener for ELF cores. It reads the headers and the notes,
// not the memory. Files without the ELF signature, and cores of other monitors,
// are not its own; other ELF files are refused by what they are with a
// *fault.Error (damaged-header, damaged-copy, unsupported-cpu, process-core,
// other-format, no-memory). What is wrong with a core that can be used all the
// same is in the Machine's warnings.
func Open(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
	magic := make([]byte, min(4, max(s.Size, 0)))
	if err := s.Full(magic, 0); err != nil {
		return nil, err
	}
	if string(magic) != "\x7fELF" {
		return nil, machine.ErrNotMine
	}
	kind, err := identify.Look(s)
	if err != nil {
		return nil, err
	}
	if refusal := kind.Fault(); refusal != nil {
		if kind.Class == identify.Core && refusal.Code == fault.OtherFormat {
			return nil, machine.ErrNotMine // another monitor's: it may have an opener
		}
		if kind.Class == identify.Core && refusal.Code == fault.UnsupportedCPU {
			// What its headers and notes say of any processor; a failing read is
			// the source's to remember.
			m, _ := open(ctx, s, o)
			return m, refusal
		}
		return nil, refusal
	}
	m, err := open(ctx, s, o)
	if fault.Is(err, fault.DamagedHeader) || fault.Is(err, fault.NoMemory) {
		if what := texted(&probe{Source: s}, false); what != "" {
			return nil, damagedCopy(what)
		}
	}
	return m, err
}

// open reads a core.
func open(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
	head := make([]byte, min(int64(class64.ehdr), s.Size))
	if err := s.Full(head, 0); err != nil {
		return nil, err
	}
	c := &class64
	if head[identClass] == 1 {
		c = &class32
	}
	table, err := findTable(s, head, c)
	if err != nil {
		return nil, err
	}
	o.Logf("%s core, machine %d, %d bytes, %d program headers", c.name, le.Uint16(head[ehdrMachine:]), s.Size, table.count)
	segments, err := readTable(ctx, s, o, table)
	if err != nil {
		return nil, err
	}
	loads := segments.blocks
	m := &machine.Machine{Format: Format, ELF: &machine.ELF{Headers: int(table.count), Loads: loads}, MissingEnd: segments.missing(s.Size)}
	form := formOf(le.Uint16(head[ehdrMachine:]))
	if form != nil {
		m.Arch = form.arch
	}
	n, err := readNotes(ctx, s, segments.notes, form)
	if err != nil {
		return nil, err
	}
	m.CPUs, m.Guest = n.cpus(), n.guest
	if m.Arch == cpu.X86 {
		m.Arch, m.Doubt = cpu.X64, doubt(m.CPUs)
	}
	if len(loads) == 0 {
		switch {
		case m.MissingEnd > 0:
			return nil, fault.New(fault.NoMemory, "the core holds no memory: the file ends at %s, %s early", words.Bytes(s.Size), words.Bytes(m.MissingEnd))
		case segments.wild > 0:
			return nil, fault.New(fault.DamagedHeader, "the core's headers are damaged: all of the memory they name is where no processor can address it")
		}
		return nil, fault.New(fault.NoMemory, "")
	}
	file, err := mem.NewFile(s, loads, o.CacheBytes)
	if err != nil {
		return nil, fault.Wrap(err, fault.DamagedHeader, "the program headers are damaged: %v", err)
	}
	m.Mem = file
	var named uint64
	for _, e := range file.Extents() {
		named += e.Bytes
	}
	m.Warnings = append(m.Warnings, segments.warnings(s.Size, named)...)
	damage, err := segments.damage(s, head, named)
	if err != nil {
		return nil, err
	}
	m.Warnings = append(m.Warnings, damage...)
	m.Warnings = append(m.Warnings, n.warnings...)
	switch {
	case len(n.states) > 0:
		m.Writer = "QEMU"
	case form != nil && form.qemu:
		m.Warnings = append(m.Warnings, fault.Warn(fault.NoQEMUNotes, ""))
	}
	o.Logf("%d CPUs, %d guest notes, %d memory blocks, %d extents", len(m.CPUs), len(m.Guest), len(loads), len(file.Extents()))
	return m, nil
}

func cancelled(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	return nil
}
