package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/kcsan"
)

const kcsanUsage = `usage: coredrop kcsan [flags] CORE|LOG

Prints the data-race reports (KCSAN) that the core of a Linux guest or the text
of a kernel log holds, one of each with how often it occurs. From a core also
those that never were printed: in flight, pending or suppressed when the machine
stopped, rebuilt from memory and CPU state. No vmlinux is needed. LOG is the
output of dmesg, of a console or of the journal, with or without time stamps;
- is standard input.

`

// runKCSAN is the subcommand kcsan.
func runKCSAN(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("kcsan", flag.ContinueOnError)
	asJSON := set.Bool("json", false, "print one JSON object instead of text")
	asLog := set.Bool("log", false, "print the kernel log of a core instead of its reports")
	verbose := set.Bool("v", false, "print each step with the values found, on stderr")
	set.SetOutput(io.Discard) // what flag prints has neither prefix nor hint
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, kcsanUsage)
		set.SetOutput(stdout)
		set.PrintDefaults()
		return exitDone
	case err != nil:
		return usageError(stderr, "kcsan", "%v", err)
	case set.NArg() != 1:
		return usageError(stderr, "kcsan", "kcsan takes one core or log, not %d", set.NArg())
	}
	if name := set.Arg(0); name != "-" && isCore(name) {
		return kcsanFromCore(ctx, name, *asJSON, *asLog, newTerminal(stderr, *verbose), stdout, stderr)
	}

	result, err := kcsanFromLog(ctx, set.Arg(0), stdin)
	if *asJSON {
		if err != nil {
			f := fault.As(err)
			result.Error = &kcsanError{f.Code, f.Text, f.Remedy()}
		}
		if werr := writeKCSANJSON(stdout, result); err == nil && werr != nil {
			err = werr
		}
	} else if err == nil {
		err = writeKCSANText(stdout, result)
		warn(stderr, result.Warnings)
	}
	if err != nil {
		return fail(stderr, err)
	}
	return exitDone
}

// kcsanResult is what the subcommand prints, whatever it came from: the
// documented JSON object, in which text output finds the same things.
type kcsanResult struct {
	Schema int       `json:"schema"`
	File   kcsanFile `json:"file"`
	Guest  struct {
		OS string `json:"os"`
	} `json:"guest"`
	Linux     *kcsanLinux     `json:"linux,omitempty"`
	Reports   []kcsanReport   `json:"reports"`
	Fragments []kcsanFragment `json:"fragments"`
	Warnings  []fault.Warning `json:"warnings"`
	Error     *kcsanError     `json:"error,omitempty"`
}

type kcsanFile struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	Format string `json:"format"`
}

type kcsanLinux struct {
	Release string `json:"release"` // of the last report's kernel
	KCSAN   struct {
		Printed int `json:"printed"` // reports, the repeated ones included
	} `json:"kcsan"`
}

// kcsanReport is one distinct text.
type kcsanReport struct {
	State        string   `json:"state"`
	Title        string   `json:"title"`
	Text         string   `json:"text"`
	Count        int      `json:"count"`
	FirstSeconds *float64 `json:"first_seconds"` // null: the log has no time stamps
	Sources      []string `json:"sources"`
	Unknown      []string `json:"unknown"`
	caller       string
}

// kcsanFragment is what is not a whole report.
type kcsanFragment struct {
	Title  string `json:"title"`
	Text   string `json:"text"`
	Count  int    `json:"count"`
	Reason string `json:"reason"`
}

type kcsanError struct {
	Code   fault.Code `json:"code"`
	Text   string     `json:"text"`
	Remedy []string   `json:"remedy"`
}

// kcsanFromLog reads a log and says what is in it. The result is as far as it
// was known when an error came.
func kcsanFromLog(ctx context.Context, name string, stdin io.Reader) (*kcsanResult, error) {
	result := &kcsanResult{Schema: 1, Reports: []kcsanReport{}, Fragments: []kcsanFragment{}, Warnings: []fault.Warning{}}
	result.File = kcsanFile{Name: name, Format: "log"}
	result.Guest.OS = "unknown"
	in := stdin
	if name != "-" {
		result.File.Name = filepath.Base(name)
		f, err := os.Open(name)
		if err != nil {
			return result, kcsanInputError(name, err)
		}
		defer f.Close() // only read: nothing can be lost
		in = f
	}
	counted := &kcsanCounter{r: in}
	r := bufio.NewReaderSize(counted, 4096)
	// A text has no NUL byte; a core has one in its first sixteen.
	if head, _ := r.Peek(16); bytes.IndexByte(head, 0) >= 0 {
		return result, fault.New(fault.UnknownFormat, "%s is not the text of a kernel log", result.File.Name)
	}
	found, err := kcsan.ReadLog(ctx, r)
	result.File.Size = counted.n
	result.add(found)
	if err != nil && ctx.Err() == nil {
		err = kcsanInputError(name, err)
	}
	return result, err
}

