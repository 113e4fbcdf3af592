package logtext

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// Byte order marks.
var (
	markUTF8    = []byte("\xef\xbb\xbf")
	markUTF16LE = []byte("\xff\xfe")
	markUTF16BE = []byte("\xfe\xff")
)

// decoded gives a log as UTF-8 without a byte order mark. Text without a mark is
// as it is.
func decoded(r io.Reader) io.Reader {
	in := bufio.NewReaderSize(r, readBuffer)
	head, _ := in.Peek(sniffed)
	switch {
	case bytes.HasPrefix(head, markUTF8):
		in.Discard(len(markUTF8)) // just peeked at
	case 4*bytes.Count(head, []byte{0}) < len(head):
		// A log is nearly all ASCII: with so few NUL bytes a mark is none.
	case bytes.HasPrefix(head, markUTF16LE):
		in.Discard(len(markUTF16LE))
		return &utf16Reader{in: in, order: binary.LittleEndian}
	case bytes.HasPrefix(head, markUTF16BE):
		in.Discard(len(markUTF16BE))
		return &utf16Reader{in: in, order: binary.BigEndian}
	}
	return in
}

// A utf16Reader turns UTF-16 into UTF-8.
type utf16Reader struct {
	in    *bufio.Reader
	order binary.ByteOrder
	out   []byte // decoded and not read yet
	high  rune   // the first half of a pair
	buf   [4096]byte
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		n, err := io.ReadFull(u.in, u.buf[:])
		u.out = u.buf[:0:0]
		for i := 0; i+1 < n; i += 2 {
			r := rune(u.order.Uint16(u.buf[i:]))
			switch {
			case u.high != 0:
				r, u.high = utf16.DecodeRune(u.high, r), 0
			case utf16.IsSurrogate(r):
				u.high = r
				continue
			}
			u.out = utf8.AppendRune(u.out, r)
		}
		if len(u.out) == 0 && err != nil {
			if err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			return 0, err
		}
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// sniffed is how much of a file decides whether it is text.
const sniffed = 512

// IsText reports whether a file that begins with head is the text of a log, and
// no core, dump or archive: it has a byte order mark of UTF-16, or hardly any
// bytes but those of text, of line ends and of what drives a terminal. Serial
// lines bring single other ones, and memory that is kept over a reboot begins
// with NUL bytes: head should be long enough to reach beyond those.
func IsText(head []byte) bool {
	if bytes.HasPrefix(head, markUTF16LE) || bytes.HasPrefix(head, markUTF16BE) {
		return true
	}
	head = bytes.TrimLeft(head, "\x00")
	head = head[:min(len(head), sniffed)]
	odd, broken := 0, 0
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			broken++
		case r < ' ' && bytes.IndexByte(consoleControls, byte(r)) < 0 || r == 0x7f:
			odd++
		}
		i += n
	}
	return len(head) > 0 && odd <= len(head)/oddShare && broken <= len(head)/brokenShare
}

// Likely reports whether a text that begins with head is a log rather than what a
// server put in the place of a file: it names the sanitizer, or is JSON with the
// keys of dmesg, the journal or a container's log.
func Likely(head []byte) bool {
	for _, word := range []string{"KCSAN", `"dmesg"`, `"MESSAGE"`, `"__CURSOR"`, `"log":`, "Linux version "} {
		if bytes.Contains(head, []byte(word)) || bytes.Contains(head, []byte(spread(word))) {
			return true
		}
	}
	return false
}

// spread is a word in UTF-16, from its second byte on: either order has it.
func spread(word string) string {
	var b bytes.Buffer
	for i := range len(word) {
		if i > 0 {
			b.WriteByte(0)
		}
		b.WriteByte(word[i])
	}
	return b.String()
}

// At most one byte of so many is another control character, or not UTF-8, in a
// text.
const (
	oddShare    = 16
	brokenShare = 4
)

// consoleControls are the control characters that stand in logs: of lines, of
// terminals, and the record mark of JSON sequences.
var consoleControls = []byte("\n\r\t\f\b\x07\x0e\x0f\x1b\x1e")
