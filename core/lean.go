//go:build lean

package core

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// debugFile is not there: source lines are the whole program's.
type debugFile struct{}

// textOf knows no text: logs are the whole program's.
func textOf(source.Source) (likely, ok bool) { return false, false }

// stackOfLinux says which program to take.
func (c *Case) stackOfLinux(context.Context) error { return fault.New(fault.NeedsWhole, "") }
