package symbols

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/diskstore"
)

// client asks in a goroutine of its own, until it leaves.
func client(t *testing.T, h http.Handler, url string) (answer <-chan *httptest.ResponseRecorder, leave func()) {
	ctx, cancel := context.WithCancel(t.Context())
	c := make(chan *httptest.ResponseRecorder, 1)
	go func() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("HEAD", url, nil).WithContext(ctx))
		c <- w
	}()
	return c, cancel
}

// Of many who ask for different files eight downloads run and 64 wait; the others
// are told at once to come again. When they leave, so do their downloads.
func TestDownloadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int32
		h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(ctx context.Context, _ symstore.Key) ([]byte, error) {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			defer running.Add(-1)
			<-ctx.Done()
			return nil, fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
		})}}
		before := runtime.NumGoroutine()
		var answers []<-chan *httptest.ResponseRecorder
		var leave []func()
		for i := range 500 {
			a, l := client(t, h, invented(i))
			answers, leave = append(answers, a), append(leave, l)
		}
		synctest.Wait()
		refused := 0
		for _, a := range answers {
			select {
			case w := <-a:
				refused++
				if w.Code != 503 || w.Header().Get("Retry-After") == "" || w.Header().Get("Connection") != "close" {
					t.Errorf("%d %v", w.Code, w.Header())
				}
			default:
			}
		}
		if s := h.Stats(); s.Downloads != 8 || s.Waiting != 64 || s.Requests != 72 || refused != 500-72 || running.Load() != 8 {
			t.Errorf("%+v, %d refused, %d running", s, refused, running.Load())
		}
		// Who asks for a file that is waited for already takes no place.
		h.flights.mu.Lock()
		var taken symstore.Key
		for taken = range h.flights.list {
			break
		}
		h.flights.mu.Unlock()
		_, l := client(t, h, "/"+taken.String())
		leave = append(leave, l)
		synctest.Wait()
		if s := h.Stats(); s.Requests != 73 {
			t.Errorf("%+v", s)
		}
		for _, l := range leave {
			l()
		}
		synctest.Wait()
		if s := h.Stats(); s.Downloads+s.Waiting+s.Requests+s.Misses != 0 || len(h.flights.list) != 0 {
			t.Errorf("left behind: %+v", s)
		}
		if n := runtime.NumGoroutine(); n > before+2 || most.Load() != 8 {
			t.Errorf("%d goroutines more, %d at once", n-before, most.Load())
		}
	})
}

// Each upstream has bounds of its own: what the first does not have waits for the
// second, no more than 64 at a time.
func TestWaitingIsBoundedForEachUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := fake(func(context.Context, symstore.Key) ([]byte, error) { return nil, fault.New(fault.SymbolsNotFound, "") })
		second := fake(func(ctx context.Context, _ symstore.Key) ([]byte, error) {
			<-ctx.Done()
			return nil, fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
		})
		h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{first, second}}
		var answers []<-chan *httptest.ResponseRecorder
		for i := range 140 {
			a, _ := client(t, h, invented(i))
			answers = append(answers, a)
			synctest.Wait()
		}
		s := h.Stats()
		if u := s.Upstreams[1]; u.Downloads != 8 || u.Waiting != 64 || s.Requests != 72 || s.Misses != 0 {
			t.Errorf("%+v", s)
		}
		for i, a := range answers[72:] {
			if w := <-a; w.Code != 503 {
				t.Errorf("%d: %d", i, w.Code)
			}
		}
	})
}

// gate is an upstream that opens, and gives its body, when it is told to.
type gate struct {
	opens, flows chan struct{}
	data         []byte
	asked        atomic.Int32
	ended        atomic.Int32
}

