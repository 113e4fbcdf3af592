// Package savevm reads saved states of QEMU's virtual machines, the stream that
// migrate, savevm, virsh save and virsh dump without --memory-only write: bare or
// behind libvirt's header, pages in records or in place (mapped-ram). It gives
// the memory and the registers that a core of the same moment would have. It
// unpacks no file and knows nothing of the guest inside.
//
// Sources of the layouts: QEMU 7.2 and 10.0 migration/savevm.c, migration/ram.c,
// migration/vmstate.c, libvirt 11.3 src/qemu/qemu_saveimage.h; measured on files
// of these versions.
package savevm

import (
	"context"
	"encoding/binary"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// Format is Machine.Format of what this package opens.
const Format = "savevm"

var be, le = binary.BigEndian, binary.LittleEndian

// Open is the machine.Opener for saved states, bare or behind libvirt's header.
// One pass over the file makes an index of its pages; a mapped-ram file needs
// none. What is known of the machine is given beside a refusal, a *fault.Error
// (savevm-image, packed, truncated, damaged-header, no-memory, unsupported-cpu).
func Open(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
	w, err := Unwrap(s)
	if err != nil {
		return nil, err
	}
	return OpenStream(ctx, s, w, o)
}

// OpenStream reads the stream that lies in a source at w.Stream. The source may
// be anything that holds one, such as the part of a disk image where a snapshot
// keeps it; an empty Wrapping is a stream from the source's beginning on.
func OpenStream(ctx context.Context, s source.Source, w Wrapping, o machine.Options) (*machine.Machine, error) {
	m := &machine.Machine{Format: Format, Writer: "QEMU"}
	if w.Packing != "" {
		return m, fault.New(fault.Packed, "this is a saved VM state of libvirt whose contents are packed with %s", w.Packing)
	}
	st := &state{source: s, wrapping: w, options: o, machine: m}
	if err := st.read(ctx); err != nil {
		return m, err
	}
	return m, st.open(ctx)
}

// refuse is a saved state that cannot be used, and why.
func refuse(format string, args ...any) *fault.Error {
	return fault.New(fault.SavevmImage, format, args...)
}
