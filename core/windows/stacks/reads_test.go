package stacks_test

import (
	"context"
	"io"
	"path/filepath"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/machine"
	"coredrop/core/source"
	"coredrop/core/windows/find"
	"coredrop/core/windows/stacks"
	"coredrop/server/corpustest"
)

// counted counts the bytes read.
type counted struct {
	io.ReaderAt
	bytes int64
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.bytes += int64(n)
	return n, err
}

// maxExtra is how much more of a core may be read for the processors' stacks.
const maxExtra = 1 << 20

// TestReads counts what the processors' stacks cost, on every core of a Windows
// guest in the corpus.
func TestReads(t *testing.T) {
	var list []string
	for _, part := range []string{"windows", "unwind/cores", "bugcheck"} {
		found, err := filepath.Glob(filepath.Join(corpustest.Dir(t, part), part, "*", "core.elf.zst"))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	if len(list) < 10 {
		t.Fatalf("only %d cores", len(list))
	}
	for _, path := range list {
		t.Run(filepath.Base(filepath.Dir(path)), func(t *testing.T) {
			f := corpustest.File(t, path)
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			c := &counted{ReaderAt: f}
			m, err := elfcore.Open(context.Background(), source.Source{ReaderAt: c, Size: info.Size(), Name: "core.elf"}, machine.Options{})
			if err != nil {
				t.Skip(err) // another container's
			}
			k, err := find.Locate(context.Background(), m, find.Options{})
			if err != nil {
				t.Fatal(err)
			}
			before := c.bytes
			r := stacks.New(context.Background(), k, nil)
			p := r.Processors()
			r.FirstAid(p, r.BugCheck())
			extra := c.bytes - before
			if extra > maxExtra {
				t.Errorf("%d bytes more, beside %d", extra, before)
			}
			t.Logf("%d bytes more, beside %d", extra, before)
			before = c.bytes
			list, _ := r.Threads()
			t.Logf("%d threads: %d bytes", len(list), c.bytes-before)
		})
	}
}