// kcsanInputError puts the operating system's reason in words.
func kcsanInputError(name string, err error) error {
	reason := err
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		reason = p.Err
	}
	code := fault.InputUnreadable
	if errors.Is(err, fs.ErrPermission) {
		code = fault.NoPermission
	}
	return fault.Wrap(err, code, "could not read %s: %v", name, reason)
}

// kcsanCounter counts what is read: the size of a pipe is known afterwards.
type kcsanCounter struct {
	r io.Reader
	n int64
}

func (c *kcsanCounter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// add enters what a log held, grouped by title.
func (r *kcsanResult) add(found []kcsan.Found) {
	for _, g := range kcsan.GroupByTitle(kcsan.Distinct(found)) {
		for _, e := range g.Entries {
			if e.Report == nil {
				r.Fragments = append(r.Fragments, kcsanFragment{Title: e.Title, Text: e.Text(), Count: e.Count, Reason: e.Reason})
				continue
			}
			entry := kcsanReport{State: "printed", Title: g.Title, Text: e.Text(), Count: e.Count,
				Sources: []string{"log"}, Unknown: []string{}, caller: e.Caller}
			if e.Timed {
				seconds := float64(e.Time) / 1e9
				entry.FirstSeconds = &seconds
			}
			r.Reports = append(r.Reports, entry)
			if r.Linux == nil {
				r.Linux = &kcsanLinux{}
				r.Guest.OS = "linux"
			}
			r.Linux.Release = e.Report.Footer.Release
			r.Linux.KCSAN.Printed += e.Count
		}
	}
	if n := len(r.Fragments); n > 0 {
		r.Warnings = append(r.Warnings, fault.Warn(fault.LogDamaged,
			"%s not whole; what is left of it is shown with the reason", kcsanPlural(n, "report is", "reports are")))
	}
}

// kcsanPlural is a number with its noun.
func kcsanPlural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// writeKCSANJSON prints the object.
func writeKCSANJSON(w io.Writer, r *kcsanResult) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fault.Wrap(err, fault.OutputFailed, "could not write the result: %v", err)
	}
	return nil
}

// writeKCSANText prints every report in the kernel's own form, below a line that
// no parser takes for a part of one. Titles, texts and reasons come cleaned of
// control characters.
func writeKCSANText(w io.Writer, r *kcsanResult) error {
	b := bufio.NewWriter(w)
	if len(r.Reports)+len(r.Fragments) == 0 {
		fmt.Fprintf(b, "# no race reports in %s\n", oneLine(r.File.Name))
	}
	for i, e := range r.Reports {
		if i > 0 {
			fmt.Fprintln(b)
		}
		if i == 0 || r.Reports[i-1].Title != e.Title {
			fmt.Fprintf(b, "# %s\n", e.heading(r.Reports[i:]))
		}
		fmt.Fprintf(b, "# %s\n%s", e.origin(), e.Text)
	}
	for i, f := range r.Fragments {
		if i > 0 || len(r.Reports) > 0 {
			fmt.Fprintln(b)
		}
		times := ""
		if f.Count > 1 {
			times = fmt.Sprintf(", %d times", f.Count)
		}
		fmt.Fprintf(b, "# not a whole report%s: %s\n%s", times, f.Reason, f.Text)
	}
	if err := b.Flush(); err != nil {
		return fault.Wrap(err, fault.OutputFailed, "could not write the result: %v", err)
	}
	return nil
}

// heading sums up the reports with the title of the first.
func (e *kcsanReport) heading(list []kcsanReport) string {
	texts, count := 0, 0
	for _, o := range list {
		if o.Title != e.Title {
			break
		}
		texts++
		count += o.Count
	}
	if texts == count {
		return fmt.Sprintf("%s: %s", e.Title, kcsanPlural(count, "report", "reports"))
	}
	return fmt.Sprintf("%s: %s, %s", e.Title, kcsanPlural(count, "report", "reports"), kcsanPlural(texts, "text", "different texts"))
}

// origin says where a report comes from: "printed 3 times, first at 12.345678 s
// by T42".
func (e *kcsanReport) origin() string {
	var b strings.Builder
	b.WriteString(e.State)
	first := ""
	if e.Count > 1 {
		fmt.Fprintf(&b, " %d times,", e.Count)
		first = " first"
	}
	if e.FirstSeconds != nil {
		fmt.Fprintf(&b, "%s at %.6f s", first, *e.FirstSeconds)
	}
	if e.caller != "" {
		fmt.Fprintf(&b, " by %s", e.caller)
	}
	return strings.TrimSuffix(b.String(), ",")
}
