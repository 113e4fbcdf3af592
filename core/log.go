//go:build !lean

package core

import (
	"bufio"
	"context"
	"errors"
	"io"

	"coredrop/core/fault"
	"coredrop/core/kcsan/logtext"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/summary"
)

// textHead is how much of a file is looked at to tell whether it is text: memory
// that was kept over a reboot may begin with many NUL bytes.
const textHead = 64 << 10

// isText tells the text of a log from a core and from what else is not text.
func isText(s source.Source) bool {
	_, ok := textOf(s)
	return ok
}

// textOf tells text from what is not, and whether it is likely to be a log, whatever
// else it may be taken for: a page or an answer in JSON.
func textOf(s source.Source) (likely, ok bool) {
	head := make([]byte, min(s.Size, textHead))
	if s.Full(head, 0) != nil || !logtext.IsText(head) {
		return false, false
	}
	return logtext.Likely(head), true
}

// IsLog reports whether the file is text, perhaps of a kernel log.
func (c *Case) IsLog() bool { return c.facts.Machine == nil && isText(c.source) }

// readLog takes the reports out of the text of a log.
func (c *Case) readLog(ctx context.Context) error {
	var err error
	c.facts.Format = formatLog
	c.facts.Races, err = logRaces(ctx, io.NewSectionReader(c.source, 0, c.source.Size))
	return err
}

func logRaces(ctx context.Context, r io.Reader) (*races.Result, error) {
	log, err := logtext.Read(ctx, r)
	return races.FromLog(log), err
}

// RacesOfLog reads the text of a log that cannot be read at random, a pipe's: the
// same result and summary as a Case of the same text.
func RacesOfLog(ctx context.Context, name string, r io.Reader, o Options) (*races.Result, *summary.Summary, error) {
	counted := &counter{r: r}
	in := bufio.NewReaderSize(counted, textHead)
	var result *races.Result
	head, err := in.Peek(textHead)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		err = fault.Wrap(err, fault.InputUnreadable, "could not read %s: %v", name, err)
	case len(head) > 0 && !logtext.IsText(head):
		err = fault.New(fault.UnknownFormat, "%s is not the text of a kernel log; a core has to be a file, as it is read at random", name)
	default:
		result, err = logRaces(ctx, in)
	}
	s := summary.Of(summary.Facts{File: source.Source{Name: name, Size: counted.n}, Format: formatLog, OfLinux: summary.OfLinux{Races: result}, Err: err})
	return result, s, err
}

// counter counts what is read: the size of a pipe is known afterwards.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
