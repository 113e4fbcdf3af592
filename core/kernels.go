package core

import (
	"context"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
)

// windows takes over what the search for a Windows kernel found.
func (c *Case) windows() error {
	k, err := c.guest.Windows.Result()
	if err == nil {
		err = dmp.Check(k, c.o.Compat)
	}
	err = cutOff(c.facts.Machine, c.facts.Machine.Doubted(err))
	c.show(k, err)
	return err
}

// show is what the summary says of Windows.
func (c *Case) show(k *windows.Kernel, err error) {
	c.facts.Windows, c.facts.Marks, c.facts.Sizes = k, nil, nil
	if k == nil {
		return
	}
	c.facts.Marks = k.Marks()
	if err == nil {
		c.facts.Sizes = dmp.Sizes(k)
	}
}

// kernel gives the kernel to convert. Upstream's choices need a search of their
// own, which reads a few pages.
func (c *Case) kernel(ctx context.Context, compat bool) (*windows.Kernel, error) {
	if compat && !c.o.Compat && c.guest.Windows != nil {
		return find.Locate(ctx, c.facts.Machine, find.Options{Symbols: c.o.Symbols, Compat: true, Sink: c.o.Sink})
	}
	if c.guest.Windows == nil {
		return nil, c.cannot
	}
	k, err := c.guest.Windows.Result()
	if err == nil {
		err = c.cannot
	}
	return k, err
}

// cutOff puts first that a part of the core's memory is not there, where a search
// in what is there failed: that is the likelier reason.
func cutOff(m *machine.Machine, err error) error {
	f := fault.As(err)
	if f == nil || f.Code == fault.Cancelled || f.Code == fault.CompatLossy {
		return err
	}
	for _, w := range m.Warnings {
		switch w.Code {
		case f.Code:
			return err
		case fault.Truncated, fault.DamagedCopy, fault.PagingCore:
			return fault.Wrap(err, w.Code, "%s, and perhaps for that reason: %s", w.Text, f.Text).Add(f.Hints...)
		}
	}
	return err
}
