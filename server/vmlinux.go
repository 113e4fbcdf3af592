package main

import (
	"context"
	"flag"

	"coredrop/core"
)

// debugFlag adds -vmlinux, which may be given several times: for the kernel and
// for each of its modules.
func debugFlag(set *flag.FlagSet) *[]string {
	list := new([]string)
	set.Func("vmlinux", "debugging information of a Linux kernel or module, used when its build\nID is the core's: a vmlinux or .ko.debug `file`; may be given several times", func(name string) error {
		*list = append(*list, name)
		return nil
	})
	return list
}

// useDebug hands files with debugging information to a case. They stay open until
// done is called. The first that cannot be used ends it.
func useDebug(ctx context.Context, c *core.Case, names []string, how *opening) (done func(), err error) {
	var open []*input
	done = func() {
		for _, in := range open {
			in.close()
		}
	}
	for _, name := range names {
		in, err := how.open(ctx, name, nil)
		if err != nil {
			return done, err
		}
		open = append(open, in)
		if err := c.Debug(ctx, in.source()); err != nil {
			return done, err
		}
	}
	return done, nil
}
