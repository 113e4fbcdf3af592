package core

import (
	"context"
	"slices"
	"strings"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/windows"
)

// Convert describes the crash dump of a Windows guest. The image reads the
// source whenever its bytes are wanted. A dump that, read back, does not hold
// what the core does is still given, with a warning in the summary.
func (c *Case) Convert(ctx context.Context, o dmp.Options) (*dmp.Image, error) {
	c.facts.Image, c.facts.Verified, c.facts.Warnings, c.facts.Cannot = nil, false, slices.Clone(c.o.Warnings), c.cannot
	err := c.do(ctx, func() error {
		k, err := c.kernel(ctx, o.Compat)
		c.show(k, err)
		if err != nil {
			c.facts.Cannot = err
			return err
		}
		if o.OnLine == nil && o.OnProgress == nil {
			o.Sink = c.o.Sink
		}
		im, err := dmp.New(ctx, k, o)
		if err != nil {
			c.facts.Cannot = err
			return err
		}
		c.facts.Image, c.facts.Cannot = im, nil
		if c.o.NoVerify {
			return nil
		}
		return c.verify(ctx, k, im)
	})
	if err != nil {
		c.facts.Image = nil
	}
	return c.facts.Image, err
}

// verify reads the image back. Only a failing context is an error.
func (c *Case) verify(ctx context.Context, k *windows.Kernel, im *dmp.Image) error {
	report, err := dmp.Verify(ctx, im, im.Size())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.warn(fault.VerifyFailed, "%s", fault.As(err).Text)
		return nil
	}
	if wrong := append(report.Differences(k, im), report.Problems...); len(wrong) > 0 {
		c.warn(fault.VerifyFailed, "reading the dump back: %s", strings.Join(wrong, "; "))
		return nil
	}
	c.facts.Verified = true
	return nil
}
