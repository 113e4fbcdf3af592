package core

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"coredrop/core/detect"
	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/core/summary"
)

// Case is one opened file and everything that was found of it so far. What was
// searched once is never searched again: a PDB that comes later, another type of
// dump, a conversion after an inspection cost no second pass. A Case is for one
// goroutine at a time; its source must outlive it.
type Case struct {
	o       Options
	source  source.Source
	trouble *source.Trouble
	guest   detect.Found
	facts   summary.Facts
	debug   []*debugFile
	cannot  error // why no dump can be made; nil: one can
}

// Cannot says why no crash dump can be made of the file; nil: one can.
func (c *Case) Cannot() error { return c.cannot }

// decide notes whether a dump can be made.
func (c *Case) decide(err error) { c.cannot, c.facts.Cannot = err, err }

func (c *Case) warn(code fault.Code, format string, args ...any) {
	c.facts.Warnings = append(c.facts.Warnings, fault.Warn(code, format, args...))
}

// Summary says what is known of the file by now. Its Error is what ended the
// last job.
func (c *Case) Summary() *summary.Summary { return summary.Of(c.facts) }

// do runs a job: a panic becomes a fault whose stack goes to the log, a failing
// read of the input is never mistaken for a missing page, a file that failed
// once is not read on, and what went wrong stands in the summary.
func (c *Case) do(ctx context.Context, job func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p := &panicked{r, debug.Stack()}
			for line := range strings.Lines(string(p.stack)) {
				c.o.Logf("%s", strings.TrimRight(line, "\n"))
			}
			err = fault.Wrap(p, fault.Internal, "something broke here: %v", r)
		}
		trouble := c.trouble.Err()
		switch {
		case ctx.Err() != nil && (err != nil || trouble != nil):
			err = fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
		case trouble != nil:
			err = trouble
		}
		if c.o.Packed != nil {
			err = unpacking(err)
		}
		c.facts.Err = err
	}()
	if c.source.ReaderAt == nil {
		return fault.New(fault.InputUnreadable, "there is no input")
	}
	if err := c.trouble.Err(); err != nil {
		return err
	}
	return job()
}

// panicked is the cause of an internal error, with the stack for the log.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprint(p.value) }

// formatLog is the format of a file that is the text of a log.
const formatLog = "log"
