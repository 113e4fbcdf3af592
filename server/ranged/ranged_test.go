package ranged

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// ask is a request that an object got.
type ask struct{ off, n int64 }

// object is one in memory that notes what is asked of it.
type object struct {
	data []byte
	// answer stands for the object's own, by the number of the request from 0 on;
	// nil, nil: the object's own.
	answer func(ctx context.Context, i int, a ask) (io.ReadCloser, error)
	delay  time.Duration // before each answer

	mu      sync.Mutex
	asks    []ask
	running int
	most    int // requests at once
}

func (o *object) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	o.mu.Lock()
	i := len(o.asks)
	o.asks = append(o.asks, ask{off, n})
	o.running++
	o.most = max(o.most, o.running)
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		o.running--
		o.mu.Unlock()
	}()
	if o.delay > 0 {
		select {
		case <-time.After(o.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if o.answer != nil {
		if r, err := o.answer(ctx, i, ask{off, n}); r != nil || err != nil {
			return r, err
		}
	}
	return o.own(off, n), nil
}

func (o *object) own(off, n int64) io.ReadCloser {
	return io.NopCloser(io.NewSectionReader(bytes.NewReader(o.data), off, n))
}

func (o *object) asked() []ask {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]ask(nil), o.asks...)
}

// stalled is a body that gives nothing until its request ends.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (stalled) Close() error { return nil }

// after gives one body behind another one's end.
func after(first string, then io.Reader) io.ReadCloser {
	return io.NopCloser(io.MultiReader(strings.NewReader(first), then))
}

// noise is reproducible data.
func noise(n int) []byte {
	p := make([]byte, n)
	rand.New(rand.NewSource(int64(n))).Read(p)
	return p
}

// Blocks of 16 bytes, a cache of 8 of them, 4 of them in a request.
func small(o *object) Options {
	return Options{Size: int64(len(o.data)), Name: "vm.core", Block: 16, Cache: 128, Request: 64, Parallel: 3,
		Pause: func(int) time.Duration { return 0 }}
}

func readsAs(t *testing.T, r io.ReaderAt, o *object, off, n int) {
	t.Helper()
	got := make([]byte, n)
	if m, err := r.ReadAt(got, int64(off)); m != n || err != nil || !bytes.Equal(got, o.data[off:off+n]) {
		t.Fatalf("%d bytes at %d: %d, %v, right: %v", n, off, m, err, bytes.Equal(got, o.data[off:off+n]))
	}
}

// Every read at every place gives the object's bytes, whether it goes through the
// blocks or past them.
func TestReadsAreTheObjectsBytes(t *testing.T) {
	o := &object{data: noise(509)} // the last block is not whole
	r := New(t.Context(), o, small(o))
	for off := 0; off <= len(o.data); off++ {
		for _, n := range []int{0, 1, 15, 16, 17, 48, 49, 64, 65, 200, 600} {
			got := make([]byte, n)
			m, err := r.ReadAt(got, int64(off))
			want := o.data[off:min(off+n, len(o.data))]
			if m != len(want) || !bytes.Equal(got[:m], want) || (m < n) != (err == io.EOF) && off < len(o.data) {
				t.Fatalf("%d bytes at %d: %d, %v", n, off, m, err)
			}
		}
	}
	if err := iotest.TestReader(io.NewSectionReader(r, 0, int64(len(o.data))), o.data); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was read")
	}
	if r.held > r.o.Cache {
		t.Errorf("%d bytes are held", r.held)
	}
}

// However many want a block, it is asked for once, and it is not asked for again.
func TestOneRequestForABlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(128), delay: time.Second}
		r := New(t.Context(), o, small(o))
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() { readsAs(t, r, o, i%8, 8) })
		}
		all.Wait()
		readsAs(t, r, o, 3, 20)
		if got := o.asked(); len(got) != 2 || got[0].n+got[1].n != 32 {
			t.Errorf("asked for %v", got)
		}
	})
}

