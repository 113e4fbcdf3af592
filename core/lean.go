//go:build lean

package core

import (
	"context"
	"slices"

	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// These openers leave kdump cores, with their four compressors, saved states, and
// disk images with snapshots to the whole program.
var (
	kdumpOpener  = elsewhere("kdump", "kdump-flat")
	savevmOpener = elsewhere("savevm", "libvirt-save", "libvirt-part")
	qcow2Opener  = elsewhere("qcow2")
)

// elsewhere is the opener of files, by what identify calls them, that the whole
// program reads.
func elsewhere(ids ...string) machine.Opener {
	return func(_ context.Context, s source.Source, _ machine.Options) (*machine.Machine, error) {
		f, err := identify.Look(s)
		if err == nil && slices.Contains(ids, f.ID) && f.Code == "" {
			return nil, fault.New(fault.NeedsWhole, "")
		}
		return nil, machine.ErrNotMine
	}
}

// debugFile is not there: source lines are the whole program's.
type debugFile struct{}

// textOf knows no text: logs are the whole program's.
func textOf(source.Source) (likely, ok bool) { return false, false }

// stackOfLinux says which program to take.
func (c *Case) stackOfLinux(context.Context) error { return fault.New(fault.NeedsWhole, "") }
