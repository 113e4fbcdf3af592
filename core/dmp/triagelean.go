//go:build lean

package dmp

import (
	"context"
	"errors"
	"io"

	"coredrop/core/fault"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// triage leaves triage dumps to the whole program: few make one at a first visit.
func (im *Image) triage(context.Context, *windows.Kernel, Options) error {
	return fault.New(fault.NeedsWhole, "")
}

// triagePart is not there: what is not written here is not read back.
type triagePart struct{}

func (d *opened) triage(io.ReaderAt, int64) error { return errors.New("a triage dump") }

func (d *opened) modes() []*paging.Mode { return windows.Modes }

func (p *triagePart) look(*Report, *paging.Space) error { return nil }
