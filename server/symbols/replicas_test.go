package symbols

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
	"coredrop/server/sharedstore"
)

// replica is one of several servers with a cache of its own and one bucket.
type replica struct {
	*Handler
	now  time.Time
	mu   sync.Mutex
	told []error
	last Request
}

func newReplica(t *testing.T, s *buckettest.Store, upstreams ...Upstream) *replica {
	t.Helper()
	objects, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	r := &replica{now: time.Unix(1e9, 0)}
	r.Handler = &Handler{Cache: cacheIn(t), Shared: sharedstore.New(objects, bucket.Name{Bucket: s.Bucket, Key: "symbols/"}), Upstreams: upstreams,
		Now: func() time.Time { return r.now }, Observe: func(q Request) { r.mu.Lock(); r.last = q; r.mu.Unlock() },
		SharedTrouble: func(_ symstore.Key, err error) { r.mu.Lock(); r.told = append(r.told, err); r.mu.Unlock() }}
	r.prepare()
	r.tier.patience = time.Minute // however slow this machine is
	return r
}

// written waits for what is written behind.
func (r *replica) written() { r.tier.behind.running.Wait() }

const objectKey = "symbols/" + demo.PDBKey

// What one replica fetched the other one has, without asking; and once only, however
// many want it.
func TestReplicasShareABucket(t *testing.T) {
	s := buckettest.Start(t)
	up, asked := always(t)
	first, second := newReplica(t, s, up), newReplica(t, s, up)
	if w := ask(first, "/"+demo.PDBKey); w.Code != 200 || first.last.Source != "upstream" {
		t.Fatalf("%d %+v", w.Code, first.last)
	}
	first.written()
	if got, err := io.ReadAll(s.Get(t, objectKey)); err != nil || !bytes.Equal(got, pdbBytes(t)) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	s.Reset()
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			if w := ask(second, "/"+demo.PDBKey); w.Code != 200 || !bytes.Equal(w.Body.Bytes(), pdbBytes(t)) {
				t.Errorf("%d %.200s", w.Code, w.Body)
			}
		})
	}
	all.Wait()
	if got := s.Requests(); !slices.Equal(got, []string{"HeadObject", "GetObject"}) {
		t.Errorf("%q", got)
	}
	if w := ask(second, strings.ToUpper("/"+demo.PDBKey)); w.Code != 200 || second.last.Source != "cache" || asked.Load() != 1 || len(s.Requests()) != 2 {
		t.Errorf("afterwards %d %+v, the upstream was asked %d times, the bucket %q", w.Code, second.last, asked.Load(), s.Requests())
	}
	a, b := first.Stats().Shared, second.Stats().Shared
	if a.Misses != 1 || a.Written != 1 || b.Hits != 1 || b.Written != 0 || a.Hits+a.Wrong+a.Failed+b.Misses+b.Wrong+b.Failed != 0 {
		t.Errorf("%+v, %+v", a, b)
	}
	first.Cache = cacheIn(t)
	if ask(first, "/"+demo.PDBKey); first.last.Source != "shared" || first.last.Result != "hit" || first.last.Upstream != "" {
		t.Errorf("%+v", first.last)
	}
}

// An object that is not what its key says is passed over and told of, stays as it is, and
// says nothing of the others.
func TestWrongObjects(t *testing.T) {
	s := buckettest.Start(t)
	good := pdbBytes(t)
	damaged := bytes.Clone(good)
	clear(damaged[:4096])
	for name, c := range map[string]struct {
		object []byte
		code   fault.Code
	}{
		"another build": {otherBuild(t), fault.SymbolsMismatch},
		"cut":           {good[:len(good)/2], fault.PDBDamaged},
		"empty":         {nil, fault.SymbolsNotAPDB},
		"damaged":       {damaged, fault.SymbolsNotAPDB},
		"a page":        {[]byte("<!doctype html><title>log in</title>"), fault.SymbolsNotAPDB},
		"a cabinet":     {[]byte("MSCF" + strings.Repeat("\x00", 100)), fault.SymbolsCompressed},
	} {
		t.Run(name, func(t *testing.T) {
			s.Put(t, objectKey, bytes.NewReader(c.object), int64(len(c.object)))
			up, asked := always(t)
			r := newReplica(t, s, up)
			for range 3 { // of which two in a row are no reason to rest
				if w := ask(r, "/"+demo.PDBKey); w.Code != 200 || !bytes.Equal(w.Body.Bytes(), good) {
					t.Errorf("%d %.200s", w.Code, w.Body)
				}
				r.Cache = cacheIn(t)
			}
			r.written()
			if st := r.Stats().Shared; st.Wrong != 3 || st.Failed+st.Written+st.Dropped != 0 || asked.Load() != 3 {
				t.Errorf("%+v, the upstream was asked %d times", st, asked.Load())
			}
			if len(r.told) != 3 || !fault.Is(r.told[0], c.code) {
				t.Errorf("told of %v", r.told)
			}
			if got, err := io.ReadAll(s.Get(t, objectKey)); err != nil || !bytes.Equal(got, c.object) {
				t.Errorf("it was replaced by %d bytes, %v", len(got), err)
			}
		})
	}
}

