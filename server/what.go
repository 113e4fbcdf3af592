package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"coredrop/core"
)

// parseAddresses reads the addresses of -what: hexadecimal, with or without 0x, as
// reports, registers and stacks print them.
func parseAddresses(list []string) ([]uint64, error) {
	var out []uint64
	for _, s := range list {
		a, err := strconv.ParseUint(strings.TrimPrefix(strings.ToLower(s), "0x"), 16, 64)
		if err != nil {
			return nil, fmt.Errorf("-what takes an address such as ffff888003a4c240, not %q", s)
		}
		out = append(out, a)
	}
	return out, nil
}

// printWhat prints a line for each address.
func printWhat(ctx context.Context, c *core.Case, in *input, addresses []uint64, t *terminal, stdout, stderr io.Writer) int {
	if c.IsLog() {
		return usageError(stderr, "kcsan", "-what is for a core, which %s is not: a log holds no memory", in.name())
	}
	list, err := c.What(ctx, addresses)
	t.clear()
	if err == nil {
		err = in.unchanged()
	}
	warn(stderr, c.Summary().Warnings)
	if err != nil {
		return fail(stderr, err)
	}
	for i, o := range list {
		fmt.Fprintf(stdout, "%#x: %s\n", addresses[i], oneLine(o.String()))
	}
	return exitDone
}
