package logtext

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strconv"
	"strings"
)

// readBuffer is how much of a log is read at a time, and the longest piece of a
// line that is seen at once; it is longer than any line that is kept.
const readBuffer = 64 << 10

// Read finds the reports of a log that is read as a stream, so that its size does
// not matter: time is linear in it, and memory is bounded. It fails with the
// context's error, or with the reader's: what was found until then is returned
// as well.
func Read(ctx context.Context, r io.Reader) (*Log, error) {
	var c collector
	l := lineReader{a: Assembler{visit: c.add}, in: bufio.NewReaderSize(decoded(r), readBuffer)}
	err := l.read(ctx)
	l.a.finish()
	return &c.log, err
}

// Parse finds the reports of a log's text, equal ones as often as they occur.
func Parse(text string) []Found {
	l := lineReader{in: bufio.NewReaderSize(decoded(strings.NewReader(text)), readBuffer)}
	l.read(context.Background()) // neither this context nor this reader fails
	return l.a.Finish()
}

// A lineReader cuts a stream into lines.
type lineReader struct {
	a      Assembler
	in     *bufio.Reader
	held   []byte // the end of a piece of a line that may begin with the title
	export bool   // the log is in the journal's export format
}

func (l *lineReader) read(ctx context.Context) error {
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		piece, err := l.in.ReadSlice('\n')
		ends := err == nil
		if ends {
			piece = piece[:len(piece)-1]
		}
		if ends || len(piece) > 0 {
			l.piece(piece, ends)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			if len(l.held) > 0 {
				l.piece(nil, true)
			}
			return nil
		case err != nil:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return err
		}
		if ends && l.export {
			if err := l.field(string(bytes.TrimRight(piece, "\r"))); err != nil {
				return err
			}
		}
	}
}

// piece gives a line, or as much of an endless one as fits, to the assembler.
func (l *lineReader) piece(piece []byte, ends bool) {
	if len(l.held) > 0 {
		piece = append(l.held, piece...)
		l.held = nil
	}
	if !ends {
		// The title may lie across the cut.
		for n := min(len(title)-1, len(piece)); n > 0; n-- {
			if strings.HasPrefix(title, string(piece[len(piece)-n:])) {
				l.held = bytes.Clone(piece[len(piece)-n:])
				piece = piece[:len(piece)-n]
				break
			}
		}
	}
	if l.a.idle() && !telling(piece) {
		l.a.pass(piece)
		return
	}
	if bytes.HasPrefix(piece, []byte("__CURSOR=")) {
		l.export, l.a.hint = true, message{}
	}
	if us, ok := bytes.CutPrefix(piece, []byte("__MONOTONIC_TIMESTAMP=")); ok && l.export {
		n, err := strconv.ParseUint(string(us), 10, 64)
		l.a.hint = message{time: n * 1000, timed: err == nil && n < 1<<53}
	}
	l.a.addPiece(string(piece), ends)
}

// telling reports whether a line may have to do with a report at all, or change
// how the next ones are read.
func telling(line []byte) bool {
	return bytes.Contains(line, []byte("KCSAN")) || bytes.Contains(line, []byte("========")) ||
		bytes.Contains(line, []byte("Kernel Concurrency")) || bytes.Contains(line, []byte("=3D=3D")) ||
		bytes.IndexByte(line, '{') >= 0 || bytes.IndexByte(line, esc) >= 0 || bytes.IndexByte(line, 0) >= 0 ||
		bytes.HasPrefix(line, []byte("__")) || bytes.HasPrefix(line, []byte("[")) && len(line) < 4 ||
		bytes.HasPrefix(line, []byte("From ")) || len(line) > 0 && (line[0] == 'C' || line[0] == 'c') || bytes.HasSuffix(line, []byte("="))
}

// idle reports whether nothing is open in the assembler.
func (a *Assembler) idle() bool {
	return len(a.streams) == 0 && !a.json.inside() && !a.un.broken
}

// pass notes a line that has nothing to do with any report.
func (a *Assembler) pass(line []byte) {
	a.lines++
	a.past.pushBytes(bytes.TrimRight(line, "\r"))
}

// Limits of a field of the export format.
const maxField = 1 << 20

// field reads on where a line of the export format is the name of a field alone:
// its length, 64 bits little endian, its bytes and a newline follow
// (systemd.io/JOURNAL_EXPORT_FORMATS). The journal writes so what has a newline
// in it, as the second line of reordered-to.
func (l *lineReader) field(name string) error {
	if name == "" || strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" || len(name) > maxBracket {
		return nil
	}
	head, err := l.in.Peek(8)
	if err != nil {
		return nil // the next read says why
	}
	size := binary.LittleEndian.Uint64(head)
	if size > maxField {
		return nil // no field: text goes on
	}
	data := make([]byte, 8+size)
	if _, err := io.ReadFull(l.in, data); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return err
	}
	// Other fields are read over, but no title in them is.
	for line := range bytes.SplitSeq(data[8:], []byte("\n")) {
		l.piece([]byte(name+"="+string(line)), true)
	}
	return nil
}