// What adjoins is one request, up to the bound; the rest runs at the same time.
func TestRequestsAreJoinedAndRunTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(2048), delay: time.Second}
		r := New(t.Context(), o, small(o))
		s := r.Source()
		readsAs(t, r, o, 33, 40) // blocks 2 to 4
		if got := o.asked(); len(got) != 1 || got[0] != (ask{32, 48}) {
			t.Fatalf("one read asked for %v", got)
		}
		began := time.Now()
		s.Prefetch([]source.Range{{Off: 1600, Bytes: 1}, {Off: 0, Bytes: 30}, {Off: 1610, Bytes: 7}, {Off: -1, Bytes: 9}, {Off: 5000, Bytes: 1}, {Off: 800, Bytes: 0}})
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v", took)
		}
		for _, off := range []int{1600, 0, 16, 1610} {
			readsAs(t, r, o, off, 7)
		}
		got := o.asked()[1:]
		if len(got) != 2 || got[0].off+got[1].off != 1600 || got[0].n+got[1].n != 64 {
			t.Errorf("announced: asked for %v", got)
		}
		// No more than half of the cache, in requests of at most four blocks, and
		// at most so many at once.
		o.asks, o.most = nil, 0
		s.Prefetch([]source.Range{{Off: 320, Bytes: 1}, {Off: 352, Bytes: 1}, {Off: 384, Bytes: 1}, {Off: 416, Bytes: 1 << 40}})
		if got := o.asked(); len(got) != 4 || o.most != 3 {
			t.Errorf("the rest of a long list: %v, %d at once", got, o.most)
		}
		options := small(o)
		options.Request = 32
		o.asks = nil
		readsAs(t, New(t.Context(), o, options), o, 0, 64)
		if got := o.asked(); len(got) != 2 || got[0].n != 32 || got[1].n != 32 {
			t.Errorf("a small bound: %v", got)
		}
		o.asks = nil
		readsAs(t, r, o, 1000, 1000) // past the blocks
		if got := o.asked(); len(got) != 16 || r.held > 128 {
			t.Errorf("a large read asked for %v; %d bytes are held", got, r.held)
		}
	})
}

// A block that is read all the time stays, whatever else is read in between, and so
// does one that was announced until it was read; the bound holds.
func TestWhatIsHotOrAnnouncedStays(t *testing.T) {
	o := &object{data: noise(4096)}
	r := New(t.Context(), o, small(o))
	s := r.Source()
	count := func(off int64) (n int) {
		for _, a := range o.asked() {
			if a.off <= off && off < a.off+a.n {
				n++
			}
		}
		return n
	}
	for i := 2; i < 200; i++ {
		readsAs(t, r, o, 5, 4)
		readsAs(t, r, o, i*16, 16)
	}
	if n := count(0); n != 1 {
		t.Errorf("the hot block was fetched %d times", n)
	}
	s.Prefetch([]source.Range{{Off: 3584, Bytes: 64}})
	for i := 2; i < 100; i++ {
		readsAs(t, r, o, i*16, 16)
	}
	o.asks = nil
	readsAs(t, r, o, 3584, 48)
	readsAs(t, r, o, 3632, 16)
	if got := o.asked(); len(got) != 0 {
		t.Errorf("what was announced was fetched again: %v", got)
	}
	// Once read it is like another.
	for i := 2; i < 100; i++ {
		readsAs(t, r, o, i*16, 16)
	}
	o.asks = nil
	readsAs(t, r, o, 3584, 48)
	if len(o.asked()) == 0 {
		t.Error("what was announced and read stays for ever")
	}
	// Announcing without reading does not fill the cache for good.
	for i := range 50 {
		s.Prefetch([]source.Range{{Off: int64(i) * 64, Bytes: 64}})
		readsAs(t, r, o, i*64+7, 16)
		if r.held > 128 || len(r.kept) > 4 {
			t.Fatalf("%d bytes are held, %d blocks kept", r.held, len(r.kept))
		}
	}
}

