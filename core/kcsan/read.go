package kcsan

import (
	"bufio"
	"context"
	"errors"
	"io"
)

// readBuffer is how much of a log is read at a time, and the longest line that
// is seen in one piece; it is longer than any line that is kept.
const readBuffer = 64 << 10

// ReadLog is [ParseLog] for a log that is read as a stream, so that its size
// does not matter. It fails with the context's error, or with the reader's:
// what was found until then is returned as well.
func ReadLog(ctx context.Context, r io.Reader) ([]Found, error) {
	var a Assembler
	in := bufio.NewReaderSize(r, readBuffer)
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return a.Finish(), ctx.Err()
		}
		line, err := in.ReadSlice('\n')
		text := string(line)
		// The rest of a line of megabytes is passed over: it is longer than
		// what the assembler looks at.
		for errors.Is(err, bufio.ErrBufferFull) && ctx.Err() == nil {
			_, err = in.ReadSlice('\n')
		}
		if n := len(text); n > 0 && text[n-1] == '\n' {
			text = text[:n-1]
		}
		if err == nil || text != "" {
			a.AddLine(text)
		}
		if errors.Is(err, io.EOF) {
			return a.Finish(), nil
		}
		if err != nil {
			if ctx.Err() != nil {
				err = ctx.Err()
			}
			return a.Finish(), err
		}
	}
}
