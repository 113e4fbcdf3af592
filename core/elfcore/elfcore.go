// Package elfcore reads ELF64 guest-memory cores of x86-64 machines, as QEMU's
// dump-guest-memory and libvirt's virsh dump --memory-only write them: program
// headers, notes and CPU states. It knows nothing of the guest inside.
package elfcore

import (
	"context"
	"encoding/binary"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// Format is Machine.Format of what this package opens.
const Format = "elf"

var le = binary.LittleEndian

// Open is the machine.Opener for ELF cores. It reads the headers and the notes,
// not the memory. Files without the ELF signature are not its own; other ELF
// files are refused by name with a *fault.Error (damaged-header,
// unsupported-cpu, other-format, no-memory). What is wrong with a core that can
// be used all the same is in the Machine's warnings.
func Open(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
	head := make([]byte, min(ehdrBytes, max(s.Size, 0)))
	if err := s.Full(head, 0); err != nil {
		return nil, err
	}
	if len(head) < 4 || string(head[:4]) != "\x7fELF" {
		return nil, machine.ErrNotMine
	}
	if len(head) < ehdrBytes {
		return nil, fault.New(fault.DamagedHeader, "the file ends inside its ELF header: %d bytes", s.Size)
	}
	if head[identData] != littleEndian || le.Uint16(head[ehdrType:]) != typeCore || le.Uint16(head[ehdrMachine:]) != machineX64 {
		return nil, machine.Recognise(s)
	}
	switch head[identClass] {
	case class64:
	case 1:
		return nil, fault.New(fault.UnsupportedCPU, "this is a 32-bit ELF core: the guest's processor is 32-bit x86")
	default:
		return nil, fault.New(fault.DamagedHeader, "the ELF header is damaged: class %d", head[identClass])
	}

	table, err := findTable(s, head)
	if err != nil {
		return nil, err
	}
	o.Logf("ELF64 core, x86-64, %d bytes, %d program headers", s.Size, table.count)
	segments, err := readTable(ctx, s, o, table)
	if err != nil {
		return nil, err
	}
	m := &machine.Machine{Format: Format, Arch: machine.X64, Headers: int(table.count),
		Blocks: segments.blocks, MissingEnd: segments.missing(s.Size)}
	n, err := readNotes(ctx, s, segments.notes)
	if err != nil {
		return nil, err
	}
	if n.virtualBox {
		return nil, fault.New(fault.OtherFormat, "this is a core of VirtualBox (dumpvmcore), which is not read yet")
	}
	m.CPUs, m.Guest = n.cpus(), n.guest
	m.Warnings = append(m.Warnings, segments.warnings(s.Size)...)
	m.Warnings = append(m.Warnings, n.warnings...)
	if len(n.states) > 0 {
		m.Writer = "QEMU"
	} else {
		m.Warnings = append(m.Warnings, fault.Warn(fault.NoQEMUNotes, ""))
	}
	if len(m.Blocks) == 0 {
		if m.MissingEnd > 0 {
			return nil, fault.New(fault.NoMemory, "the core holds no memory: the file ends at %s, %s early", size(s.Size), size(m.MissingEnd))
		}
		return nil, fault.New(fault.NoMemory, "")
	}
	file, err := mem.NewFile(s, m.Blocks, o.CacheBytes)
	if err != nil {
		return nil, fault.Wrap(err, fault.DamagedHeader, "the program headers are damaged: %v", err)
	}
	m.Mem = file
	o.Logf("%d CPUs, %d guest notes, %d memory blocks, %d extents", len(m.CPUs), len(m.Guest), len(m.Blocks), len(file.Extents()))
	return m, nil
}

func cancelled(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	return nil
}