// Many at once, with little room: all get what they want, and the bound holds.
func TestConcurrentReadersShareTheRoom(t *testing.T) {
	o := &object{data: noise(4096)}
	r := New(t.Context(), o, small(o))
	s := r.Source()
	var over atomic.Int64
	o.answer = func(context.Context, int, ask) (io.ReadCloser, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.held > r.o.Cache {
			over.Store(r.held)
		}
		return nil, nil
	}
	var all sync.WaitGroup
	for seed := range 16 {
		all.Go(func() {
			random := rand.New(rand.NewSource(int64(seed)))
			for range 200 {
				off, n := random.Intn(4000), random.Intn(96)
				switch random.Intn(8) {
				case 0:
					s.Prefetch([]source.Range{{Off: int64(off), Bytes: int64(n)}, {Off: int64(random.Intn(4000)), Bytes: 20}})
				case 1:
					at := off
					err := s.Scan(int64(off), int64(n), make([]byte, 10), func(p []byte) error {
						if !bytes.Equal(p, o.data[at:at+len(p)]) {
							t.Errorf("streamed: wrong at %d", at)
						}
						at += len(p)
						return nil
					})
					if err != nil || at != off+n {
						t.Errorf("streamed to %d of %d: %v", at, off+n, err)
					}
				default:
					got := make([]byte, n)
					if m, err := r.ReadAt(got, int64(off)); m != n || err != nil || !bytes.Equal(got, o.data[off:off+n]) {
						t.Errorf("%d bytes at %d: %d, %v", n, off, m, err)
					}
				}
			}
		})
	}
	all.Wait()
	if over.Load() > 0 {
		t.Errorf("%d bytes were held", over.Load())
	}
	if o.most > 3 {
		t.Errorf("%d requests at once", o.most)
	}
	if r.lent != 0 || len(r.spare) > streams {
		t.Errorf("%d buffers lent, %d spare", r.lent, len(r.spare))
	}
}

// What is on its way has its room too: who has none waits.
func TestWhatIsOnItsWayHasRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(4096), delay: time.Second}
		options := small(o)
		options.Parallel = 16
		r := New(t.Context(), o, options)
		var all sync.WaitGroup
		began := time.Now()
		for i := range 12 {
			all.Go(func() { readsAs(t, r, o, i*256, 64) })
		}
		all.Wait()
		// 128 bytes at a time
		if took := time.Since(began); took != 6*time.Second || o.most != 2 {
			t.Errorf("it took %v, %d requests at once", took, o.most)
		}
	})
}

// A stream gives everything once and in order, in whole buffers, whatever the sizes.
func TestStreamGivesTheRange(t *testing.T) {
	o := &object{data: noise(4099)}
	r := New(t.Context(), o, small(o))
	s := r.Source()
	for _, buffer := range []int{1, 7, 16, 64, 500, 5000} {
		for _, x := range []ask{{0, 4099}, {1, 4098}, {100, 17}, {4090, 9}, {4099, 0}, {300, 16}, {5, 1000}} {
			var got []byte
			err := s.Scan(x.off, x.n, make([]byte, buffer), func(p []byte) error {
				got = append(got, p...)
				return nil
			})
			if err != nil || !bytes.Equal(got, o.data[x.off:x.off+x.n]) {
				t.Fatalf("buffer %d, %v: %d bytes, %v", buffer, x, len(got), err)
			}
		}
	}
	if err := s.Scan(4000, 200, make([]byte, 64), func([]byte) error { return nil }); !fault.Is(err, fault.FileChanged) {
		t.Errorf("beyond the end: %v", err)
	}
	if err := s.Stream(-1, 200, make([]byte, 64), func([]byte) error { return nil }); err == nil {
		t.Error("before the beginning: no error")
	}
	if n := len(r.blocks); n > 8 {
		t.Errorf("%d blocks", n)
	}
}

