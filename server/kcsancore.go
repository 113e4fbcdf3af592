package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"coredrop/core"
	"coredrop/core/fault"
	"coredrop/core/races"
)

// isCore tells a core from the text of a log: a text has no NUL byte, a core has
// one in its first sixteen. What cannot be read is not a core; reading it as a
// log will say why.
func isCore(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close() // only read: nothing can be lost
	var head [16]byte
	n, _ := io.ReadFull(f, head[:])
	return bytes.IndexByte(head[:n], 0) >= 0
}

// kcsanFromCore recovers the reports of a core and prints them.
func kcsanFromCore(ctx context.Context, name string, asJSON, asLog bool, t *terminal, stdout, stderr io.Writer) int {
	in, err := openInput(name)
	if err != nil {
		return fail(stderr, err)
	}
	defer in.close()
	options := core.Options{CacheBytes: cacheBytes, Sink: t.sink()}
	if asLog {
		log, summary, err := core.LinuxLog(ctx, in.source(), options)
		t.clear()
		if err == nil {
			err = in.unchanged()
		}
		warn(stderr, summary.Warnings)
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
	result, summary, err := core.Races(ctx, in.source(), options)
	t.clear()
	if err == nil {
		if err = in.unchanged(); err != nil {
			summary.Fail(err)
		}
	}
	if asJSON {
		if werr := printJSON(stdout, summary); err == nil && werr != nil {
			err = fault.Wrap(werr, fault.OutputFailed, "could not print the summary: %v", werr)
		}
	} else if err == nil {
		err = writeRaces(stdout, summary, result)
	}
	warn(stderr, summary.Warnings)
	if err != nil {
		return fail(stderr, err)
	}
	return exitDone
}

// writeRaces prints the guest in one line and its reports.
func writeRaces(w io.Writer, s *core.Summary, r *races.Result) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "# %s: Linux %s", oneLine(s.File.Name), oneLine(s.Linux.Release))
	if k := s.Linux.KCSAN; k != nil {
		fmt.Fprintf(&text, "; reports: %d printed, %d in flight, %d pending, %d suppressed, %d residue",
			k.Printed, k.InFlight, k.Pending, k.Suppressed, k.Residue)
	}
	fmt.Fprint(&text, "\n")
	if len(r.Reports) > 0 {
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
