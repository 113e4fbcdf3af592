package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"

	"coredrop/core"
	"coredrop/core/fault"
	"coredrop/core/races"
	"coredrop/core/summary"
)

const kcsanUsage = `usage: coredrop kcsan [flags] CORE|LOG

Prints the data-race reports (KCSAN) that the core of a Linux guest or the text
of a kernel log holds, one of each with how often it occurs. From a core also
those that never were printed: in flight, pending or suppressed when the machine
stopped, rebuilt from memory and CPU state. No vmlinux is needed; with one, or
with a module's .ko.debug, stacks have source lines. LOG is the output of dmesg, of a console or of the journal, with or without time stamps;
- is standard input.

`

// runKCSAN is the subcommand kcsan.
func runKCSAN(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("kcsan", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print the summary as JSON")
	asLog := set.Bool("log", false, "print the kernel log of a core instead of its reports")
	debug := debugFlag(set)
	verbose := set.Bool("v", false, "print each step with the values found, on stderr")
	files, code, done := parse(set, args, kcsanUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) != 1 {
		return usageError(stderr, "kcsan", "kcsan takes one core or log, not %d", len(files))
	}
	t := newTerminal(stderr, *verbose)
	options := core.Options{CacheBytes: cacheBytes, Sink: t.sink()}
	name := files[0]
	if pipe, err := logPipe(ctx, name, stdin); pipe != nil || err != nil {
		if err == nil && *asLog {
			return usageError(stderr, "kcsan", "-log prints the kernel log of a core, which cannot come from a pipe")
		}
		if err != nil {
			return printRaces(nil, unopened(name, err), err, *asJSON, stdout, stderr)
		}
		if len(*debug) > 0 {
			return usageError(stderr, "kcsan", "-vmlinux is for a core, whose build ID tells whether the file belongs to it")
		}
		result, sum, err := core.RacesOfLog(ctx, name, pipe, options)
		return printRaces(result, sum, err, *asJSON, stdout, stderr)
	}
	in, err := openInput(ctx, name, stdin)
	if err != nil {
		return printRaces(nil, unopened(name, err), err, *asJSON, stdout, stderr)
	}
	defer in.close()
	c, _ := core.Open(ctx, in.source(), options) // why no dump can be made does not matter here
	if *asLog {
		return printLog(ctx, c, in, t, stdout, stderr)
	}
	result, err := c.Races(ctx)
	if err == nil {
		var done func()
		done, err = useDebug(ctx, c, *debug)
		defer done()
	}
	t.clear()
	sum := c.Summary()
	if err == nil {
		if err = in.unchanged(); err != nil {
			sum.Fail(err)
		}
	}
	return printRaces(result, sum, err, *asJSON, stdout, stderr)
}

// logPipe opens what can only be read from its beginning on: the standard input,
// unless that is a file, and a FIFO or a shell's <(command). Neither may hold a
// Ctrl-C. nil, nil: it is a file.
func logPipe(ctx context.Context, name string, stdin io.Reader) (io.Reader, error) {
	if name == standard {
		if f, ok := stdin.(*os.File); ok {
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				return nil, nil
			}
		}
		return untilDone(ctx, stdin), nil
	}
	info, err := os.Stat(name)
	if err != nil || info.Mode().IsRegular() || info.IsDir() {
		return nil, nil // opening it will say why
	}
	f, err := await(ctx, func() (*os.File, error) { return os.Open(name) })
	if err != nil {
		return nil, inputError(name, err)
	}
	return untilDone(ctx, f), nil // until the process ends
}

// printLog prints the log of a core.
func printLog(ctx context.Context, c *core.Case, in *input, t *terminal, stdout, stderr io.Writer) int {
	if c.IsLog() {
		return usageError(stderr, "kcsan", "-log prints the kernel log of a core: %s is a log already", in.info.Name())
	}
	log, err := c.Log(ctx)
	t.clear()
	if err == nil {
		err = in.unchanged()
	}
	warn(stderr, c.Summary().Warnings)
	if err == nil {
		if _, werr := io.WriteString(stdout, printable(log)); werr != nil {
			err = fault.Wrap(werr, fault.OutputFailed, "could not write the log: %v", werr)
		}
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitDone
}

// printRaces prints the summary as JSON, or the reports as text.
func printRaces(r *races.Result, s *summary.Summary, err error, asJSON bool, stdout, stderr io.Writer) int {
	if asJSON {
		if werr := printJSON(stdout, s); err == nil && werr != nil {
			err = fault.Wrap(werr, fault.OutputFailed, "could not print the summary: %v", werr)
		}
	} else if err == nil {
		err = writeRaces(stdout, s, r)
	}
	warn(stderr, s.Warnings)
	if err != nil {
		return fail(stderr, err)
	}
	return exitDone
}

// writeRaces prints the guest in one line and its reports.
func writeRaces(w io.Writer, s *summary.Summary, r *races.Result) error {
	var text bytes.Buffer
	switch {
	case s.Linux == nil:
		fmt.Fprintf(&text, "# no race reports in %s\n", oneLine(s.File.Name))
	default:
		fmt.Fprintf(&text, "# %s: Linux %s", oneLine(s.File.Name), oneLine(s.Linux.Release))
		if k := s.Linux.KCSAN; k != nil {
			fmt.Fprintf(&text, "; reports: %d printed, %d in flight, %d pending, %d suppressed, %d residue",
				k.Printed, k.InFlight, k.Pending, k.Suppressed, k.Residue)
		}
		fmt.Fprint(&text, "\n")
	}
	if len(r.Reports)+len(r.Fragments) > 0 {
		fmt.Fprint(&text, "\n")
	}
	err := r.WriteText(&text)
	if err == nil {
		_, err = io.WriteString(w, printable(text.String()))
	}
	if err != nil {
		return fault.Wrap(err, fault.OutputFailed, "could not write the reports: %v", err)
	}
	return nil
}

// printable keeps a guest's text from moving the terminal's cursor or colours:
// control characters but for line ends and tabs become question marks.
func printable(s string) string {
	out := []rune(s)
	for i, c := range out {
		if c < 0x20 && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 {
			out[i] = '?'
		}
	}
	return string(out)
}
