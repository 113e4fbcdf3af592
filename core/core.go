// Package core is the front doors of the converter. Open gives a Case: what a
// file is, what it holds, the crash dump made from it, the race reports in it.
// Inspect, Convert and Races are a Case for one question. Browser and command
// line use them alike. Nothing here opens files, uses a network or asks for the
// time: input is a source.Source, symbols come through an interface, and
// cancellation is the context's.
package core

import (
	"context"

	"coredrop/core/dmp"
	"coredrop/core/source"
	"coredrop/core/summary"
)

// Inspect says what a file is and whether it can be converted. It reads headers,
// notes and a few hundred pages; all of memory, once, only where the CPUs'
// registers lead nowhere. It touches no network unless Options.Symbols does. The
// summary is never nil; an error, also in Summary.Error, says why the file
// cannot be converted.
func Inspect(ctx context.Context, s source.Source, o Options) (*summary.Summary, error) {
	c, err := Open(ctx, s, o)
	return c.Summary(), err
}

// Convert describes the crash dump of a Windows guest's core. The image reads
// the source whenever its bytes are wanted, so the source must outlive it. The
// summary is never nil; an error, also in Summary.Error, comes without an image.
func Convert(ctx context.Context, s source.Source, o Options) (*dmp.Image, *summary.Summary, error) {
	c, err := Open(ctx, s, o)
	if err != nil {
		return nil, c.Summary(), err
	}
	im, err := c.Convert(ctx, dmp.Options{Compat: o.Compat, Type: o.Type, Registers: o.Registers, Sink: o.Sink})
	return im, c.Summary(), err
}