func (g *gate) Host() string { return "gate.example" }
func (g *gate) Open(ctx context.Context, _ symstore.Key) (io.ReadCloser, int64, error) {
	g.asked.Add(1)
	select {
	case <-g.opens:
	case <-ctx.Done():
		g.ended.Add(1)
		return nil, 0, fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
	}
	data := bytes.NewReader(g.data)
	return io.NopCloser(reader(func(p []byte) (int, error) {
		select {
		case <-g.flows:
			return data.Read(p)
		case <-ctx.Done():
			g.ended.Add(1)
			return 0, fault.Wrap(context.Cause(ctx), fault.Cancelled, "")
		}
	})), int64(len(g.data)), nil
}

// A download that nobody waits for ends, unless the file is on its way; who asks
// next begins anew.
func TestAbandonedDownloads(t *testing.T) {
	for _, flowing := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{opens: make(chan struct{}), flows: make(chan struct{}), data: pdbBytes(t)}
			h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{g}}
			_, leave := client(t, h, "/"+demo.PDBKey)
			if flowing {
				close(g.opens)
			}
			synctest.Wait()
			leave()
			synctest.Wait()
			want := map[bool]int{false: 0, true: 1}[flowing]
			if s := h.Stats(); s.Downloads != want || int(g.ended.Load()) != 1-want {
				t.Errorf("flowing %v: %+v", flowing, s)
			}
			again, _ := client(t, h, "/"+demo.PDBKey)
			synctest.Wait()
			if !flowing {
				close(g.opens)
			}
			close(g.flows)
			if w := <-again; w.Code != 200 {
				t.Errorf("flowing %v: %d", flowing, w.Code)
			}
			if n := int(g.asked.Load()); n != 2-want {
				t.Errorf("flowing %v: asked %d times", flowing, n)
			}
		})
	}
}

// hung is a store on a disk that does not answer.
type hung struct{ until chan struct{} }

func (s hung) Get(context.Context, symstore.Key) (symstore.File, error) {
	<-s.until
	return symstore.Memory(nil), nil
}

// A store that hangs costs a client no more than 25 seconds, and the server no
// more than so many lookups.
func TestStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := hung{make(chan struct{})}
		h := &Handler{Stores: []Store{s}}
		before := runtime.NumGoroutine()
		var answers []<-chan *httptest.ResponseRecorder
		began := time.Now()
		for i := range 2 * lookups {
			a, _ := client(t, h, invented(i))
			answers = append(answers, a)
		}
		for _, a := range answers {
			if w := <-a; w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Fatalf("%d", w.Code)
			}
		}
		if took := time.Since(began); took != defaultDeadline {
			t.Errorf("after %v", took)
		}
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > lookups+2 {
			t.Errorf("%d goroutines stay", n)
		}
		close(s.until)
	})
}

// What came, or was found missing, between a client's look and the beginning of
// its download is not fetched again.
func TestDownloadLooksAgain(t *testing.T) {
	asked := 0
	h := &Handler{Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
		asked++
		return nil, fault.New(fault.SymbolsNotFound, "")
	})}}
	h.prepare()
	q := question{key: key(t), asked: key(t)}
	none := fault.New(fault.SymbolsNotFound, "")
	h.misses.add(q.key, none, []error{none}, time.Now())
	if _, err := h.fetch(t.Context(), q); !fault.Is(err, fault.SymbolsNotFound) || asked != 0 {
		t.Errorf("missing: %v, asked %d times", err, asked)
	}
	taken, err := h.Cache.Take(q.key, bytes.NewReader(pdbBytes(t)), -1, func(symstore.File) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	taken.Close()
	got, err := h.fetch(t.Context(), q)
	if err != nil || asked != 0 {
		t.Fatalf("there: %v, asked %d times", err, asked)
	}
	got.file.Close()
}

