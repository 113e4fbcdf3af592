package source

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"coredrop/core/fault"
)

// of makes a source of bytes that also streams, in pieces of the buffer.
func of(data string) Source {
	r := strings.NewReader(data)
	return Source{ReaderAt: r, Size: r.Size(), Name: "core",
		Stream: func(off, n int64, buf []byte, visit func([]byte) error) error {
			for n > 0 {
				p := buf[:min(int64(len(buf)), n)]
				if _, err := r.ReadAt(p, off); err != nil {
					return err
				}
				if err := visit(p); err != nil {
					return err
				}
				off, n = off+int64(len(p)), n-int64(len(p))
			}
			return nil
		}}
}

// A wrapper must hand on all that a source can do: every field that is a
// capability is set, and must still be there behind Watch.
func TestWatchKeepsEveryField(t *testing.T) {
	s := of("0123456789")
	s.Prefetch = func([]Range) {}
	s.Block = 1 << 20
	s.Ahead = 8
	s.Beside = func(string) (Source, error) { return of("beside"), nil }
	w, _ := Watch(s)
	before, after := reflect.ValueOf(s), reflect.ValueOf(w)
	for i := range before.NumField() {
		name := before.Type().Field(i).Name
		if before.Field(i).IsZero() {
			t.Errorf("the test sets no %s", name)
		}
		if after.Field(i).IsZero() {
			t.Errorf("%s is lost", name)
		}
	}
	b, err := w.Beside(".vmem")
	if err != nil || b.Stream == nil || b.Size != 6 {
		t.Errorf("beside: %+v, %v", b, err)
	}
}

func TestFull(t *testing.T) {
	broken := errors.New("a dead disk")
	cases := []struct {
		name string
		s    Source
		code fault.Code
	}{
		{"no input", Source{}, fault.InputUnreadable},
		{"shorter than announced", of("0123"), fault.FileChanged},
		{"a reader that stops without a word", Source{ReaderAt: reader(func([]byte, int64) (int, error) { return 1, nil })}, fault.FileChanged},
		{"a reader that fails", Source{ReaderAt: reader(func([]byte, int64) (int, error) { return 0, broken })}, fault.InputUnreadable},
		{"a reader with a code of its own", Source{ReaderAt: reader(func([]byte, int64) (int, error) { return 0, fault.New(fault.Cancelled, "") })}, fault.Cancelled},
	}
	for _, c := range cases {
		if err := c.s.Full(make([]byte, 6), 0); !fault.Is(err, c.code) {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	p := make([]byte, 4)
	if err := of("0123").Full(p, 0); err != nil || string(p) != "0123" {
		t.Error(err, string(p))
	}
}

type reader func(p []byte, off int64) (int, error)

func (r reader) ReadAt(p []byte, off int64) (int, error) { return r(p, off) }

func TestScan(t *testing.T) {
	whole := of("0123456789")
	plain := whole
	plain.Stream = nil
	for name, s := range map[string]Source{"stream": whole, "reads": plain} {
		var got bytes.Buffer
		if err := s.Scan(1, 8, make([]byte, 3), func(p []byte) error { got.Write(p); return nil }); err != nil || got.String() != "12345678" {
			t.Errorf("%s: %q, %v", name, got.String(), err)
		}
		enough := errors.New("enough")
		if err := s.Scan(1, 8, make([]byte, 3), func([]byte) error { return enough }); err != enough {
			t.Errorf("%s: the visitor's error became %v", name, err)
		}
		if err := s.Scan(5, 8, make([]byte, 3), func([]byte) error { return nil }); !fault.Is(err, fault.FileChanged) {
			t.Errorf("%s: beyond the end: %v", name, err)
		}
	}
}

// Streams that do not keep their word: what they gave so far is seen, the rest
// is an error with a code, and Watch remembers it.
func TestStreamsThatLie(t *testing.T) {
	dead := errors.New("the network went away")
	type stream = func(off, n int64, buf []byte, visit func([]byte) error) error
	cases := []struct {
		name string
		f    stream
		code fault.Code
		seen int
	}{
		{"ends early", func(_, n int64, buf []byte, visit func([]byte) error) error { return visit(buf[:2]) }, fault.FileChanged, 0},
		{"gives nothing", func(int64, int64, []byte, func([]byte) error) error { return nil }, fault.FileChanged, 0},
		{"gives too much", func(_, n int64, buf []byte, visit func([]byte) error) error {
			for range 100 {
				if err := visit(buf); err != nil {
					return err
				}
			}
			return nil
		}, fault.InputUnreadable, 6},
		{"gives too much and does not listen", func(_, n int64, buf []byte, visit func([]byte) error) error {
			for range 3 {
				_ = visit(buf)
			}
			return nil
		}, fault.InputUnreadable, 6},
		{"fails midway", func(_, n int64, buf []byte, visit func([]byte) error) error {
			return errors.Join(visit(buf), dead)
		}, fault.InputUnreadable, 3},
		{"ends with io.EOF", func(_, n int64, buf []byte, visit func([]byte) error) error { return io.EOF }, fault.FileChanged, 0},
	}
	for _, c := range cases {
		s := of("0123456789")
		s.Stream = c.f
		w, trouble := Watch(s)
		seen := 0
		err := w.Scan(0, 8, make([]byte, 3), func(p []byte) error { seen += len(p); return nil })
		if !fault.Is(err, c.code) || seen != c.seen {
			t.Errorf("%s: %v after %d bytes, want %s after %d", c.name, err, seen, c.code, c.seen)
		}
		if !fault.Is(trouble.Err(), c.code) {
			t.Errorf("%s: remembered %v", c.name, trouble.Err())
		}
	}
}

func TestWatchRemembersTheFirstFailure(t *testing.T) {
	w, trouble := Watch(of("0123"))
	if _, err := w.ReadAt(make([]byte, 4), 0); err != nil || trouble.Err() != nil {
		t.Fatal(err, trouble.Err())
	}
	_, _ = w.ReadAt(make([]byte, 4), 2)
	_, _ = w.ReadAt(make([]byte, 4), 99)
	err := trouble.Err()
	if !fault.Is(err, fault.FileChanged) || !strings.Contains(err.Error(), "0x4") {
		t.Fatal(err)
	}
	// A visitor that wants no more is no failure of the file.
	w, trouble = Watch(of("0123456789"))
	enough := errors.New("enough")
	if err := w.Scan(0, 10, make([]byte, 4), func([]byte) error { return enough }); err != enough || trouble.Err() != nil {
		t.Fatal(err, trouble.Err())
	}
}

// A file beside may be the file itself, or name itself again without end:
// opening one opens one.
func TestBesideItself(t *testing.T) {
	s := of("0123")
	opened := 0
	s.Beside = func(string) (Source, error) { opened++; return s, nil }
	w, trouble := Watch(s)
	b, err := w.Beside(".vmem")
	for range 5 {
		if err != nil || b.Beside == nil {
			t.Fatal(b, err)
		}
		b, err = b.Beside(".vmem")
	}
	if opened != 6 {
		t.Fatalf("%d files opened", opened)
	}
	_, _ = b.ReadAt(make([]byte, 9), 0)
	if !fault.Is(trouble.Err(), fault.FileChanged) {
		t.Fatalf("what went wrong beside is forgotten: %v", trouble.Err())
	}
}