// A stream runs ahead of its visitor, and not far: who stops at once has not paid
// for much, and who goes on waits for no journey.
func TestStreamRunsAheadByABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(1 << 16)}
		r := New(t.Context(), o, small(o))
		enough := errors.New("enough")
		calls := 0
		err := r.stream(0, 1<<16, make([]byte, 16), func([]byte) error {
			synctest.Wait()
			calls++
			var ahead int64
			for _, a := range o.asked() {
				ahead += a.n
			}
			ahead -= int64(calls) * 16
			if ahead > streams*64 || ahead > int64(calls)*16+2*16 || calls > 50 && ahead < (streams-1)*64 {
				t.Fatalf("after %d bytes %d more were asked for", calls*16, ahead)
			}
			if calls == 200 {
				return enough
			}
			return nil
		})
		if err != enough || calls != 200 {
			t.Errorf("%v after %d calls", err, calls)
		}
		synctest.Wait()
		if r.lent != 0 || r.err != nil {
			t.Errorf("%d buffers lent, %v", r.lent, r.err)
		}
	})
	// A few bytes come with their neighbours, which the next stream finds there.
	near := &object{data: noise(64)}
	few := New(t.Context(), near, small(near))
	for i := range int64(8) {
		if err := few.stream(i*2, 2, make([]byte, 2), func([]byte) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	if got := near.asked(); len(got) != 1 {
		t.Errorf("a few bytes: asked for %v", got)
	}
	// Several streams share the buffers, and one inside another one's visit goes on.
	o := &object{data: noise(4096)}
	r := New(t.Context(), o, small(o))
	inner := 0
	err := r.stream(0, 4096, make([]byte, 1024), func([]byte) error {
		return r.stream(0, 4096, make([]byte, 512), func([]byte) error {
			inner++
			if r.lent > streams+1 {
				t.Fatalf("%d buffers lent", r.lent)
			}
			return nil
		})
	})
	if err != nil || inner != 32 || r.lent != 0 || len(r.spare) > streams {
		t.Errorf("%v, %d, %d lent, %d spare", err, inner, r.lent, len(r.spare))
	}
}

// A body that is cut anywhere is gone on with from there; what came counts.
func TestBodiesAreGoneOnWithWhereTheyBroke(t *testing.T) {
	o := &object{data: noise(256)}
	for _, way := range []string{"read", "large read", "prefetch", "stream"} {
		for cut := range int64(50) {
			cuts := 0
			o.asks = nil
			o.answer = func(_ context.Context, i int, a ask) (io.ReadCloser, error) {
				if i%2 == 1 || a.n <= cut { // each second answer is whole
					return nil, nil
				}
				cuts++
				if cut%2 == 0 {
					return io.NopCloser(io.LimitReader(o.own(a.off, a.n), cut)), nil // as if it had ended
				}
				return io.NopCloser(io.MultiReader(io.LimitReader(o.own(a.off, a.n), cut), iotest.ErrReader(errors.New("reset")))), nil
			}
			options := small(o)
			options.Parallel = 1
			r := New(t.Context(), o, options)
			switch way {
			case "read":
				readsAs(t, r, o, 70, 40)
			case "large read":
				readsAs(t, r, o, 70, 180)
			case "prefetch":
				r.Source().Prefetch([]source.Range{{Off: 70, Bytes: 40}})
				n := len(o.asked())
				readsAs(t, r, o, 70, 40)
				if len(o.asked()) != n {
					t.Errorf("cut at %d: what was announced did not come", cut)
				}
			case "stream":
				var got []byte
				if err := r.stream(3, 200, make([]byte, 33), func(p []byte) error { got = append(got, p...); return nil }); err != nil || !bytes.Equal(got, o.data[3:203]) {
					t.Fatalf("cut at %d: %d bytes, %v", cut, len(got), err)
				}
			}
			asks := o.asked()
			if cuts == 0 && cut < 16 {
				t.Errorf("%s: nothing was cut at %d", way, cut)
			}
			// What follows a cut begins where it was, and ends where the other did.
			for i := 0; i+1 < len(asks); i += 2 {
				if asks[i].n > cut && asks[i+1] != (ask{asks[i].off + cut, asks[i].n - cut}) {
					t.Errorf("%s cut at %d: %v was followed by %v", way, cut, asks[i], asks[i+1])
				}
			}
		}
	}
}

// What fails is tried so often in a row, with pauses that grow, and progress begins
// the count anew.
func TestTriesAreBounded(t *testing.T) {
	refused := errors.New("the connection was refused")
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(64), answer: func(context.Context, int, ask) (io.ReadCloser, error) { return nil, refused }}
		options := small(o)
		options.Pause = nil
		r := New(t.Context(), o, options)
		began := time.Now()
		_, err := r.ReadAt(make([]byte, 4), 20)
		// 0.2, 0.4, 0.8 and 1.6 s, of which half is by chance
		if took := time.Since(began); took < 1500*time.Millisecond || took > 3*time.Second {
			t.Errorf("the pauses took %v", took)
		}
		if !fault.Is(err, fault.InputUnreadable) || !errors.Is(err, refused) ||
			err.Error() != "could not read vm.core at 0x10: the connection was refused; it was tried 5 times" {
			t.Errorf("%v", err)
		}
		if n := len(o.asked()); n != 5 {
			t.Errorf("%d tries", n)
		}
		// It is not gone through again for each page of a search.
		for range 3 {
			if _, again := r.ReadAt(make([]byte, 4), 40); again != err {
				t.Errorf("then %v", again)
			}
		}
		r.Source().Prefetch([]source.Range{{Off: 0, Bytes: 64}})
		if again := r.stream(0, 64, make([]byte, 64), func([]byte) error { return nil }); again != err {
			t.Errorf("streamed: %v", again)
		}
		if _, again := r.ReadAt(make([]byte, 64), 0); again != err || len(o.asked()) != 5 {
			t.Errorf("then %v, and %d requests", again, len(o.asked()))
		}
	})
	// A byte each time is progress, four times nothing is not the end.
	o := &object{data: noise(16)}
	o.answer = func(_ context.Context, i int, a ask) (io.ReadCloser, error) {
		if i%5 < 4 {
			return nil, refused
		}
		return io.NopCloser(io.LimitReader(o.own(a.off, a.n), 1)), nil
	}
	readsAs(t, New(t.Context(), o, small(o)), o, 0, 16)
	if n := len(o.asked()); n != 16*5 {
		t.Errorf("%d requests", n)
	}
	// A byte of many is none: it would go on for ever.
	o = &object{data: noise(1 << 16)}
	o.answer = func(_ context.Context, _ int, a ask) (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(o.own(a.off, a.n), 1)), nil
	}
	large := small(o)
	large.Block, large.Request, large.Cache = 1<<16, 1<<16, 1<<20
	if _, err := New(t.Context(), o, large).ReadAt(make([]byte, 64), 0); !fault.Is(err, fault.InputUnreadable) || len(o.asked()) != 5 {
		t.Errorf("%v after %d requests", err, len(o.asked()))
	}
	for failed, want := range map[int]time.Duration{1: firstPause, 2: 2 * firstPause, 4: 8 * firstPause, 9: longPause, 1000: longPause} {
		for range 100 {
			if d := pause(failed); d < want/2 || d > want {
				t.Errorf("%d failed: %v", failed, d)
			}
		}
	}
}

