package symbols

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
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

// shelf is a shared store in the test's hands.
type shelf struct {
	get func(ctx context.Context, k symstore.Key) (symstore.File, error)
	put func(ctx context.Context, k symstore.Key, data []byte) error

	gets, puts atomic.Int32
}

func (s *shelf) Get(ctx context.Context, k symstore.Key) (symstore.File, error) {
	s.gets.Add(1)
	if s.get == nil {
		return nil, fs.ErrNotExist
	}
	return s.get(ctx, k)
}

func (s *shelf) Put(ctx context.Context, k symstore.Key, r io.Reader) error {
	s.puts.Add(1)
	data, err := io.ReadAll(r)
	if err != nil || s.put == nil {
		return err
	}
	return s.put(ctx, k, data)
}

// streaming is a file that arrives as its reader says.
type streaming struct {
	symstore.File
	r io.Reader
}

func (s streaming) Stream() (io.ReadCloser, error) { return io.NopCloser(s.r), nil }

// arrives is a file of which half comes at once, and then what rest says.
func arrives(data []byte, rest reader) symstore.File {
	return streaming{symstore.Memory(data), io.MultiReader(bytes.NewReader(data[:len(data)/2]), rest)}
}

// always is an upstream that has the demo's PDB under every key, and counts.
func always(t *testing.T) (Upstream, *atomic.Int32) {
	data, asked := pdbBytes(t), new(atomic.Int32)
	return fake(func(_ context.Context, k symstore.Key) ([]byte, error) {
		asked.Add(1)
		return data, nil
	}), asked
}

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// What takes too long is passed over: where nothing is said, where it breaks off in the
// middle, where it trickles. The time is that of the store, whatever it heeds.
func TestSlowSharedStore(t *testing.T) {
	data := pdbBytes(t)
	for _, c := range []struct {
		name string
		get  func(ctx context.Context) (symstore.File, error)
		want time.Duration
	}{
		{"silent", func(ctx context.Context) (symstore.File, error) { return nil, hangs(ctx) }, sharedPatience},
		{"stalls", func(ctx context.Context) (symstore.File, error) {
			return arrives(data, func([]byte) (int, error) { return 0, hangs(ctx) }), nil
		}, sharedPatience},
		{"trickles", func(ctx context.Context) (symstore.File, error) {
			return arrives(data, func(p []byte) (int, error) {
				time.Sleep(4 * time.Second)
				p[0] = 1
				return 1, nil
			}), nil
		}, 8 * time.Second}, // the second byte comes behind the 5 seconds
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up, asked := always(t)
				var told []error
				s := &shelf{get: func(ctx context.Context, _ symstore.Key) (symstore.File, error) { return c.get(ctx) }}
				h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}, SharedTrouble: func(_ symstore.Key, err error) { told = append(told, err) }}
				began := time.Now()
				w := ask(h, "/"+demo.PDBKey)
				if took := time.Since(began); w.Code != 200 || took != c.want || asked.Load() != 1 {
					t.Errorf("%d after %v, the upstream was asked %d times", w.Code, took, asked.Load())
				}
				if len(told) != 1 || !errors.Is(told[0], errSlow) {
					t.Errorf("told of %v", told)
				}
				if s := h.Stats().Shared; s.Failed != 1 || s.Hits+s.Misses+s.Wrong != 0 {
					t.Errorf("%+v", s)
				}
				synctest.Wait()
			})
		})
	}
}

// Large files have the time that they need, and what this server does in between does
// not count.
func TestSharedStoreHasItsTime(t *testing.T) {
	if got := allowance(100 << 20); got != sharedPatience+100*time.Second {
		t.Errorf("%v", got)
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		watch := time.AfterFunc(sharedPatience, func() { cancel(errSlow) })
		r := &watched{r: reader(func(p []byte) (int, error) { time.Sleep(4 * time.Second); return 1, nil }), watch: watch, patience: sharedPatience, left: allowance(15 << 20)}
		for i := range 5 {
			if n, err := r.Read(make([]byte, 1)); n != 1 || err != nil || ctx.Err() != nil {
				t.Errorf("%d: %d, %v, %v", i, n, err, ctx.Err())
			}
			time.Sleep(time.Minute) // our own disk
		}
		if ctx.Err() != nil {
			t.Error("it was given up meanwhile")
		}
		if _, err := r.Read(make([]byte, 1)); err != errSlow {
			t.Errorf("after 24 seconds of 20: %v", err)
		}
	})
}

