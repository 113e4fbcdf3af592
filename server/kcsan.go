package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"coredrop/core"
	"coredrop/core/fault"
	"coredrop/core/races"
	"coredrop/core/summary"
	"coredrop/core/unpack"
)

const kcsanUsage = `usage: coredrop kcsan [flags] CORE|LOG

Prints the data-race reports (KCSAN) that the core of a Linux guest or the text
of a kernel log holds, one of each with how often it occurs. From a core also
those that never were printed: in flight, pending or suppressed when the machine
stopped, rebuilt from memory and CPU state. No vmlinux is needed; with one, or
with a module's .ko.debug, stacks have source lines. LOG is a text that holds
reports, however they got there: the output of dmesg, of a console, of the journal
or of a CI job, JSON, a mail, a page, a diff; - is standard input. What is not the
kernel's own text is shown with what differs, and what is no whole report with the
reason. Of a core, each report says what the raced address is: the variable, the
object of a slab cache, the stack. -what ADDRESS asks for any other.

Exit status: 0, also without a race; 1 when nothing can be read, or when a log
names races and none of them can be read; N of -exit-code when there are races
that no -allow names. In a CI job:

  coredrop kcsan -quiet -exit-code 3 -allow 'data-race in known_*' console.log

`

// runKCSAN is the subcommand kcsan.
func runKCSAN(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("kcsan", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print the summary as JSON")
	asLog := set.Bool("log", false, "print the kernel log of a core instead of its reports")
	debug := debugFlag(set)
	exit := set.Int("exit-code", 0, "the `status` to exit with when there are races, 3 to 255")
	quiet := set.Bool("quiet", false, "print one line a race: how often, and its title")
	var allowed globs
	set.Var(&allowed, "allow", "a `glob` of titles that are no reason for -exit-code; may be repeated")
	var what texts
	set.Var(&what, "what", "say what lies at an `address` of a core, and print no reports; may be repeated")
	var how opening
	how.flags(set)
	verbose := set.Bool("v", false, "print each step with the values found, on stderr")
	files, code, done := parse(set, args, kcsanUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) != 1 {
		return usageError(stderr, "kcsan", "kcsan takes one core or log, not %d", len(files))
	}
	if *exit != 0 && (*exit < 3 || *exit > 255) {
		return usageError(stderr, "kcsan", "-exit-code takes 3 to 255, not %d: 1 and 2 are the errors'", *exit)
	}
	addresses, err := parseAddresses(what)
	switch {
	case err != nil:
		return usageError(stderr, "kcsan", "%v", err)
	case len(what) > 0 && (*asLog || *asJSON || *quiet || *exit != 0):
		return usageError(stderr, "kcsan", "-what prints neither reports nor the log: it stands alone")
	}
	show := racesOutput{json: *asJSON, quiet: *quiet, exit: *exit, allowed: allowed}
	t := newTerminal(stderr, *verbose)
	options := core.Options{CacheBytes: cacheBytes, Sink: t.sink()}
	name := files[0]
	if pipe, err := logPipe(ctx, name, stdin); pipe != nil || err != nil {
		if err == nil && *asLog {
			return usageError(stderr, "kcsan", "-log prints the kernel log of a core, which cannot come from a pipe")
		}
		if err != nil {
			return show.print(nil, unopened(name, err), err, stdout, stderr)
		}
		if len(what) > 0 {
			return usageError(stderr, "kcsan", "-what is for a core: a log holds no memory")
		}
		if len(*debug) > 0 {
			return usageError(stderr, "kcsan", "-vmlinux is for a core, whose build ID tells whether the file belongs to it")
		}
		if how.unpack {
			stream, err := unpack.Open(pipe, name)
			if err != nil {
				return show.print(nil, unopened(name, err), err, stdout, stderr)
			}
			defer stream.Close()
			pipe = stream
		}
		result, sum, err := core.RacesOfLog(ctx, name, pipe, options)
		return show.print(result, sum, err, stdout, stderr)
	}
	in, err := how.open(ctx, name, stdin)
	if err != nil {
		return show.print(nil, unopened(name, err), err, stdout, stderr)
	}
	defer in.close()
	if err := how.unpacked(ctx, in, name, "", t.sink()); err != nil {
		return show.print(nil, unopened(name, err), err, stdout, stderr)
	}
	c, _ := core.Open(ctx, in.source(), how.of(options, in)) // why no dump can be made does not matter here
	if *asLog {
		return printLog(ctx, c, in, t, stdout, stderr)
	}
	if len(what) > 0 {
		return printWhat(ctx, c, in, addresses, t, stdout, stderr)
	}
	result, err := c.Races(ctx)
	if err == nil {
		var done func()
		done, err = useDebug(ctx, c, *debug, &how)
		defer done()
	}
	t.clear()
	sum := c.Summary()
	if err == nil {
		if err = in.unchanged(); err != nil {
			sum.Fail(err)
		}
	}
	return show.print(result, sum, err, stdout, stderr)
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
		return usageError(stderr, "kcsan", "-log prints the kernel log of a core: %s is a log already", in.name())
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

// writeRaces prints the guest in one line and its reports.
func writeRaces(w io.Writer, s *summary.Summary, r *races.Result) error {
	text := &plainWriter{w: w}
	switch {
	case s.Linux != nil:
		fmt.Fprintf(text, "# %s: Linux %s", oneLine(s.File.Name), oneLine(s.Linux.Release))
		if k := s.Linux.KCSAN; k != nil {
			fmt.Fprintf(text, "; reports: %d printed, %d in flight, %d pending, %d suppressed, %d residue",
				k.Printed, k.InFlight, k.Pending, k.Suppressed, k.Residue)
		}
		fmt.Fprint(text, "\n")
	case len(r.Fragments) > 0:
		fmt.Fprintf(text, "# %s: no whole race report\n", oneLine(s.File.Name))
	default:
		fmt.Fprintf(text, "# no race reports in %s\n", oneLine(s.File.Name))
	}
	if len(r.Reports)+len(r.Fragments) > 0 {
		fmt.Fprint(text, "\n")
	}
	if err := r.WriteText(text); err != nil {
		return err
	}
	return text.err
}

// A plainWriter is printable for text that is written in pieces: it keeps the
// bytes of a character together.
type plainWriter struct {
	w    io.Writer
	rest []byte
	err  error
}

func (p *plainWriter) Write(b []byte) (int, error) {
	all := append(p.rest, b...)
	cut := len(all)
	for n := 1; n < utf8.UTFMax && n <= cut; n++ {
		if utf8.RuneStart(all[cut-n]) {
			if !utf8.FullRune(all[cut-n:]) {
				cut -= n
			}
			break
		}
	}
	if p.err == nil {
		_, p.err = io.WriteString(p.w, printable(string(all[:cut])))
	}
	p.rest = append([]byte(nil), all[cut:]...)
	return len(b), p.err
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