// Whatever the bucket does: the right file comes from the upstream, and after two
// failures the bucket is left alone.
func TestBucketTrouble(t *testing.T) {
	s := buckettest.Start(t)
	good := pdbBytes(t)
	on := func(what string, f buckettest.Fault) func(*http.Request) buckettest.Fault {
		return func(r *http.Request) buckettest.Fault {
			if buckettest.Name(r) == what {
				return f
			}
			return buckettest.Fault{}
		}
	}
	always := func(f buckettest.Fault) func(*http.Request) buckettest.Fault {
		return func(*http.Request) buckettest.Fault { return f }
	}
	for _, c := range []struct {
		name string
		act  func(r *http.Request) buckettest.Fault // nothing is written meanwhile
		slow bool
	}{
		{"403", always(buckettest.Fault{Status: 403, Code: "AccessDenied"}), false},
		{"expired", always(buckettest.Fault{Status: 400, Code: "ExpiredToken"}), false},
		{"500", always(buckettest.Fault{Status: 500, Code: "InternalError"}), false},
		{"503", always(buckettest.Fault{Status: 503, Code: "SlowDown"}), false},
		{"down", always(buckettest.Fault{Drop: true}), false},
		{"no bucket", on("GetObject", buckettest.Fault{Status: 404, Code: "NoSuchBucket"}), false},
		{"silent", always(buckettest.Fault{Stall: true}), true},
		{"503 behind HEAD", on("GetObject", buckettest.Fault{Status: 503, Code: "SlowDown"}), false},
		{"silent behind HEAD", on("GetObject", buckettest.Fault{Stall: true}), true},
		{"cut", on("GetObject", buckettest.Fault{Cut: 1 + 70000}), false},
		{"cut at its beginning", on("GetObject", buckettest.Fault{Cut: 1}), false},
		{"another version", on("GetObject", buckettest.Fault{Header: http.Header{"Etag": {`"0123"`}}}), false},
		{"gone midway", on("GetObject", buckettest.Fault{Before: func() { s.Remove(t, objectKey) }}), false},
		{"replaced midway", on("GetObject", buckettest.Fault{Before: func() { s.Put(t, objectKey, strings.NewReader("other"), 5) }}), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int32
			up := fake(func(context.Context, symstore.Key) ([]byte, error) {
				asked.Add(1)
				return good, nil
			})
			r := newReplica(t, s, up)
			r.tier.store = unwritten{r.Shared}
			if c.slow {
				r.tier.patience = 100 * time.Millisecond // what answers later fails too
			}
			for i := range 3 {
				s.Reset()
				s.Put(t, objectKey, bytes.NewReader(good), int64(len(good)))
				s.Act(func(_ int, q *http.Request) buckettest.Fault { return c.act(q) })
				if w := ask(r, "/"+demo.PDBKey); w.Code != 200 || !bytes.Equal(w.Body.Bytes(), good) || r.last.Source != "upstream" {
					t.Errorf("%d %.200s, %+v", w.Code, w.Body, r.last)
				}
				r.written()
				if i < 2 {
					r.Cache = cacheIn(t)
				}
			}
			if st := r.Stats().Shared; st.Failed != 2 || !st.ReadsRest || st.Hits+st.Misses+st.Wrong != 0 || asked.Load() != 3 {
				t.Errorf("%+v, the upstream was asked %d times", st, asked.Load())
			}
			if len(r.told) != 2 {
				t.Errorf("told of %v", r.told)
			}
			for _, err := range r.told {
				if fault.Is(err, fault.Internal) || fault.Is(err, fault.Cancelled) {
					t.Errorf("told of %v", err)
				}
			}
			s.Reset()
			s.Put(t, objectKey, bytes.NewReader(good), int64(len(good)))
			r.tier.patience = time.Minute
			r.now = r.now.Add(31 * time.Second)
			r.Cache = cacheIn(t)
			if ask(r, "/"+demo.PDBKey); r.last.Source != "shared" {
				t.Errorf("half a minute after it was mended: %+v", r.last)
			}
		})
	}
}

