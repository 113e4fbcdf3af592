package main

import (
	"context"
	"flag"
	"fmt"
	"io"

	"coredrop/core"
	"coredrop/core/fault"
	"coredrop/core/summary"
)

const infoUsage = `usage: coredrop info [flags] CORE...

Says what each file is, whether it can be converted, and of a Linux guest what
went wrong in it. Reads headers and a few hundred pages; uses no network unless
the file's address or -symbols names a server. Exit code 0 for every file that is
recognised, also where it cannot be converted.

`

// runInfo is coredrop info.
func runInfo(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("info", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print the summary as JSON")
	path := set.String("symbols", noSymbols, "symbol `path` as of convert")
	verbose := set.Bool("v", false, "print each step with the values found, on stderr")
	var how opening
	how.flags(set)
	files, code, done := parse(set, args, infoUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) == 0 {
		return usageError(stderr, "info", "info needs a core")
	}
	t := newTerminal(stderr, *verbose)
	options := core.Options{CacheBytes: cacheBytes, Sink: t.sink()}
	var r *resolver
	if !isNoSymbols(*path) && *path != "" {
		r = newResolver(*path, how.allowHTTP, t.sink())
		defer r.close()
		options.Symbols = r
	}
	for i, name := range files {
		if i > 0 && !*asJSON {
			fmt.Fprintln(stdout)
		}
		summary, err := infoOf(ctx, name, stdin, &how, options)
		t.clear()
		code = max(code, printInfo(name, summary, err, *asJSON, stdout, stderr))
		if fault.Is(err, fault.Cancelled) {
			break
		}
	}
	if r != nil {
		warn(stderr, r.allWarnings())
	}
	return code
}

// infoOf inspects one file.
func infoOf(ctx context.Context, name string, stdin io.Reader, how *opening, options core.Options) (*summary.Summary, error) {
	in, err := how.open(ctx, name, stdin)
	if err != nil {
		return unopened(name, err), err
	}
	defer in.close()
	if err := how.unpacked(ctx, in, name, "", options.Sink); err != nil {
		return unopened(name, err), err
	}
	c, err := core.Open(ctx, in.source(), how.of(options, in))
	if fault.Is(err, fault.IsLinux) {
		if failed := c.Look(ctx); failed != nil {
			err = failed
		}
	}
	summary := c.Summary()
	summary.Fail(err)
	if err == nil {
		if err = in.unchanged(); err != nil {
			summary.Fail(err)
		}
	}
	return summary, err
}

// printInfo prints what was found. A file that is recognised is a success, and
// why it cannot be converted is a part of the answer.
func printInfo(name string, s *summary.Summary, err error, asJSON bool, stdout, stderr io.Writer) int {
	if asJSON {
		if err := printJSON(stdout, s); err != nil {
			return fail(stderr, fault.Wrap(err, fault.OutputFailed, "could not print the summary: %v", err))
		}
	}
	warn(stderr, s.Warnings)
	if err != nil && !recognised(fault.As(err).Code) {
		return failAbout(stderr, name, err)
	}
	if !asJSON {
		describe(stdout, s)
		if err != nil {
			f := fault.As(err)
			fmt.Fprintf(stdout, "convertible: no: %s\n", oneLine(coded(f.Text, f.Code)))
			for _, h := range fault.Lines(f.Steps(shown(name)), fault.CLI) {
				fmt.Fprintf(stdout, "  next step: %s\n", oneLine(h))
			}
		}
	}
	return exitDone
}

// unopened is the summary of a job that could not begin.
func unopened(name string, err error) *summary.Summary {
	s := summary.New()
	s.File.Name = nameOf(name)
	s.Fail(err)
	return s
}

// recognised reports whether an error still says what the file is.
func recognised(c fault.Code) bool {
	switch c {
	case fault.UnknownFormat, fault.EmptyFile, fault.DamagedHeader, fault.InputUnreadable, fault.InputStream,
		fault.NoPermission, fault.StoreDenied, fault.FileChanged, fault.NoRanges, fault.PlainHTTP, fault.Cancelled, fault.BadOption, fault.Internal:
		return false
	}
	return true
}
