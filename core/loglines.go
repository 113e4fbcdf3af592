//go:build !lean

package core

import (
	"bufio"
	"context"
	"encoding/hex"
	"io"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/srcline"
	"coredrop/core/summary"
)

// debugLog uses a vmlinux for the reports of a log, when the log tells that it is
// the same build.
func (c *Case) debugLog(ctx context.Context, s source.Source) error {
	if c.facts.Races == nil {
		if err := c.readLog(ctx); err != nil {
			return err
		}
	}
	f, err := openDebug(s)
	if err == nil {
		err = c.ofLog(f, s.Name)
	}
	if err != nil {
		return c.notUsed(err)
	}
	lines := races.Lines{}
	for i := range c.facts.Races.Reports {
		for _, frame := range c.facts.Races.Reports[i].Frames() {
			if _, done := lines[frame.String()]; done {
				continue
			}
			found, err := logLines(ctx, f, frame)
			if ctx.Err() != nil {
				return err
			} else if err != nil { // of one unit
				e := fault.As(err)
				c.warn(e.Code, "%s", e.Text)
			}
			lines[frame.String()] = found
		}
	}
	c.facts.Races.Lines = lines
	c.facts.Debug = []summary.DebugFile{{Name: s.Name, BuildID: f.BuildID(), BytesRead: f.BytesRead()}}
	return nil
}

// ofLog tells whether a file is of the kernel whose log it is: by the build ID that
// its reports show (STACKTRACE_BUILD_ID), else by the kernel's first line, which
// has builder, compiler, number and date of the build.
func (c *Case) ofLog(f *srcline.File, name string) error {
	for i := range c.facts.Races.Reports {
		m := c.facts.Races.Reports[i].Model
		if m == nil {
			continue
		}
		words := strings.Fields(m.Footer.Tail)
		if len(words) == 0 {
			continue
		}
		id := words[len(words)-1]
		if raw, err := hex.DecodeString(id); err != nil || len(raw) < 16 {
			continue
		}
		if id != f.BuildID() {
			return fault.New(fault.DebugMismatch, "the file %s has the build ID %s, the log's kernel is %s; it was not used", name, f.BuildID(), id)
		}
		return nil
	}
	banner := c.logBanner()
	if banner == "" {
		return fault.New(fault.DebugMismatch, "the log does not tell which build its kernel is, by a build ID or by the kernel's first line, so nothing tells whether %s belongs to it; it was not used", name)
	}
	if own := f.Banner(); own != banner {
		return fault.New(fault.DebugMismatch, "the log is of another build than %s: it says \"%s\"; it was not used", name, banner)
	}
	return nil
}

// logBanner is the kernel's first line as the log has it, from "Linux version" on.
func (c *Case) logBanner() string {
	r := bufio.NewScanner(io.NewSectionReader(c.source, 0, c.source.Size))
	r.Buffer(nil, 1<<20)
	for r.Scan() {
		if _, text, ok := strings.Cut(r.Text(), "Linux version "); ok {
			return "Linux version " + strings.TrimRight(text, " \r")
		}
	}
	return ""
}

// logLines finds the source lines of a report's frame by its function's name: of
// several functions of that name the one whose size the frame tells. The kernel
// counts what is between functions to the one in front.
func logLines(ctx context.Context, f *srcline.File, frame kcsan.Frame) ([]srcline.Frame, error) {
	const padding = 64
	if frame.Symbol.Name == "" || frame.Symbol.Module != "" {
		return nil, nil
	}
	places, err := f.Places(frame.Symbol.Name)
	if err != nil {
		return nil, err
	}
	var found []srcline.Place
	for _, p := range places {
		if p.Size <= frame.Symbol.Size && frame.Symbol.Size-p.Size < padding {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return nil, nil
	}
	at := found[0].Addr + frame.Symbol.Offset
	if frame.Symbol.Offset > 0 { // it stands behind the call
		at--
	}
	return f.Frames(ctx, at)
}