// busy asks for patience.
type busy time.Duration

func (busy) Error() string               { return "the server is busy" }
func (b busy) RetryAfter() time.Duration { return time.Duration(b) }

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(64)}
		o.answer = func(_ context.Context, i int, a ask) (io.ReadCloser, error) {
			if i == 0 {
				return nil, fmt.Errorf("asked: %w", busy(17*time.Second))
			}
			return nil, nil
		}
		began := time.Now()
		readsAs(t, New(t.Context(), o, small(o)), o, 0, 4)
		if took := time.Since(began); took != 17*time.Second {
			t.Errorf("waited %v", took)
		}
		o.answer = func(context.Context, int, ask) (io.ReadCloser, error) { return nil, busy(time.Hour) }
		began = time.Now()
		_, err := New(t.Context(), o, small(o)).ReadAt(make([]byte, 4), 0)
		if took := time.Since(began); took != 0 || !fault.Is(err, fault.InputUnreadable) || !strings.Contains(strings.Join(fault.As(err).Remedy(), ""), "1h0m0s") {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// What stalls, before its first byte or in the middle, is cut and asked for anew.
func TestStallsAreCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(64)}
		o.answer = func(ctx context.Context, i int, a ask) (io.ReadCloser, error) {
			switch i {
			case 0:
				<-ctx.Done()
				return nil, ctx.Err()
			case 1:
				return after(string(o.data[a.off:a.off+5]), stalled{ctx}), nil
			}
			return nil, nil
		}
		began := time.Now()
		readsAs(t, New(t.Context(), o, small(o)), o, 0, 16)
		if took := time.Since(began); took != 2*defaultIdle {
			t.Errorf("it took %v", took)
		}
		if got := o.asked(); len(got) != 3 || got[2] != (ask{5, 11}) {
			t.Errorf("asked for %v", got)
		}
		// So it is where the object has its own word for the end of its context.
		o.asks = nil
		o.answer = func(ctx context.Context, i int, a ask) (io.ReadCloser, error) {
			if i > 0 {
				return nil, nil
			}
			<-ctx.Done()
			return nil, fault.Wrap(ctx.Err(), fault.Cancelled, "")
		}
		readsAs(t, New(t.Context(), o, small(o)), o, 0, 16)
		// A slow body is none that stalls: a byte every 29 seconds.
		o.answer = func(ctx context.Context, i int, a ask) (io.ReadCloser, error) {
			return &slow{o.own(a.off, a.n), ctx, 29 * time.Second}, nil
		}
		readsAs(t, New(t.Context(), o, small(o)), o, 0, 16)
		if got := o.asked(); len(got) != 3 {
			t.Errorf("asked for %v", got)
		}
		o.answer = func(ctx context.Context, i int, a ask) (io.ReadCloser, error) { return stalled{ctx}, nil }
		if _, err := New(t.Context(), o, small(o)).ReadAt(make([]byte, 4), 0); !fault.Is(err, fault.InputUnreadable) || !errors.Is(err, errStalled) {
			t.Errorf("%v", err)
		}
		// All is there: that the end does not come is nobody's loss.
		o.answer = func(ctx context.Context, i int, a ask) (io.ReadCloser, error) {
			return after(string(o.data[a.off:a.off+a.n]), stalled{ctx}), nil
		}
		o.asks = nil
		readsAs(t, New(t.Context(), o, small(o)), o, 0, 16)
		if got := o.asked(); len(got) != 1 {
			t.Errorf("asked for %v", got)
		}
	})
}

