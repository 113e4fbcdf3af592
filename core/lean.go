//go:build lean

package core

import (
	"context"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// kdumpOpener leaves kdump cores, with their four compressors, to the whole
// program.
func kdumpOpener(_ context.Context, s source.Source, _ machine.Options) (*machine.Machine, error) {
	f, err := identify.Look(s)
	if err == nil && strings.HasPrefix(f.ID, "kdump") {
		return nil, fault.New(fault.NeedsWhole, "")
	}
	return nil, machine.ErrNotMine
}

// debugFile is not there: source lines are the whole program's.
type debugFile struct{}

// textOf knows no text: logs are the whole program's.
func textOf(source.Source) (likely, ok bool) { return false, false }

// stackOfLinux says which program to take.
func (c *Case) stackOfLinux(context.Context) error { return fault.New(fault.NeedsWhole, "") }
