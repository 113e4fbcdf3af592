package savevm

import (
	"context"
	"errors"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// cursor walks a file from front to back.
type cursor struct {
	ctx   context.Context
	sink  progress.Sink
	from  sequence
	end   int64
	at    int64 // of the next byte
	start int64 // of buf
	buf   []byte
	space []byte
}

// maxTake bounds one take.
const maxTake = 64 << 10

// errCut says that the file ends before what it announces.
var errCut = errors.New("the file ends")

// damage is what cannot be in a sound stream.
type damage struct {
	at   int64
	text string
}

func (d *damage) Error() string { return fmt.Sprintf("at %#x, %s", d.at, d.text) }

func newCursor(ctx context.Context, s source.Source, at int64, sink progress.Sink) *cursor {
	return &cursor{ctx: ctx, sink: sink, from: sequence{s: s}, end: s.Size, at: at, start: at}
}

func (c *cursor) close() { c.from.close() }

// damaged words what is wrong here.
func (c *cursor) damaged(format string, args ...any) error {
	return &damage{c.at, fmt.Sprintf(format, args...)}
}

// peek gives the next n bytes, at most maxTake, fewer at the end of the file. They
// are valid until the next call.
func (c *cursor) peek(n int) ([]byte, error) {
	n = int(max(0, min(int64(n), c.end-c.at)))
	if c.at+int64(n) > c.start+int64(len(c.buf)) {
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
	return c.buf[c.at-c.start:][:n], nil
}

// fill reads on from at.
func (c *cursor) fill() error {
	if err := c.ctx.Err(); err != nil {
		return fault.Wrap(err, fault.Cancelled, "")
	}
	c.sink.Report("reading the index", c.at, c.end)
	if c.space == nil {
		c.space = make([]byte, mem.ScanChunk+maxTake)
	}
	kept := 0
	if have := c.start + int64(len(c.buf)); c.at < have {
		kept = copy(c.space, c.buf[c.at-c.start:])
	}
	size := int(min(int64(len(c.space)), c.end-c.at))
	if err := c.from.read(c.space[kept:size], c.at+int64(kept)); err != nil {
		c.buf = nil
		c.start = c.at
		return err
	}
	c.buf, c.start = c.space[:size], c.at
	return nil
}

// seek moves to a place.
func (c *cursor) seek(at int64) {
	c.at = at
	if at < c.start || at > c.start+int64(len(c.buf)) {
		c.buf, c.start = nil, at
	}
}

// take gives the next n bytes and steps over them; errCut where they are not all
// there.
func (c *cursor) take(n int) ([]byte, error) {
	if i := c.at - c.start; i+int64(n) <= int64(len(c.buf)) {
		c.at += int64(n)
		return c.buf[i:][:n], nil
	}
	p, err := c.peek(n)
	if err != nil {
		return nil, err
	}
	if len(p) < n {
		return nil, errCut
	}
	c.at += int64(n)
	return p, nil
}

// skip steps over n bytes; errCut, at the end of the file, where they are not all
// there.
func (c *cursor) skip(n int64) error {
	if n > c.end-c.at {
		c.seek(c.end)
		return errCut
	}
	c.seek(c.at + n)
	return nil
}

func (c *cursor) u8() (byte, error) {
	p, err := c.take(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

func (c *cursor) u16() (uint16, error) {
	p, err := c.take(2)
	if err != nil {
		return 0, err
	}
	return be.Uint16(p), nil
}

func (c *cursor) u32() (uint32, error) {
	p, err := c.take(4)
	if err != nil {
		return 0, err
	}
	return be.Uint32(p), nil
}

func (c *cursor) u64() (uint64, error) {
	p, err := c.take(8)
	if err != nil {
		return 0, err
	}
	return be.Uint64(p), nil
}

// str8 is a length byte and so many bytes.
func (c *cursor) str8() (string, error) {
	n, err := c.u8()
	if err != nil {
		return "", err
	}
	p, err := c.take(int(n))
	return string(p), err
}
