//go:build !lean

package core

import (
	"context"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/linux"
	"coredrop/core/owner"
	"coredrop/core/races"
)

// Races recovers the data-race reports of a Linux core: printed ones from its
// log, and those that never were from memory and CPU state. The text of a kernel
// log instead of a core gives the reports in it. A kernel without KCSAN gives an
// empty result and a warning; a core of another guest is an error.
func (c *Case) Races(ctx context.Context) (*races.Result, error) {
	err := c.do(ctx, func() error {
		if c.facts.Machine == nil && isText(c.source) {
			return c.readLog(ctx)
		}
		k, err := c.linux(ctx)
		if err != nil {
			return err
		}
		if c.facts.Races, err = races.Recover(ctx, k, c.o.Sink); err != nil {
			return err
		}
		return c.findLines(ctx)
	})
	return c.facts.Races, err
}

// Log writes the log of a Linux core as dmesg prints it: a time stamp and the
// text, lines after a record's first one indented as far.
func (c *Case) Log(ctx context.Context) (string, error) {
	var b strings.Builder
	err := c.do(ctx, func() error {
		k, err := c.linux(ctx)
		if err != nil {
			return err
		}
		return k.Log(ctx, func(r linux.Record) bool {
			b.WriteString(r.Dmesg())
			return true
		})
	})
	return b.String(), err
}

// What says what lies at addresses of a Linux core: variables, objects of slab caches,
// stacks. A core of another guest is an error.
func (c *Case) What(ctx context.Context, addrs []uint64) ([]owner.Object, error) {
	var out []owner.Object
	err := c.do(ctx, func() error {
		k, err := c.linux(ctx)
		if err != nil {
			return err
		}
		f := owner.New(k)
		for _, a := range addrs {
			out = append(out, f.At(a, 1))
		}
		return nil
	})
	return out, err
}

// Look reads what there is to know of a Linux guest: its release, log, what went
// wrong, the CPUs' stacks, tasks and modules. A core of another guest is an
// error.
func (c *Case) Look(ctx context.Context) error {
	return c.do(ctx, func() error {
		_, err := c.linux(ctx)
		return err
	})
}

// linux gives the Linux kernel, found once. A guest of another kind is named.
func (c *Case) linux(ctx context.Context) (*linux.Kernel, error) {
	switch {
	case c.facts.Linux != nil:
		return c.facts.Linux, nil
	case c.guest.Linux == nil && c.facts.Windows != nil && c.facts.Windows.Image != nil:
		return nil, fault.New(fault.IsWindows, "")
	case c.guest.Linux == nil && c.guest.Windows != nil:
		return nil, fault.New(fault.LinuxUnreachable, "")
	case c.guest.Linux == nil:
		return nil, c.cannot
	}
	k, err := c.guest.Linux.Locate(ctx)
	if err != nil {
		return nil, err
	}
	log, err := k.ReadLog(ctx)
	if ctx.Err() != nil {
		return nil, err
	} else if err != nil { // the rest is known all the same
		f := fault.As(err)
		c.warn(f.Code, "%s", f.Text)
	}
	c.facts.Linux, c.facts.State, c.facts.Log = k, k.State(), &log
	return k, nil
}

// stackOfLinux reads where the CPUs of a Linux guest stood, for the summary.
func (c *Case) stackOfLinux(ctx context.Context) error {
	_, err := c.linux(ctx)
	return err
}