// slow is a body that gives a byte at a time.
type slow struct {
	io.ReadCloser
	ctx   context.Context
	every time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	select {
	case <-time.After(s.every):
	case <-s.ctx.Done():
		return 0, s.ctx.Err()
	}
	return s.ReadCloser.Read(p[:min(1, len(p))])
}

// A fault of the object is final, and the first of it is what all reads give.
func TestFaultsAreFinal(t *testing.T) {
	for _, inBody := range []bool{false, true} {
		changed := fault.New(fault.FileChanged, "vm.core was replaced")
		o := &object{data: noise(256)}
		o.answer = func(_ context.Context, i int, a ask) (io.ReadCloser, error) {
			if inBody {
				return io.NopCloser(iotest.ErrReader(fmt.Errorf("body: %w", changed))), nil
			}
			return nil, changed
		}
		for _, off := range []int64{0, 3} {
			r := New(t.Context(), o, small(o))
			o.asks = nil
			r.Source().Prefetch([]source.Range{{Off: 0, Bytes: 16}}) // says nothing
			if n, err := r.ReadAt(make([]byte, 200), off); n != 0 || !fault.Is(err, fault.FileChanged) {
				t.Errorf("%d, %v", n, err)
			}
			n := len(o.asked())
			if err := r.Source().Scan(0, 100, make([]byte, 9), func([]byte) error { return nil }); !fault.Is(err, fault.FileChanged) || len(o.asked()) != n {
				t.Errorf("%v after %v", err, o.asked())
			}
		}
	}
}

