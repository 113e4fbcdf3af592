//go:build !lean

package core

import (
	"context"

	"coredrop/core/source"
)

// Debug takes debugging information of the guest's kernel, a vmlinux, or of one of
// its modules, a .ko.debug: what is known of stacks and reports gets its source
// lines. It must stay readable as long as the Case is used. A file that cannot be
// used, most of all one whose build ID is not of the core, is a warning. For the
// text of a log the kernel's first line, or the build ID in its reports, must be
// the vmlinux's.
func (c *Case) Debug(ctx context.Context, s source.Source) error {
	return c.do(ctx, func() error {
		if c.IsLog() {
			return c.debugLog(ctx, s)
		}
		k, err := c.linux(ctx)
		if err != nil {
			return err
		}
		f, module, err := debugOf(k, s)
		if err != nil {
			return c.notUsed(err)
		}
		c.debug = append(c.debug, &debugFile{f, s.Name, module})
		c.o.Logf("lines: %s, build ID %s, for %q", s.Name, f.BuildID(), module)
		return c.findLines(ctx)
	})
}
