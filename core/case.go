package core

import (
	"context"
	"fmt"
	"runtime/debug"
	"strings"

	"coredrop/core/detect"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/linux"
	"coredrop/core/machine"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/core/windows"
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

// Open opens a file and finds out which guest it holds. The Case is never nil:
// what is known so far is kept, whatever ended the search. The error, a
// *fault.Error, says why no crash dump can be made of the file: it may still
// hold race reports.
func Open(ctx context.Context, s source.Source, o Options) (*Case, error) {
	c := &Case{o: o, facts: summary.Facts{File: s}}
	c.source, c.trouble = source.Watch(s)
	c.decide(c.do(ctx, func() error { return c.open(ctx) }))
	return c, c.cannot
}

// Cannot says why no crash dump can be made of the file; nil: one can.
func (c *Case) Cannot() error { return c.cannot }

// decide notes whether a dump can be made.
func (c *Case) decide(err error) { c.cannot, c.facts.Cannot = err, err }

// open reads the container and searches the kernel.
func (c *Case) open(ctx context.Context) error {
	m, err := machine.Open(ctx, c.source, machine.Options{CacheBytes: c.o.CacheBytes, Sink: c.o.Sink}, openers...)
	c.facts.Machine = m
	if err != nil {
		if likely, text := textOf(c.source); text && likely {
			err = fault.New(fault.IsLog, "") // a page or JSON that holds one
		}
		if fault.Is(err, fault.IsLog) {
			c.facts.Format = formatLog
		}
		return err
	}
	if c.o.Compat {
		c.guest.Windows = windows.NewSearch(m, windows.Options{Symbols: c.o.Symbols, Compat: true, Sink: c.o.Sink})
		c.guest.Windows.Quick(ctx)
		return c.windows()
	}
	if c.guest, err = detect.Guest(ctx, m, detect.Options{Symbols: c.o.Symbols, Sink: c.o.Sink}); err != nil {
		return err
	}
	if l := c.guest.Linux; l != nil {
		c.facts.OS, c.facts.LinuxRelease = "linux", l.Release()
		return fault.New(fault.IsLinux, "this is a Linux guest (%s)", l.Release())
	}
	if err := c.windows(); err != nil {
		return err
	}
	return c.stand(ctx)
}

// windows takes over what the search for a Windows kernel found.
func (c *Case) windows() error {
	k, err := c.guest.Windows.Result()
	if err == nil {
		err = dmp.Check(k, c.o.Compat)
	}
	err = cutOff(c.facts.Machine, c.facts.Machine.Doubted(err))
	c.show(k, err)
	return err
}

// cutOff puts first that the core ends early, where a search in what is there
// failed: that is the likelier reason.
func cutOff(m *machine.Machine, err error) error {
	f := fault.As(err)
	if f == nil || m.MissingEnd == 0 || f.Code == fault.Cancelled || f.Code == fault.Truncated {
		return err
	}
	for _, w := range m.Warnings {
		if w.Code == fault.Truncated {
			return fault.Wrap(err, fault.Truncated, "%s, and perhaps for that reason: %s", w.Text, f.Text).Add(f.Hints...)
		}
	}
	return err
}

// show is what the summary says of Windows.
func (c *Case) show(k *windows.Kernel, err error) {
	c.facts.Windows, c.facts.Marks, c.facts.Sizes = k, nil, nil
	if k == nil {
		return
	}
	c.facts.Marks = k.Marks()
	if err == nil {
		c.facts.Sizes = dmp.Sizes(k)
	}
}

// Use takes symbols that came later, and judges the debugger block anew; nothing
// is searched again. The error says, like Open's, why no dump can be made.
func (c *Case) Use(ctx context.Context, s windows.Symbols) error {
	c.o.Symbols = s
	if c.guest.Windows == nil {
		return c.cannot
	}
	err := c.do(ctx, func() error {
		if err := c.guest.Windows.Use(ctx, s); err != nil {
			return err
		}
		if err := c.windows(); err != nil {
			return err
		}
		return c.stand(ctx)
	})
	if ctx.Err() == nil {
		c.decide(err)
	}
	return err
}

// Convert describes the crash dump of a Windows guest. The image reads the
// source whenever its bytes are wanted. A dump that, read back, does not hold
// what the core does is still given, with a warning in the summary.
func (c *Case) Convert(ctx context.Context, o dmp.Options) (*dmp.Image, error) {
	c.facts.Image, c.facts.Verified, c.facts.Warnings, c.facts.Cannot = nil, false, nil, c.cannot
	err := c.do(ctx, func() error {
		k, err := c.kernel(ctx, o.Compat)
		c.show(k, err)
		if err != nil {
			c.facts.Cannot = err
			return err
		}
		if o.OnLine == nil && o.OnProgress == nil {
			o.Sink = c.o.Sink
		}
		im, err := dmp.New(ctx, k, o)
		if err != nil {
			c.facts.Cannot = err
			return err
		}
		c.facts.Image, c.facts.Cannot = im, nil
		if c.o.NoVerify {
			return nil
		}
		return c.verify(ctx, k, im)
	})
	if err != nil {
		c.facts.Image = nil
	}
	return c.facts.Image, err
}

// kernel gives the kernel to convert. Upstream's choices need a search of their
// own, which reads a few pages.
func (c *Case) kernel(ctx context.Context, compat bool) (*windows.Kernel, error) {
	if compat && !c.o.Compat && c.guest.Windows != nil {
		return windows.Locate(ctx, c.facts.Machine, windows.Options{Symbols: c.o.Symbols, Compat: true, Sink: c.o.Sink})
	}
	if c.guest.Windows == nil {
		return nil, c.cannot
	}
	k, err := c.guest.Windows.Result()
	if err == nil {
		err = c.cannot
	}
	return k, err
}

// verify reads the image back. Only a failing context is an error.
func (c *Case) verify(ctx context.Context, k *windows.Kernel, im *dmp.Image) error {
	report, err := dmp.Verify(ctx, im, im.Size())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		c.warn(fault.VerifyFailed, "%s", fault.As(err).Text)
		return nil
	}
	if wrong := append(report.Differences(k, im), report.Problems...); len(wrong) > 0 {
		c.warn(fault.VerifyFailed, "reading the dump back: %s", strings.Join(wrong, "; "))
		return nil
	}
	c.facts.Verified = true
	return nil
}

