package symbols

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// So many are written at once and so many wait, others are not written; what is written
// is what the cache has.
func TestWritesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		written := map[string]bool{}
		begin := make(chan struct{})
		var now, most atomic.Int32
		data := image(0x5f5e1000, 0xa1b000)
		s := &shelf{put: func(_ context.Context, k symstore.Key, got []byte) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			<-begin
			mu.Lock()
			defer mu.Unlock()
			written[k.String()] = bytes.Equal(got, data)
			return nil
		}}
		h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return data, nil })}}
		const files = writers + writesWaiting + 10
		for i := range files {
			name := "a" + strings.Repeat("b", i) + ".exe"
			if w := ask(h, "/"+name+"/5F5E1000a1b000/"+name); w.Code != 200 {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			synctest.Wait()
		}
		if s := h.Stats().Shared; s.Waiting != writesWaiting || s.Dropped != 10 || s.Misses != files {
			t.Errorf("%+v", s)
		}
		close(begin)
		h.Wait(time.Hour)
		if s := h.Stats().Shared; s.Waiting != 0 || s.Dropped != 10 || s.Written != writers+writesWaiting || most.Load() != writers {
			t.Errorf("%+v, %d at once", s, most.Load())
		}
		for k, right := range written {
			if !right {
				t.Errorf("%s has other bytes", k)
			}
		}
		if len(written) != writers+writesWaiting {
			t.Errorf("%d files", len(written))
		}
	})
}

// Writes that fail rest, and reads go on; the ones that rest are not written.
func TestWritesRest(t *testing.T) {
	now := time.Unix(1e9, 0)
	fails := true
	var told []error
	s := &shelf{put: func(context.Context, symstore.Key, []byte) error {
		if fails {
			return fault.New(fault.StoreDenied, "no")
		}
		return nil
	}}
	data := image(0x5f5e1000, 0xa1b000)
	h := &Handler{Cache: cacheIn(t), Shared: s, Now: func() time.Time { return now }, SharedTrouble: func(_ symstore.Key, err error) { told = append(told, err) },
		Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return data, nil })}}
	step := func(name string, puts int32, written, unwritten, dropped int64) {
		t.Helper()
		ask(h, "/"+name+".exe/5F5E1000a1b000/"+name+".exe")
		h.tier.behind.running.Wait()
		if st := h.Stats().Shared; s.puts.Load() != puts || st.Written != written || st.Unwritten != unwritten || st.Dropped != dropped {
			t.Errorf("%s: %d, %+v", name, s.puts.Load(), st)
		}
	}
	step("a", 1, 0, 1, 0)
	step("b", 2, 0, 2, 0)
	step("c", 2, 0, 2, 1)
	if st := h.Stats().Shared; !st.WritesRest || st.ReadsRest || st.Misses != 3 || len(told) != 2 || !fault.Is(told[0], fault.StoreDenied) {
		t.Errorf("%+v, told of %v", st, told)
	}
	now = now.Add(31 * time.Second)
	fails = false
	step("d", 3, 1, 2, 1)
	step("e", 4, 2, 2, 1)
	fails = true
	step("f", 5, 2, 3, 1)
	step("g", 6, 2, 4, 1)
	if err := h.Refresh(demo.PDBKey); err != nil {
		t.Fatal(err)
	}
	step("h", 7, 2, 5, 1)
}

// What the cache has lost, or what was changed there, is not written; neither is what
// the store has already, under the key, and is something else.
func TestOnlyWhatIsRightIsWritten(t *testing.T) {
	k := key(t)
	for name, c := range map[string]struct {
		between func(t *testing.T, path string)
		get     []byte
		puts    int32
		dropped int64
	}{
		"right":   {func(*testing.T, string) {}, nil, 1, 0},
		"lost":    {func(t *testing.T, path string) { os.Remove(path) }, nil, 0, 1},
		"changed": {func(t *testing.T, path string) { os.WriteFile(path, []byte("changed"), 0o644) }, nil, 0, 1},
		"taken":   {func(*testing.T, string) {}, otherBuild(t), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var h *Handler
			path := filepath.Join(dir, filepath.FromSlash(k.String()))
			s := &shelf{}
			if c.get != nil {
				s.get = func(context.Context, symstore.Key) (symstore.File, error) { return symstore.Memory(c.get), nil }
			}
			up, _ := always(t)
			h = &Handler{Cache: cacheAt(t, dir), Shared: s, Upstreams: []Upstream{up}}
			h.prepare()
			h.tier.behind.working = writers // they begin when the test says so
			if w := ask(h, "/"+demo.PDBKey); w.Code != 200 {
				t.Fatal(w.Code)
			}
			c.between(t, path)
			for key, ok := h.tier.behind.next(); ok; key, ok = h.tier.behind.next() {
				h.writeShared(key)
			}
			if st := h.Stats().Shared; s.puts.Load() != c.puts || st.Dropped != c.dropped {
				t.Errorf("%d, %+v", s.puts.Load(), st)
			}
		})
	}
}

// At the end what is to be written is written, as long as there is time; then it is cut
// off, and nothing begins any more.
func TestTheEndOfWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base, cut := context.WithCancel(t.Context())
		var ended atomic.Int32
		s := &shelf{put: func(ctx context.Context, _ symstore.Key, _ []byte) error {
			select {
			case <-time.After(3 * time.Second):
				return nil
			case <-ctx.Done():
				ended.Add(1)
				return ctx.Err()
			}
		}}
		data := image(0x5f5e1000, 0xa1b000)
		h := &Handler{Base: base, Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return data, nil })}}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g"} {
			if w := ask(h, "/"+name+".exe/5F5E1000a1b000/"+name+".exe"); w.Code != 200 {
				t.Fatal(w.Code)
			}
		}
		began := time.Now()
		h.Wait(4 * time.Second)
		if s := h.Stats().Shared; time.Since(began) != 4*time.Second || s.Written != 2 || s.Waiting != 3 {
			t.Errorf("%v, %+v", time.Since(began), s)
		}
		cut()
		h.Wait(time.Hour)
		if s := h.Stats().Shared; time.Since(began) != 4*time.Second || s.Written != 2 || s.Dropped != 5 || s.Waiting != 0 || s.Unwritten != 0 || ended.Load() != 2 {
			t.Errorf("%v, %+v, %d were ended", time.Since(began), s, ended.Load())
		}
	})
}

// A write that hangs ends.
func TestWriteThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{put: func(ctx context.Context, _ symstore.Key, _ []byte) error {
			return fault.Wrap(hangs(ctx), fault.Cancelled, "")
		}}
		up, _ := always(t)
		var told error
		h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}, SharedTrouble: func(_ symstore.Key, err error) { told = err }}
		ask(h, "/"+demo.PDBKey)
		began := time.Now()
		h.Wait(time.Hour)
		if st := h.Stats().Shared; time.Since(began) != sharedPatience || st.Unwritten != 1 || fault.Is(told, fault.Cancelled) || !errors.Is(told, errSlow) {
			t.Errorf("%v, %+v, told of %v", time.Since(began), st, told)
		}
	})
}
