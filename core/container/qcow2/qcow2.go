// Package qcow2 reads the saved state of a snapshot out of a qcow2 disk image:
// what savevm, virsh snapshot-create-as without --memspec, GNOME Boxes and
// virt-manager make of a running machine. It gives the state as a file of its
// own, which another opener reads. The disk is never read, and images whose
// clusters are elsewhere or encrypted are refused by name.
//
// Source: QEMU docs/interop/qcow2.txt and block/qcow2*.c of 10.0; measured on
// images of QEMU 7.2 and 10.0.
package qcow2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// Format is the format of a Machine that comes out of a disk image.
const Format = "qcow2"

// Opener gives a machine.Opener for disk images, which opens the state of the
// chosen snapshot (machine.Options.Snapshot, or the only one that has memory) by
// inside. The Machine lists all snapshots with memory, also beside a refusal, a
// *fault.Error: snapshot-choice, disk-unsupported, other-format, damaged-header,
// truncated.
func Opener(inside machine.Opener) machine.Opener {
	return func(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
		head := make([]byte, min(int64(len(signature)), max(s.Size, 0)))
		if err := s.Full(head, 0); err != nil {
			return nil, err
		}
		if string(head) != signature {
			return nil, machine.ErrNotMine
		}
		im, err := parse(ctx, s)
		if err != nil {
			return &machine.Machine{Format: Format}, err
		}
		return im.openSnapshot(ctx, inside, o)
	}
}

func (im *image) openSnapshot(ctx context.Context, inside machine.Opener, o machine.Options) (*machine.Machine, error) {
	m := &machine.Machine{Format: Format}
	all, err := im.list(ctx)
	saved := slices.DeleteFunc(slices.Clone(all), func(s snapshot) bool { return s.state == 0 })
	for _, s := range saved {
		m.Snapshots = append(m.Snapshots, machine.Snapshot{ID: s.id, Name: s.name, Seconds: s.seconds, Bytes: s.state})
	}
	if im.refused != nil && (err != nil || len(saved) > 0) {
		return m, im.refused
	}
	if err != nil {
		return m, err
	}
	number, err := choose(saved, len(all), o.Snapshot)
	if err != nil {
		return m, err
	}
	chosen := saved[number]
	m.Snapshots[number].Opened = true
	o.Logf("qcow2 disk image, version %d, clusters of %d bytes, %d snapshots, %d with memory; opening %s, %d bytes",
		im.version, im.cluster, len(all), len(saved), chosen.label(), chosen.state)
	st, err := im.open(ctx, chosen, o.Sink)
	if err != nil {
		return m, err
	}
	if st.size == 0 {
		return m, fault.New(fault.Truncated, "all of the memory of the snapshot %s lies behind the end of the disk image", chosen.label())
	}
	in, err := inside(ctx, st.source(), o)
	if errors.Is(err, machine.ErrNotMine) {
		err = damaged("what it has as the state of the snapshot %s is none of QEMU's", chosen.label())
	}
	if in == nil {
		return m, err
	}
	in.Format, in.Snapshots = Format, m.Snapshots
	if im.corrupt {
		in.Warnings = append(in.Warnings, fault.Warn(fault.DamagedCopy, "QEMU has marked this disk image as corrupt"))
	}
	if lost := int64(chosen.state) - st.size; lost > 0 {
		in.Warnings = append(in.Warnings, fault.Warn(fault.Truncated, "the disk image ends early: %d of %d bytes of the state of the snapshot %s lie behind its end", lost, chosen.state, chosen.label()))
	}
	if err == nil && in.Mem != nil && slices.ContainsFunc(in.Mem.Extents(), verbatim) {
		// Ranges of the state would be taken for ranges of the image. QEMU writes
		// mapped-ram into plain files only.
		return in, fault.New(fault.DiskUnsupported, "the memory of the snapshot %s is in a form that QEMU writes into plain files only", chosen.label())
	}
	return in, err
}

func verbatim(e mem.Extent) bool { return e.Origin == mem.Verbatim }

// choose gives the number of the snapshot that is wanted: by its name, else by its
// id; "" is the only one. all counts also those without memory.
func choose(saved []snapshot, all int, want string) (int, error) {
	if want == "" && len(saved) == 1 {
		return 0, nil
	}
	if len(saved) == 0 {
		const image = "this is a qcow2 disk image, not a memory core"
		switch all {
		case 0:
			return 0, fault.New(fault.OtherFormat, image)
		case 1:
			return 0, fault.New(fault.OtherFormat, "%s: its snapshot has no memory, it was taken of the disk alone", image)
		}
		return 0, fault.New(fault.OtherFormat, "%s: its %d snapshots have no memory, they were taken of the disk alone", image, all)
	}
	if want == "" {
		return 0, fault.New(fault.SnapshotChoice, "the disk image has %d snapshots with memory: %s", len(saved), labels(saved)).Instead(steps(saved)...)
	}
	for _, key := range []func(snapshot) string{func(s snapshot) string { return s.name }, func(s snapshot) string { return s.id }} {
		var found []int
		for i, s := range saved {
			if key(s) == want {
				found = append(found, i)
			}
		}
		if len(found) == 1 {
			return found[0], nil
		}
		if len(found) > 1 {
			return 0, fault.New(fault.SnapshotChoice, "%d snapshots of the disk image are called %q", len(found), want).
				Instead(fault.Step{Text: "choose by the id that coredrop info lists"})
		}
	}
	return 0, fault.New(fault.SnapshotChoice, "the disk image has no snapshot with memory called %q; it has %s", want, labels(saved)).Instead(steps(saved)...)
}

// maxNamed is how many snapshots an error names.
const maxNamed = 8

// label is a snapshot's name as a sentence shows it, in quotes.
func (s snapshot) label() string {
	if s.name == "" {
		return fmt.Sprintf("%q (no name, but an id)", s.id)
	}
	return fmt.Sprintf("%q", s.name)
}

func labels(list []snapshot) string {
	text := ""
	for i, s := range list[:min(len(list), maxNamed)] {
		if i > 0 {
			text += ", "
		}
		text += s.label()
	}
	if more := len(list) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// steps gives the command for each snapshot, and for the page the way to choose.
func steps(list []snapshot) []fault.Step {
	out := []fault.Step{{Text: "choose one of them here", For: []fault.Surface{fault.Page}}}
	for _, s := range list[:min(len(list), maxNamed)] {
		word := s.name
		if !plain(word) {
			word = s.id
		}
		if plain(word) {
			out = append(out, fault.Step{Text: fmt.Sprintf("of %s", time.Unix(int64(s.seconds), 0).UTC().Format("2006-01-02 15:04:05 UTC")),
				Command: "coredrop convert -snapshot " + fault.Quote(word) + " {file} {dump}", For: []fault.Surface{fault.CLI}})
		}
	}
	return out
}

// plain reports whether a name can stand in a command: it is text, and nothing in
// it is taken for a placeholder or a flag.
func plain(name string) bool {
	if strings.HasPrefix(name, "-") {
		return false
	}
	for _, r := range name {
		if r < ' ' || r >= 0x7f || r == '{' {
			return false
		}
	}
	return name != ""
}