// What is announced and fails is silent; the read asks again, and gives its own
// error or the bytes.
func TestAFailedAnnouncementIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &object{data: noise(64), delay: time.Second}
		began := time.Now()
		o.answer = func(context.Context, int, ask) (io.ReadCloser, error) {
			if time.Since(began) <= 5*time.Second { // the five tries

				return nil, errors.New("no route")
			}
			return nil, nil
		}
		r := New(t.Context(), o, small(o))
		go r.Source().Prefetch([]source.Range{{Off: 0, Bytes: 1}})
		synctest.Wait()
		readsAs(t, r, o, 0, 16) // joins it, and then asks itself
		if took := time.Since(began); took != 6*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	o := &object{data: noise(64)}
	down := errors.New("no route")
	o.answer = func(context.Context, int, ask) (io.ReadCloser, error) { return nil, down }
	r := New(t.Context(), o, small(o))
	r.Source().Prefetch([]source.Range{{Off: 0, Bytes: 1}})
	o.answer = nil
	readsAs(t, r, o, 0, 16)
	if n := len(o.asked()); n != 6 {
		t.Errorf("%d requests", n)
	}
}

// More than was asked for is no answer.
func TestTooMuchIsAnError(t *testing.T) {
	o := &object{data: noise(64)}
	o.answer = func(_ context.Context, _ int, a ask) (io.ReadCloser, error) { return o.own(a.off, a.n+1), nil }
	_, err := New(t.Context(), o, small(o)).ReadAt(make([]byte, 4), 0)
	if !fault.Is(err, fault.InputUnreadable) || !strings.Contains(err.Error(), "more came than the 16 bytes") || len(o.asked()) != 1 {
		t.Errorf("%v, %v", err, o.asked())
	}
}

// The end of the context is the end of all that waits, at once.
func TestCancelEndsAtOnce(t *testing.T) {
	stall := func(ctx context.Context, _ int, _ ask) (io.ReadCloser, error) { return stalled{ctx}, nil }
	failing := func(context.Context, int, ask) (io.ReadCloser, error) { return nil, errors.New("no route") }
	worded := func(ctx context.Context, _ int, _ ask) (io.ReadCloser, error) {
		<-ctx.Done()
		return nil, fault.New(fault.InputUnreadable, "there was no answer")
	}
	for name, answer := range map[string]func(context.Context, int, ask) (io.ReadCloser, error){"in a body": stall, "in a pause": failing, "in words": worded} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			o := &object{data: noise(1024), answer: answer}
			options := small(o)
			options.Pause = func(int) time.Duration { return time.Minute }
			r := New(ctx, o, options)
			s := r.Source()
			began := time.Now()
			var all sync.WaitGroup
			check := func(what string, err error) {
				if !fault.Is(err, fault.Cancelled) || !errors.Is(err, context.Canceled) {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			}
			for i := range 12 { // more than there are requests at once, and than there is room
				all.Go(func() {
					_, err := r.ReadAt(make([]byte, 30), int64(i)*64)
					check("read", err)
				})
			}
			all.Go(func() {
				_, err := r.ReadAt(make([]byte, 500), 0)
				check("large read", err)
			})
			all.Go(func() { check("stream", s.Scan(0, 500, make([]byte, 9), func([]byte) error { return nil })) })
			all.Go(func() { s.Prefetch([]source.Range{{Off: 900, Bytes: 100}}) })
			synctest.Wait()
			cancel()
			all.Wait()
			if took := time.Since(began); took != 0 {
				t.Errorf("%s: the end took %v", name, took)
			}
			_, err := r.ReadAt(make([]byte, 1), 0)
			check("later", err)
		})
	}
}

// A source's memory is that of its blocks and of its streams' buffers.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 1 GB")
	}
	r := New(t.Context(), zeros{}, Options{Size: 1 << 40, Name: "vm.core"})
	s := r.Source()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range int64(256) {
		s.Prefetch([]source.Range{{Off: i << 30, Bytes: 4 << 20}})
		if _, err := r.ReadAt(make([]byte, 4096), i<<30); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Scan(0, 512<<20, make([]byte, 1<<20), func([]byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > defaultCache+streams*defaultRequest+1<<20 {
		t.Errorf("%d bytes are kept", kept)
	}
	runtime.KeepAlive(r)
}

// zeros is an object without data.
type zeros struct{}

func (zeros) Range(_ context.Context, _, n int64) (io.ReadCloser, error) {
	return io.NopCloser(io.LimitReader(zeroReader{}, n)), nil
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }
