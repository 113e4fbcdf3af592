package core

import (
	"context"
	"slices"

	"coredrop/core/detect"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
)

// Open opens a file and finds out which guest it holds. The Case is never nil:
// what is known so far is kept, whatever ended the search. The error, a
// *fault.Error, says why no crash dump can be made of the file: it may still
// hold race reports.
func Open(ctx context.Context, s source.Source, o Options) (*Case, error) {
	c := &Case{o: o, facts: summary.Facts{File: s, Packed: o.Packed, Warnings: slices.Clone(o.Warnings)}}
	c.source, c.trouble = source.Watch(s)
	c.decide(c.do(ctx, func() error { return c.open(ctx) }))
	return c, c.cannot
}

// open reads the container and searches the kernel.
func (c *Case) open(ctx context.Context) error {
	m, err := machine.Open(ctx, c.source, machine.Options{CacheBytes: c.o.CacheBytes, Snapshot: c.o.Snapshot, Sink: c.o.Sink}, openers...)
	c.facts.Machine = m
	if err != nil {
		if likely, text := textOf(c.source); text && likely && !fault.Is(err, fault.IsLog) {
			err = fault.New(fault.IsLog, "") // a page or JSON that holds one
		}
		if fault.Is(err, fault.IsLog) {
			c.facts.Format = formatLog
		}
		return err
	}
	if c.o.Snapshot != "" && len(m.Snapshots) == 0 {
		return fault.New(fault.BadOption, "this file has no snapshots, so none called %q", c.o.Snapshot)
	}
	if c.o.Compat {
		c.guest.Windows = find.NewSearch(m, find.Options{Symbols: c.o.Symbols, Compat: true, Sink: c.o.Sink})
		c.guest.Windows.Quick(ctx)
		return c.windows()
	}
	if c.guest, err = detect.Guest(ctx, m, detect.Options{Symbols: c.o.Symbols, Sink: c.o.Sink}); err != nil {
		return err
	}
	if l := c.guest.Linux; l != nil {
		c.facts.OS, c.facts.LinuxRelease = "linux", l.Release()
		return fault.New(fault.IsLinux, "this is a Linux guest (%s)", l.Release())
	}
	if err := c.windows(); err != nil {
		return err
	}
	return c.stand(ctx)
}

// Use takes symbols that came later, and judges the debugger block anew; nothing
// is searched again. The error says, like Open's, why no dump can be made.
func (c *Case) Use(ctx context.Context, s windows.Symbols) error {
	c.o.Symbols = s
	if c.guest.Windows == nil {
		return c.cannot
	}
	err := c.do(ctx, func() error {
		if err := c.guest.Windows.Use(ctx, s); err != nil {
			return err
		}
		if err := c.windows(); err != nil {
			return err
		}
		return c.stand(ctx)
	})
	if ctx.Err() == nil {
		c.decide(err)
	}
	return err
}