func (c *Case) warn(code fault.Code, format string, args ...any) {
	c.facts.Warnings = append(c.facts.Warnings, fault.Warn(code, format, args...))
}

// Races recovers the data-race reports of a Linux core: printed ones from its
// log, and those that never were from memory and CPU state. The text of a kernel
// log instead of a core gives the reports in it. A kernel without KCSAN gives an
// empty result and a warning; a core of another guest is an error.
func (c *Case) Races(ctx context.Context) (*races.Result, error) {
	err := c.do(ctx, func() error {
		if c.facts.Machine == nil && isText(c.source) {
			return c.readLog(ctx)
		}
		k, err := c.linux(ctx)
		if err != nil {
			return err
		}
		if c.facts.Races, err = races.Recover(ctx, k, c.o.Sink); err != nil {
			return err
		}
		return c.findLines(ctx)
	})
	return c.facts.Races, err
}

// Log writes the log of a Linux core as dmesg prints it: a time stamp and the
// text, lines after a record's first one indented as far.
func (c *Case) Log(ctx context.Context) (string, error) {
	var b strings.Builder
	err := c.do(ctx, func() error {
		k, err := c.linux(ctx)
		if err != nil {
			return err
		}
		return k.Log(ctx, func(r linux.Record) bool {
			b.WriteString(r.Dmesg())
			return true
		})
	})
	return b.String(), err
}

// linux gives the Linux kernel, found once. A guest of another kind is named.
func (c *Case) linux(ctx context.Context) (*linux.Kernel, error) {
	switch {
	case c.facts.Linux != nil:
		return c.facts.Linux, nil
	case c.guest.Linux == nil && c.facts.Windows != nil && c.facts.Windows.Image != nil:
		return nil, fault.New(fault.IsWindows, "")
	case c.guest.Linux == nil && c.guest.Windows != nil:
		return nil, fault.New(fault.LinuxUnreachable, "")
	case c.guest.Linux == nil:
		return nil, c.cannot
	}
	k, err := c.guest.Linux.Locate(ctx)
	if err != nil {
		return nil, err
	}
	log, err := k.ReadLog(ctx)
	if ctx.Err() != nil {
		return nil, err
	} else if err != nil { // the rest is known all the same
		f := fault.As(err)
		c.warn(f.Code, "%s", f.Text)
	}
	c.facts.Linux, c.facts.State, c.facts.Log = k, k.State(), &log
	return k, nil
}

// Summary says what is known of the file by now. Its Error is what ended the
// last job.
func (c *Case) Summary() *summary.Summary { return summary.Of(c.facts) }

// panicked is the cause of an internal error, with the stack for the log.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprint(p.value) }

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