// After two failures in a row the store is left alone for half a minute and longer, but
// for one request each half a minute; one that works ends that.
func TestSharedStoreRests(t *testing.T) {
	now := time.Unix(1e9, 0)
	good := pdbBytes(t)
	fails := true
	s := &shelf{get: func(context.Context, symstore.Key) (symstore.File, error) {
		if fails {
			return nil, fault.New(fault.SymbolsUnreadable, "s3://secret/ does not answer")
		}
		return symstore.Memory(good), nil
	}}
	up, asked := always(t)
	told := 0
	h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}, Now: func() time.Time { return now }, SharedTrouble: func(symstore.Key, error) { told++ }}
	step := func(d time.Duration, n int, want int32) {
		t.Helper()
		now = now.Add(d)
		before := asked.Load()
		ask(h, invented(n))
		if got := s.gets.Load(); got != want || asked.Load() != before+1 {
			t.Errorf("%d: asked %d times, not %d; the upstream %d times", n, got, want, asked.Load()-before)
		}
	}
	step(0, 1, 1)
	step(0, 2, 2)
	step(0, 3, 2)
	if s := h.Stats().Shared; s.Failed != 2 || !s.ReadsRest || s.WritesRest || told != 2 {
		t.Errorf("%+v, told of %d", s, told)
	}
	step(29*time.Second, 4, 2)
	step(2*time.Second, 5, 3)
	step(31*time.Second, 6, 4)
	step(0, 7, 4)
	fails = false
	now = now.Add(31 * time.Second)
	for range 2 {
		if w := ask(h, "/"+demo.PDBKey); w.Code != 200 {
			t.Errorf("%d", w.Code)
		}
		h.Cache = cacheIn(t)
	}
	if s := h.Stats().Shared; s.Hits != 2 || s.ReadsRest {
		t.Errorf("%+v", s)
	}
	fails = true
	h.Cache = cacheIn(t)
	step(0, 8, 7)
	step(0, 9, 8)
	step(0, 10, 8)
	if err := h.Refresh(demo.PDBKey); err != nil {
		t.Fatal(err)
	}
	step(0, 11, 9) // whoever runs the server says that it is mended
}

// Failures with an answer in between are not in a row, be it that there is no such file,
// or another one.
func TestSharedStoreAnswersInBetween(t *testing.T) {
	other := otherBuild(t)
	for name, answer := range map[string]func() (symstore.File, error){
		"not there":     func() (symstore.File, error) { return nil, fs.ErrNotExist },
		"another build": func() (symstore.File, error) { return symstore.Memory(other), nil },
	} {
		s := &shelf{}
		s.get = func(context.Context, symstore.Key) (symstore.File, error) {
			if s.gets.Load()%2 == 0 {
				return answer()
			}
			return nil, fault.New(fault.SymbolsUnreadable, "")
		}
		up, _ := always(t)
		h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}}
		for range 6 {
			if w := ask(h, "/"+demo.PDBKey); w.Code != 200 {
				t.Errorf("%s: %d", name, w.Code)
			}
			h.tier.behind.running.Wait()
			h.Cache = cacheIn(t)
		}
		if st := h.Stats().Shared; s.gets.Load() != 6 || st.Failed != 3 || st.Misses+st.Wrong != 3 || st.ReadsRest {
			t.Errorf("%s: asked %d times, %+v", name, s.gets.Load(), st)
		}
	}
}

// While the store rests nobody waits for it: not for a place among those who read, and
// of those who come when it may be tried again one tries.
func TestNobodyWaitsForAStoreThatRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := func(ctx context.Context, _ symstore.Key) (symstore.File, error) { return nil, hangs(ctx) }
		s := &shelf{get: hang}
		h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return nil, fault.New(fault.SymbolsNotFound, "") })}}
		for i := range 2 {
			ask(h, invented(i))
		}
		for range sharedReads {
			h.tier.places <- struct{}{}
		}
		began := time.Now()
		if w := ask(h, invented(10)); w.Code != 404 || time.Since(began) != 0 {
			t.Errorf("%d after %v", w.Code, time.Since(began))
		}
		for range sharedReads {
			<-h.tier.places
		}
		time.Sleep(31 * time.Second)
		ask(h, invented(11)) // now it rests for a minute
		time.Sleep(31 * time.Second)
		var all sync.WaitGroup
		for i := range 5 {
			all.Go(func() { ask(h, invented(20+i)) })
		}
		all.Wait()
		if n := s.gets.Load(); n != 4 {
			t.Errorf("asked %d times", n)
		}
	})
}

