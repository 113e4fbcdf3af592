// Package core is the front doors of the converter: Inspect says what a file is
// and what it holds, Convert describes the crash dump made from it. Browser and
// command line use them alike. Nothing here opens files, uses a network or asks
// for the time: input is an io.ReaderAt, symbols come through an interface, and
// cancellation is the context's.
package core

import (
	"context"

	"coredrop/core/elfcore"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// Options of Inspect and Convert. The zero value works: no symbols, the default
// profile, a full dump (bitmap when its runs do not fit), verified.
type Options struct {
	// Symbols gives PDBs by name and identity; nil: there are none, and no
	// network is touched.
	Symbols windows.Symbols
	// Compat makes Convert write what upstream elf2dmp 10.2.2 writes, byte for
	// byte, or refuse with compat-lossy.
	Compat bool
	// Type is "full" or "bitmap"; "" chooses.
	Type string
	// CacheBytes is the page cache's budget; 0: mem.DefaultCache.
	CacheBytes int64
	// NoVerify leaves out reading the dump back.
	NoVerify bool
	progress.Sink
}

// openers are the containers that can be read, in the order they are tried.
var openers = []machine.Opener{elfcore.Open}

// open opens the core and notes in the summary what its container says.
func open(ctx context.Context, s source.Source, o Options, sum *Summary) (*machine.Machine, error) {
	m, err := machine.Open(ctx, s, machine.Options{CacheBytes: o.CacheBytes, Sink: o.Sink}, openers...)
	if m != nil {
		sum.machine(m)
	}
	return m, err
}

// door runs a job with the summary it fills: a panic becomes a fault, a failing
// read of the input is never mistaken for a missing page, and whatever went
// wrong stands in the summary too.
func door(ctx context.Context, s source.Source, sum *Summary, job func(source.Source) error) (err error) {
	sum.file(s)
	s, trouble := source.Watch(s)
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.Internal, "something broke here: %v", r)
		}
		switch {
		case ctx.Err() != nil && (err != nil || trouble.Err() != nil):
			err = fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
		case trouble.Err() != nil:
			err = trouble.Err()
		}
		if err != nil {
			sum.Fail(err)
		}
	}()
	if s.ReaderAt == nil {
		return fault.New(fault.InputUnreadable, "there is no input")
	}
	return job(s)
}
