package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// parse reads a command's flags. done says that the command is over already,
// with the exit code: -h was asked for, or a flag is wrong.
func parse(set *flag.FlagSet, args []string, usage string, stdout, stderr io.Writer) (code int, done bool) {
	set.SetOutput(io.Discard) // what flag prints has neither prefix nor hint
	set.Usage = func() {}
	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		set.SetOutput(stdout)
		set.PrintDefaults()
		return exitDone, true
	}
	if err != nil {
		return usageError(stderr, set.Name(), "%v", err), true
	}
	for _, a := range set.Args() {
		if len(a) > 1 && a[0] == '-' && set.Lookup(trimDashes(a)) != nil {
			return usageError(stderr, set.Name(), "the flag %s must come before the files", a), true
		}
	}
	return 0, false
}

// trimDashes gives the name of a flag as it was written: -json, --json, -type=full.
func trimDashes(a string) string {
	for len(a) > 0 && a[0] == '-' {
		a = a[1:]
	}
	for i, r := range a {
		if r == '=' {
			return a[:i]
		}
	}
	return a
}