// What nobody waits for any more says nothing of the store.
func TestAbandonedSharedReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{get: func(ctx context.Context, _ symstore.Key) (symstore.File, error) { return nil, hangs(ctx) }}
		up, asked := always(t)
		h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}, SharedTrouble: func(_ symstore.Key, err error) { t.Errorf("told of %v", err) }}
		for i := range 3 {
			_, leave := client(t, h, invented(i))
			synctest.Wait()
			leave()
			synctest.Wait()
		}
		if st := h.Stats().Shared; s.gets.Load() != 3 || st.Failed != 0 || st.ReadsRest || asked.Load() != 0 {
			t.Errorf("%+v, the upstream was asked %d times", st, asked.Load())
		}
	})
}

// What does not give the bytes that it announced fails; whether the file is right is not
// the question.
func TestSharedStoreAnnouncesMore(t *testing.T) {
	data := pdbBytes(t)
	s := &shelf{get: func(context.Context, symstore.Key) (symstore.File, error) {
		return streaming{symstore.Memory(data), bytes.NewReader(data[:len(data)/2])}, nil
	}}
	up, _ := always(t)
	h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}}
	if w := ask(h, "/"+demo.PDBKey); w.Code != 200 || h.Stats().Shared.Failed != 1 {
		t.Errorf("%d, %+v", w.Code, h.Stats().Shared)
	}
}

// A file that the shared store has now was not missing.
func TestSharedStoreEndsAMiss(t *testing.T) {
	now, data := time.Unix(1e9, 0), pdbBytes(t)
	s := &shelf{}
	h := &Handler{Cache: cacheIn(t), Shared: s, Now: func() time.Time { return now },
		Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return nil, fault.New(fault.SymbolsNotFound, "") })}}
	ask(h, "/"+demo.PDBKey)
	s.get = func(context.Context, symstore.Key) (symstore.File, error) { return symstore.Memory(data), nil }
	now = now.Add(missFirst + time.Second)
	if w := ask(h, "/"+demo.PDBKey); w.Code != 200 || h.Stats().Misses != 0 {
		t.Errorf("%d, %+v", w.Code, h.Stats())
	}
}

// So many are read at once; who waits too long asks the upstream, which says nothing of
// the store.
func TestSharedReadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		s := &shelf{get: func(ctx context.Context, _ symstore.Key) (symstore.File, error) {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer now.Add(-1)
			select {
			case <-time.After(4 * time.Second):
				return nil, fs.ErrNotExist
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) { return nil, fault.New(fault.SymbolsNotFound, "") })}}
		began := time.Now()
		var answers []<-chan *httptest.ResponseRecorder
		for i := range 3 * sharedReads {
			a, _ := client(t, h, invented(i))
			answers = append(answers, a)
		}
		for _, a := range answers {
			if w := <-a; w.Code != 404 {
				t.Errorf("%d", w.Code)
			}
		}
		if took := time.Since(began); most.Load() != sharedReads || s.gets.Load() != 2*sharedReads || took != 8*time.Second {
			t.Errorf("%d at once, %d in all, after %v", most.Load(), s.gets.Load(), took)
		}
		if s := h.Stats().Shared; s.Failed != 0 || s.ReadsRest {
			t.Errorf("%+v", s)
		}
	})
}

// The upstream is asked for those who wait: if all have left while the shared store gave
// the file, and it breaks off, nobody is.
func TestSharedStoreBreaksOffForNobody(t *testing.T) {
	for _, leaves := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			data, breaks := pdbBytes(t), make(chan struct{})
			s := &shelf{get: func(ctx context.Context, _ symstore.Key) (symstore.File, error) {
				return arrives(data, func([]byte) (int, error) {
					select {
					case <-breaks:
						return 0, io.ErrUnexpectedEOF
					case <-ctx.Done():
						t.Error("it was ended while the file came")
						return 0, ctx.Err()
					}
				}), nil
			}}
			up := &gate{opens: make(chan struct{}), flows: make(chan struct{}), data: data}
			h := &Handler{Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{up}}
			_, leave := client(t, h, "/"+demo.PDBKey)
			synctest.Wait()
			if leaves {
				leave()
				synctest.Wait()
			}
			close(breaks)
			synctest.Wait()
			if n := int(up.asked.Load()); (n == 0) != leaves {
				t.Errorf("leaves %v: the upstream was asked %d times", leaves, n)
			}
			leave() // at the latest now, when nothing flows any more
			synctest.Wait()
			if up.asked.Load() != up.ended.Load() {
				t.Error("the upstream is waited for, for nobody")
			}
			if len(h.flights.list) != 0 || len(h.misses.list) != 0 {
				t.Error("something stays")
			}
		})
	}
}

