package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"coredrop/core"
	"coredrop/core/fault"
	"coredrop/core/summary"
	"coredrop/core/windows/stacks"
)

const stacksUsage = `usage: coredrop stacks [flags] CORE

Prints where every processor of the guest stood: call stacks from the core
alone, the one that called KeBugCheckEx first. Names come from PDBs along the
symbol path, else from exports; without either, module and offset. What is not
proved is marked as guessed. A Linux guest's stacks are in the kernel's form.

`

// runStacks is coredrop stacks.
func runStacks(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("stacks", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print the summary as JSON")
	threads := set.Bool("threads", false, "all threads that can be reached, not the processors' only")
	path := set.String("symbols", "", "symbol `path` as of convert")
	verbose := set.Bool("v", false, "print each step with the values found, on stderr")
	var how opening
	how.flags(set)
	vmlinux := debugFlag(set)
	files, code, done := parse(set, args, stacksUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) != 1 {
		return usageError(stderr, "stacks", "stacks needs one core")
	}
	name := files[0]
	t := newTerminal(stderr, *verbose)
	in, err := how.open(ctx, name, stdin)
	if err != nil {
		return printStacks("", name, unopened(name, err), err, *asJSON, stdout, stderr)
	}
	defer in.close()
	if err := how.unpacked(ctx, in, name, "", t.sink()); err != nil {
		return printStacks("", name, unopened(name, err), err, *asJSON, stdout, stderr)
	}
	options := core.Options{CacheBytes: cacheBytes, Sink: t.sink()}
	if *path == "" {
		*path = defaultSymbolPath()
	}
	if !isNoSymbols(*path) {
		r := newResolver(*path, how.allowHTTP, t.sink())
		defer r.close()
		options.Symbols = r
		defer func() { warn(stderr, r.allWarnings()) }()
	}
	c, _ := core.Open(ctx, in.source(), how.of(options, in)) // Stacks says why there are none
	closeDebug, err := useDebug(ctx, c, *vmlinux, &how)
	defer closeDebug()
	var rep *stacks.Report
	if err == nil {
		rep, err = c.Stacks(ctx, *threads)
	}
	t.clear()
	sum := c.Summary()
	if err == nil {
		if err = in.unchanged(); err != nil {
			sum.Fail(err)
		}
	}
	text := ""
	if rep != nil {
		text = rep.Text()
	} else if err == nil {
		text = linuxStacks(sum)
	}
	return printStacks(text, name, sum, err, *asJSON, stdout, stderr)
}

// printStacks prints the stacks as text, or the whole summary.
func printStacks(text, name string, s *summary.Summary, err error, asJSON bool, stdout, stderr io.Writer) int {
	if asJSON {
		if err := printJSON(stdout, s); err != nil {
			return fail(stderr, fault.Wrap(err, fault.OutputFailed, "could not print the summary: %v", err))
		}
	}
	warn(stderr, s.Warnings)
	if err != nil {
		return failAbout(stderr, name, err)
	}
	if !asJSON {
		for line := range strings.Lines(text) {
			fmt.Fprintln(stdout, oneLine(strings.TrimSuffix(line, "\n")))
		}
	}
	return exitDone
}

// linuxStacks writes the stacks of a Linux guest's CPUs in the kernel's form.
func linuxStacks(s *summary.Summary) string {
	var b strings.Builder
	for i, c := range s.CPUs {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "CPU %d", c.Index)
		if p := c.Process; p != nil {
			fmt.Fprintf(&b, ", task %s (%d)", p.Name, p.PID)
		}
		b.WriteString("\n")
		if len(c.Stack) == 0 {
			fmt.Fprintf(&b, " no stack: %s mode at %s\n", c.Mode, c.PC)
		}
		for _, f := range c.Stack {
			b.WriteString(" " + placeText(f))
			if f.File != "" {
				fmt.Fprintf(&b, " %s:%d", f.File, f.Line)
			}
			if f.Inline {
				b.WriteString(" (inlined)")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}
