//go:build linux

package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// small mounts a file system of so many bytes, which takes rights that few have.
func small(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("no file system of its own can be mounted: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// once counts how often a source is asked for its first byte.
type once struct {
	*bytes.Reader
	reads int64
}

func (o *once) Read(p []byte) (int, error) {
	n, err := o.Reader.Read(p)
	o.reads += int64(n)
	return n, err
}

// When the disk is full, the files used last make room for the new one.
func TestFullDiskMakesRoom(t *testing.T) {
	dir := small(t, "8m")
	c := open(t, Options{Dir: dir})
	for i := range 7 {
		if why := take(t, c, key(t, i), 1<<20); why != "" {
			t.Fatal(why)
		}
	}
	data := content(key(t, 10), 5<<20)
	source := &once{Reader: bytes.NewReader(data)}
	taken, err := c.Take(key(t, 10), source, int64(len(data)), fine)
	if err != nil || taken.Unkept != "" {
		t.Fatal(taken.Unkept, err)
	}
	taken.Close()
	if source.reads != int64(len(data)) {
		t.Errorf("%d bytes of %d were read", source.reads, len(data))
	}
	if !has(t, c, key(t, 10), 5<<20) || !has(t, c, key(t, 6), 1<<20) || has(t, c, key(t, 0), 1<<20) {
		t.Errorf("%+v", c.Stats())
	}
	if s := c.Stats(); !s.Takes || s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

// Where there is no room to be made, a file that is half on the disk is passed
// on whole, from one reading of its source; for a minute nothing is tried.
func TestFullDiskPassesOn(t *testing.T) {
	dir := small(t, "4m")
	if err := os.WriteFile(filepath.Join(dir, "theirs"), make([]byte, 3<<20), 0o644); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := open(t, Options{Dir: dir, Owned: true})
		data := content(key(t, 0), 3<<20)
		source := &once{Reader: bytes.NewReader(data)}
		taken, err := c.Take(key(t, 0), source, -1, fine)
		if err != nil || !strings.Contains(taken.Unkept, "no space left") {
			t.Fatal(taken.Unkept, err)
		}
		whole(t, taken, data)
		if source.reads != int64(len(data)) || c.Stats().Held != 3<<20 {
			t.Errorf("%d bytes of %d were read, %+v", source.reads, len(data), c.Stats())
		}
		taken.Close()
		if list := visible(t, dir); len(list) != 1 || c.Stats().Held != 0 || c.Stats().Takes {
			t.Errorf("%q, %+v", list, c.Stats())
		}
		if err := os.Remove(filepath.Join(dir, "theirs")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(refusal - time.Second)
		if why := take(t, c, key(t, 1), 1000); why == "" {
			t.Error("the disk was tried within the minute")
		}
		time.Sleep(2 * time.Second)
		if why := take(t, c, key(t, 2), 1000); why != "" || !c.Stats().Takes || c.Ready() != nil {
			t.Errorf("the disk has room: %q", why)
		}
	})
}

// A file system that is only read is served, and found to be writable again.
func TestReadOnly(t *testing.T) {
	dir := small(t, "4m")
	synctest.Test(t, func(t *testing.T) {
		take(t, open(t, Options{Dir: dir}), key(t, 0), 1000)
		remount := func(flags uintptr) {
			if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|flags, ""); err != nil {
				t.Skip("it cannot be made read-only: ", err)
			}
		}
		remount(syscall.MS_RDONLY)
		c := open(t, Options{Dir: dir})
		if !strings.Contains(c.Warning(), "read-only") || c.Ready() == nil {
			t.Errorf("it says %q", c.Warning())
		}
		if !has(t, c, key(t, 0), 1000) {
			t.Error("what it has is not given")
		}
		if why := take(t, c, key(t, 1), 1000); !strings.Contains(why, "read-only") {
			t.Errorf("%q", why)
		}
		remount(0)
		time.Sleep(refusal)
		if why := take(t, c, key(t, 1), 1000); why != "" || !has(t, c, key(t, 1), 1000) {
			t.Errorf("%q", why)
		}
	})
}

// Room is made once for a file: where something else takes it at once, the cache
// is not emptied for nothing.
func TestRoomIsMadeOnce(t *testing.T) {
	dir := small(t, "8m")
	c := open(t, Options{Dir: dir})
	for i := range 6 {
		if why := take(t, c, key(t, i), 1<<20); why != "" {
			t.Fatal(why)
		}
	}
	data := content(key(t, 10), 4<<20)
	source := &greedy{r: bytes.NewReader(data), evicted: func() bool { return c.Stats().Evicted > 0 }, then: func() {
		f, err := os.Create(filepath.Join(dir, "theirs"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for part := make([]byte, 4096); err == nil; {
			_, err = f.Write(part)
		}
	}}
	taken, err := c.Take(key(t, 10), source, int64(len(data)), fine)
	if err != nil || taken.Unkept == "" {
		t.Fatal(taken.Unkept, err)
	}
	whole(t, taken, data)
	taken.Close()
	if s := c.Stats(); s.Evicted == 0 || s.Evicted > 3 || int64(s.Files) != 6-s.Evicted {
		t.Errorf("%+v", s)
	}
}

// greedy is a source during which another program takes the room that was made.
type greedy struct {
	r       *bytes.Reader
	evicted func() bool
	then    func()
	done    bool
}

func (g *greedy) Read(p []byte) (int, error) {
	if !g.done && g.evicted() {
		g.done = true
		g.then()
	}
	return g.r.Read(p)
}