// Where there is no upstream the shared store is all there is: what it has is given,
// what it has not is remembered, and its trouble is told without where it is.
func TestSharedStoreAlone(t *testing.T) {
	good, other := pdbBytes(t), otherBuild(t)
	for _, c := range []struct {
		name   string
		file   []byte
		err    error
		code   fault.Code
		status int
		asked  int32 // when it is asked for twice
	}{
		{"there", good, nil, "", 200, 1},
		{"not there", nil, fs.ErrNotExist, fault.SymbolsNotFound, 404, 1},
		{"another build", other, nil, fault.SymbolsMismatch, 404, 1},
		{"trouble", nil, fault.New(fault.SymbolsUnreadable, "s3://secret/ does not answer"), fault.SymbolsOffline, 404, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &shelf{get: func(context.Context, symstore.Key) (symstore.File, error) {
				if c.err != nil {
					return nil, c.err
				}
				return symstore.Memory(c.file), nil
			}}
			h := &Handler{Cache: cacheIn(t), Shared: s}
			if !h.HasFiles() {
				t.Error("it is said to have nothing")
			}
			for range 2 {
				w := ask(h, "/"+demo.PDBKey)
				if w.Code != c.status || c.code != "" && refusal(t, w) != c.code || strings.Contains(w.Body.String(), "secret") {
					t.Errorf("%d %.200s", w.Code, w.Body)
				}
			}
			if n := s.gets.Load(); n != c.asked {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// What is known is not asked for: a remembered miss, a request that went through this
// server already, and where nothing can be kept.
func TestSharedStoreIsNotAsked(t *testing.T) {
	s := &shelf{}
	none := fake(func(context.Context, symstore.Key) ([]byte, error) { return nil, fault.New(fault.SymbolsNotFound, "") })
	h := &Handler{Instance: "me", Cache: cacheIn(t), Shared: s, Upstreams: []Upstream{none}}
	ask(h, invented(1))
	if w := ask(h, invented(1)); w.Code != 404 || s.gets.Load() != 1 {
		t.Errorf("a known miss: %d, asked %d times", w.Code, s.gets.Load())
	}
	if w := ask(h, invented(2), "Via", "1.1 me"); w.Code != 404 || s.gets.Load() != 1 {
		t.Errorf("a loop: %d, asked %d times", w.Code, s.gets.Load())
	}
	if w := ask(&Handler{Shared: s, Upstreams: []Upstream{none}}, invented(1)); w.Code != 404 || s.gets.Load() != 1 {
		t.Errorf("no cache: %d, asked %d times", w.Code, s.gets.Load())
	}
}

// The log and the observer say where a file came from, also where the cache did not
// take it; then nothing is written behind either.
func TestSharedSource(t *testing.T) {
	data := pdbBytes(t)
	has := &shelf{get: func(context.Context, symstore.Key) (symstore.File, error) { return symstore.Memory(data), nil }}
	up, _ := always(t)
	for _, c := range []struct {
		h      *Handler
		source string
		result string
		unkept bool
	}{
		{&Handler{Cache: cacheIn(t), Shared: has}, "shared", "hit", false},
		{&Handler{Cache: takesNothing(t), Shared: has}, "shared", "hit", true},
		{&Handler{Cache: takesNothing(t), Shared: &shelf{}, Upstreams: []Upstream{up}}, "memory", "miss", true},
	} {
		var lines strings.Builder
		var said Request
		c.h.Log, c.h.Observe = slog.New(slog.NewTextHandler(&lines, nil)), func(q Request) { said = q }
		w := ask(c.h, "/"+demo.PDBKey)
		if w.Code != 200 || said.Source != c.source || said.Result != c.result || (said.Unkept != "") != c.unkept || !strings.Contains(lines.String(), "source="+c.source) {
			t.Errorf("%d, %+v: %s", w.Code, said, &lines)
		}
		c.h.Wait(time.Hour)
		if s := c.h.Stats().Shared; s.Written+s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
	}
}