// unwritten is a store to which nothing is written.
type unwritten struct{ symstore.Store }

func (unwritten) Put(context.Context, symstore.Key, io.Reader) error { return nil }

// A bucket that takes nothing costs nobody anything, and what is there meanwhile is read.
func TestBucketThatTakesNothing(t *testing.T) {
	s := buckettest.Start(t)
	for name, f := range map[string]buckettest.Fault{
		"read only": {Status: 403, Code: "AccessDenied"}, "full": {Status: 507, Code: "XMinioStorageFull"}, "500": {Status: 500, Code: "InternalError"},
		"503": {Status: 503, Code: "SlowDown"}, "dropped": {Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			s.Reset()
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				if r.Method == http.MethodPut {
					return f
				}
				return buckettest.Fault{}
			})
			up, _ := always(t)
			r := newReplica(t, s, up)
			if w := ask(r, "/"+demo.PDBKey); w.Code != 200 {
				t.Errorf("%d", w.Code)
			}
			r.written()
			if st := r.Stats().Shared; st.Unwritten != 1 || st.Written+st.Dropped != 0 || len(r.told) != 1 {
				t.Errorf("%+v, told of %v", st, r.told)
			}
			if got := s.Keys(t); len(got) != 0 {
				t.Errorf("%q", got)
			}
		})
	}
}

// Two replicas that fetch the same at the same time write the same: one wins.
func TestReplicasWriteAtOnce(t *testing.T) {
	s := buckettest.Start(t)
	var both sync.WaitGroup
	both.Add(2)
	up, _ := always(t)
	first, second := newReplica(t, s, up), newReplica(t, s, up)
	var once atomic.Int32
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if buckettest.Name(r) == "PutObject" && once.Add(1) <= 2 {
			both.Done()
			both.Wait() // neither is there when the other looks
		}
		return buckettest.Fault{}
	})
	var all sync.WaitGroup
	for _, r := range []*replica{first, second} {
		all.Go(func() {
			if w := ask(r, "/"+demo.PDBKey); w.Code != 200 {
				t.Errorf("%d", w.Code)
			}
			r.written()
		})
	}
	all.Wait()
	for _, r := range []*replica{first, second} {
		if st := r.Stats().Shared; st.Written != 1 || st.Unwritten+st.Dropped != 0 || len(r.told) != 0 {
			t.Errorf("%+v, told of %v", st, r.told)
		}
	}
	if got, err := io.ReadAll(s.Get(t, objectKey)); err != nil || !bytes.Equal(got, pdbBytes(t)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if s.Count("PutObject") < 2 {
		t.Errorf("%q", s.Requests())
	}
}

// Many replicas and many files: each file is fetched a few times at most, and each client
// gets the one it wants.
func TestManyReplicas(t *testing.T) {
	s := buckettest.Start(t)
	var asked atomic.Int32
	up := fake(func(_ context.Context, k symstore.Key) ([]byte, error) {
		asked.Add(1)
		var stamp uint32
		if _, err := fmt.Sscanf(k.ID[:8], "%X", &stamp); err != nil {
			return nil, err
		}
		return image(stamp, 0x1000), nil
	})
	const files = 40
	for round := range 3 {
		r := newReplica(t, s, up)
		r.Limits = Limits{}
		var all sync.WaitGroup
		for i := range files {
			all.Go(func() {
				w := ask(r, fmt.Sprintf("/a.exe/%08X1000/a.exe", i))
				if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), image(uint32(i), 0x1000)) {
					t.Errorf("%d: %d %.200s", i, w.Code, w.Body)
				}
			})
		}
		all.Wait()
		r.written()
		if n := asked.Load(); n != files {
			t.Errorf("round %d: the upstream was asked %d times for %d files", round, n, files)
		}
		if st := r.Stats().Shared; round > 0 && st.Hits != files || st.Failed+st.Wrong+st.Dropped != 0 {
			t.Errorf("round %d: %+v", round, st)
		}
	}
}