// A file is verified once, and again when it changes: what is written into it
// behind the back of its stamp is the proof that it was not.
func TestVerifiedOnce(t *testing.T) {
	dir, k := t.TempDir(), key(t)
	path := filepath.Join(dir, k.String())
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	data := pdbBytes(t)
	at := time.Now().Add(-time.Hour)
	write := func(data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	write(data)
	s, err := diskstore.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := f.(*diskstore.File).Stamp(); !ok {
		t.Skip("no stamps here")
	}
	f.Close()
	h := &Handler{Stores: []Store{s}}
	want := func(status int) {
		t.Helper()
		if w := ask(h, "/"+demo.PDBKey); w.Code != status {
			t.Errorf("%d, not %d", w.Code, status)
		}
	}
	want(200)
	write(make([]byte, len(data)))
	want(200)
	at = at.Add(time.Second)
	write(make([]byte, len(data)))
	want(404)
	write(data)
	want(200)
}

// Where the disk takes nothing, memory is given to as many as it is enough for.
func TestMemoryIsBounded(t *testing.T) {
	g := &gate{opens: make(chan struct{}), flows: make(chan struct{}), data: bytes.Repeat([]byte("x"), 40<<20)}
	close(g.opens)
	close(g.flows)
	h := &Handler{Cache: takesNothing(t), Upstreams: []Upstream{g}}
	h.prepare()
	held := make(chan struct{})
	verify := func(symstore.File) error { <-held; return nil }
	go h.Cache.Take(key(t), bytes.NewReader(g.data), -1, verify)
	for h.Cache.Stats().Held < 40<<20 {
		runtime.Gosched()
	}
	w := ask(h, invented(1))
	if w.Code != 503 || refusal(t, w) != fault.ServerBusy || h.Stats().Misses != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	close(held)
}

// heavy is a store whose files can be read when it is told to.
type heavy struct {
	data      []byte
	now, most *atomic.Int32
	mayBeRead chan struct{}
	opened    *atomic.Int32
}

func (s heavy) Get(context.Context, symstore.Key) (symstore.File, error) {
	s.opened.Add(1)
	return &heavyFile{File: symstore.Memory(s.data), s: s}, nil
}

type heavyFile struct {
	symstore.File
	s    heavy
	once bool
}

func (f *heavyFile) ReadAt(p []byte, off int64) (int, error) {
	if !f.once {
		f.once = true
		n := f.s.now.Add(1)
		for m := f.s.most.Load(); n > m && !f.s.most.CompareAndSwap(m, n); m = f.s.most.Load() {
		}
		<-f.s.mayBeRead
		f.s.now.Add(-1)
	}
	return f.File.ReadAt(p, off)
}

// However many want files of a store, few are verified at a time.
func TestVerificationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := heavy{pdbBytes(t), new(atomic.Int32), new(atomic.Int32), make(chan struct{}), new(atomic.Int32)}
		h := &Handler{Stores: []Store{s}}
		var answers []<-chan *httptest.ResponseRecorder
		for range 100 {
			a, _ := client(t, h, "/"+demo.PDBKey)
			answers = append(answers, a)
		}
		synctest.Wait()
		close(s.mayBeRead)
		for _, a := range answers {
			if w := <-a; w.Code != 200 {
				t.Errorf("%d", w.Code)
			}
		}
		if n := s.most.Load(); n != verifications || s.opened.Load() != 100 {
			t.Errorf("%d at once, %d opened", n, s.opened.Load())
		}
	})
}

// What is remembered of right files has a bound.
func TestVerifiedIsBounded(t *testing.T) {
	var v verified
	for i := range maxVerified + 10 {
		v.add(symstore.Key{Name: "a.pdb", ID: fmt.Sprint(i)}, diskstore.Stamp{Size: int64(i)})
	}
	last := symstore.Key{Name: "a.pdb", ID: fmt.Sprint(maxVerified + 9)}
	if len(v.list) != maxVerified || !v.has(last, diskstore.Stamp{Size: maxVerified + 9}) || v.has(last, diskstore.Stamp{}) {
		t.Errorf("%d entries", len(v.list))
	}
}
