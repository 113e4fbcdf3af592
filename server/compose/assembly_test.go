package compose

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/server/bucket"
)

// picture is an image with its bytes at hand.
type picture struct {
	parts []dmp.Part
	bytes []byte
	core  []byte // what parts are ranges of

	fail     func(off int64) error // asked before each piece that a scan gives
	scanning atomic.Int64
}

func (p *picture) Size() int64       { return int64(len(p.bytes)) }
func (p *picture) Parts() []dmp.Part { return p.parts }

func (p *picture) Scan(ctx context.Context, off, n int64, buf []byte, visit func([]byte) error) error {
	p.scanning.Add(1)
	defer p.scanning.Add(-1)
	for n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.fail != nil {
			if err := p.fail(off); err != nil {
				return err
			}
		}
		piece := buf[:min(n, int64(len(buf)))]
		copy(piece, p.bytes[off:])
		if err := visit(piece); err != nil {
			return err
		}
		clear(piece) // it was valid during the call
		off, n = off+int64(len(piece)), n-int64(len(piece))
	}
	return nil
}

// draw makes an image of parts of any kind.
func draw(seed uint64, kinds int, lengths ...int) *picture {
	r := rand.New(rand.NewPCG(25, seed))
	noise := rand.NewChaCha8([32]byte{byte(seed)})
	p := &picture{}
	for i, n := range lengths {
		piece := make([]byte, n)
		part := dmp.Part{Kind: dmp.Kind(i % kinds), Bytes: int64(n)}
		if part.Kind != dmp.Zero {
			noise.Read(piece)
		}
		switch part.Kind {
		case dmp.Literal:
			part.Literal = piece
		case dmp.Copy:
			p.core = append(p.core, make([]byte, r.IntN(100))...)
			part.Off = int64(len(p.core))
			p.core = append(p.core, piece...)
		}
		p.parts = append(p.parts, part)
		p.bytes = append(p.bytes, piece...)
	}
	return p
}

// fake is a store that keeps one upload, and to its rules.
type fake struct {
	t      *testing.T
	core   []byte
	limits dmp.Limits

	before func(ctx context.Context, what string) error // asked by each request
	hurry  bool                                         // who cancels does not wait for requests
	broken func(number int) int                         // after how many bytes a sent part breaks off; 0: it does not

	mu               sync.Mutex
	parts            map[int][]byte
	working, copying int
	most, mostCopies int
	requests         map[string]int
	aborted          bool
	object           []byte
}

var coreObject = &bucket.Object{Name: bucket.Name{Bucket: "cores", Key: "vm.core"}, Size: bucket.MinCopied + 1}

func (f *fake) begin(ctx context.Context, what string, number int) (func(), error) {
	f.mu.Lock()
	f.requests[what]++
	f.working++
	if what == "copy" {
		f.copying++
	}
	f.most, f.mostCopies = max(f.most, f.working-f.copying), max(f.mostCopies, f.copying)
	if f.aborted || f.object != nil {
		f.t.Errorf("%s of part %d behind the end", what, number)
	}
	f.mu.Unlock()
	err := error(nil)
	if f.before != nil {
		err = f.before(ctx, what)
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.working--
		if what == "copy" {
			f.copying--
		}
	}, err
}

func (f *fake) keep(number int, p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if number < 1 || number > f.limits.Most || int64(len(p)) > f.limits.Max {
		f.t.Errorf("part %d has %d bytes", number, len(p))
	}
	f.parts[number] = p
}

func (f *fake) Copy(ctx context.Context, number int, from *bucket.Object, off, n int64) error {
	end, err := f.begin(ctx, "copy", number)
	defer end()
	if err != nil {
		return err
	}
	if from != coreObject {
		f.t.Errorf("a copy of %+v", from)
	}
	f.keep(number, bytes.Clone(f.core[off:off+n]))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests["copied"]++
	return ctx.Err()
}

func (f *fake) Put(ctx context.Context, number int, n int64, body func() io.Reader) error {
	end, err := f.begin(ctx, "put", number)
	defer end()
	if err != nil {
		return err
	}
	for f.broken != nil {
		some := f.broken(number)
		if some == 0 {
			break
		}
		if got, err := io.CopyN(io.Discard, body(), int64(some)); err != nil || got != int64(some) {
			return fmt.Errorf("after %d bytes the body broke off: %w", got, err)
		}
	}
	p := make([]byte, n)
	r := body()
	if _, err := io.ReadFull(r, p); err != nil {
		return errors.New("the body broke off")
	}
	if more, err := r.Read(make([]byte, 1)); more != 0 || err != io.EOF {
		f.t.Errorf("part %d: %d bytes more, %v", number, more, err)
	}
	f.keep(number, p)
	return ctx.Err()
}

func (f *fake) Complete(ctx context.Context) (bucket.Done, error) {
	end, err := f.begin(ctx, "complete", 0)
	defer end()
	if err != nil {
		return bucket.Done{}, err
	}
	for number := 1; number <= len(f.parts); number++ {
		p := f.parts[number]
		if int64(len(p)) < f.limits.Min && number < len(f.parts) {
			f.t.Errorf("part %d of %d has %d bytes", number, len(f.parts), len(p))
		}
		f.object = append(f.object, p...)
	}
	return bucket.Done{ETag: "made"}, ctx.Err()
}

func (f *fake) Abort(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests["abort"]++
	if f.working > 0 {
		f.t.Errorf("aborted while %d requests are on their way", f.working)
	}
	if ctx.Err() != nil {
		f.t.Error("aborted with a context that has ended")
	}
	f.aborted = true
	if f.before != nil {
		return f.before(ctx, "abort")
	}
	return nil
}

// small are limits for small images.
var small = dmp.Limits{Min: 3000, Max: 100000, Most: 9999, Copy: 20000, Upload: 7000, From: func(int) bool { return true }}

// assembled makes an image an object of the fake store.
func assembled(t *testing.T, ctx context.Context, p *picture, f *fake, j Job, begun func() error) (Result, error) {
	t.Helper()
	f.t, f.core, f.limits, f.parts, f.requests, f.aborted = t, p.core, small, map[int][]byte{}, map[string]int{}, false
	steps, ok := dmp.Plan(p.parts, small)
	if !ok {
		t.Fatal("no plan")
	}
	j.Image, j.Files = p, []*bucket.Object{coreObject}
	a := newAssembly(j, steps)
	if f.hurry {
		a.grace = 0
	}
	r, err := a.make(ctx, f, begun)
	if n := p.scanning.Load(); n != 0 {
		t.Errorf("%d scans of the image go on", n)
	}
	if f.working != 0 {
		t.Errorf("%d requests go on", f.working)
	}
	if (err == nil) != (f.object != nil) || f.aborted == (err == nil) {
		t.Errorf("%v: aborted %v, an object %v", err, f.aborted, f.object != nil)
	}
	if err == nil && !bytes.Equal(f.object, p.bytes) {
		t.Error("the object is not the image")
	}
	return r, err
}

func ask() error { return nil }

// lengths gives n lengths up to most.
func lengths(seed uint64, n, most int) (list []int) {
	r := rand.New(rand.NewPCG(seed, 1))
	for range n {
		list = append(list, 1+r.IntN(most))
	}
	return list
}

// TestObjects: images of every kind of part become objects; how far it is, is told to
// the last byte; and no more is done at once than is meant to be.
func TestObjects(t *testing.T) {
	for seed, p := range []*picture{
		draw(1, 2, 100, 50000), draw(2, 4, lengths(2, 300, 30000)...), draw(3, 2, lengths(3, 500, 9000)...), draw(4, 1, 90000), draw(5, 2, 7, 200000, 9),
	} {
		var last int64
		j := Job{Sink: progress.Sink{OnProgress: func(stage string, done, total int64) {
			if total != p.Size() || stage == "writing" && done < last {
				t.Errorf("%s %d of %d, %d before", stage, done, total, last)
			}
			last = done
		}}}
		f := &fake{}
		r, err := assembled(t, t.Context(), p, f, j, ask)
		if err != nil {
			t.Fatal(err)
		}
		if last != p.Size() || r.Copied+r.Sent != p.Size() || r.ETag != "made" || len(r.Warnings) != 0 {
			t.Errorf("image %d: %+v, %d of %d bytes told", seed, r, last, p.Size())
		}
		if f.most > sendsAtOnce || f.mostCopies > copiesAtOnce || f.requests["copy"] > 0 != (r.Copied > 0) {
			t.Errorf("image %d: %d sent and %d copied at once: %v, %+v", seed, f.most, f.mostCopies, f.requests, r)
		}
	}
}

// TestAtOnce: as much is done at once as is meant to be.
func TestAtOnce(t *testing.T) {
	p := draw(1, 2, slices.Repeat([]int{3000, 20000}, 40)...)
	f := &fake{}
	var full sync.WaitGroup // until so many have begun, none ends
	full.Add(copiesAtOnce + sendsAtOnce)
	var begun atomic.Int64
	f.before = func(_ context.Context, what string) error {
		if what == "complete" {
			return nil
		}
		if begun.Add(1) <= copiesAtOnce+sendsAtOnce {
			full.Done()
		}
		full.Wait()
		return nil
	}
	if _, err := assembled(t, t.Context(), p, f, Job{}, ask); err != nil {
		t.Fatal(err)
	}
	if f.most != sendsAtOnce || f.mostCopies != copiesAtOnce {
		t.Errorf("%d sent and %d copied at once", f.most, f.mostCopies)
	}
}

// TestSentAgain: a part that breaks off is given again from its beginning, and what
// was given of it does not count.
func TestSentAgain(t *testing.T) {
	p := draw(1, 2, lengths(1, 60, 20000)...)
	tries := map[int]int{}
	var mu sync.Mutex
	f := &fake{broken: func(number int) int {
		mu.Lock()
		defer mu.Unlock()
		tries[number]++
		return []int{0, 1, 2999, 1500, 0}[tries[number]]
	}}
	r, err := assembled(t, t.Context(), p, f, Job{}, ask)
	if err != nil || r.Copied+r.Sent != p.Size() {
		t.Errorf("%+v of %d bytes, %v", r, p.Size(), err)
	}
	if f.requests["put"] == 0 || len(tries) != f.requests["put"] {
		t.Errorf("%v", f.requests)
	}
}

// TestFirstFailureEnds: whichever request fails, and whatever fails after it, the first
// error is returned, when nothing is on its way any more and the upload is aborted.
func TestFirstFailureEnds(t *testing.T) {
	p := draw(1, 2, lengths(1, 200, 20000)...)
	f := &fake{}
	if _, err := assembled(t, t.Context(), p, f, Job{}, ask); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"put", "copy", "complete"} {
		n := f.requests[what]
		for _, at := range []int{1, n/2 + 1, n} {
			var seen atomic.Int64
			first := fault.New(fault.StoreDenied, "no")
			f := &fake{before: func(_ context.Context, did string) error {
				if did == what && int(seen.Add(1)) == at {
					return first
				}
				return nil
			}}
			_, err := assembled(t, t.Context(), p, f, Job{}, ask)
			if !errors.Is(err, first) {
				t.Errorf("%s %d of %d: %v", what, at, n, err)
			}
			if f.requests["abort"] != 1 {
				t.Errorf("%s %d of %d: %v", what, at, n, f.requests)
			}
		}
	}
}

// TestFailureEndsTheOthers: those that hang, too.
func TestFailureEndsTheOthers(t *testing.T) {
	p := draw(1, 2, lengths(1, 200, 20000)...)
	no := errors.New("no")
	f := &fake{hurry: true, before: func(ctx context.Context, did string) error {
		if did == "copy" {
			<-ctx.Done()
			return ctx.Err()
		}
		return no
	}}
	if _, err := assembled(t, t.Context(), p, f, Job{}, ask); !errors.Is(err, no) {
		t.Error(err)
	}
}

// TestNobodyBegins: an answer that says no ends it before anything is sent, or before
// the object is made.
func TestNobodyBegins(t *testing.T) {
	p := draw(1, 2, lengths(1, 20, 20000)...)
	no := errors.New("no")
	f := &fake{}
	if _, err := assembled(t, t.Context(), p, f, Job{}, func() error { return no }); !errors.Is(err, no) || f.requests["put"]+f.requests["copy"] != 0 {
		t.Errorf("%v, %v", err, f.requests)
	}
	f = &fake{}
	if _, err := assembled(t, t.Context(), p, f, Job{Still: func() error { return no }}, ask); !errors.Is(err, no) || f.requests["complete"] != 0 || f.requests["put"] == 0 {
		t.Errorf("%v, %v", err, f.requests)
	}
}

// TestImageFails: what is wrong with the core is said, not what the store made of a
// body that broke off.
func TestImageFails(t *testing.T) {
	changed := fault.New(fault.FileChanged, "")
	p := draw(1, 2, lengths(1, 200, 20000)...)
	var pieces atomic.Int64
	p.fail = func(int64) error {
		if pieces.Add(1) == 20 {
			return changed
		}
		return nil
	}
	if _, err := assembled(t, t.Context(), p, &fake{}, Job{}, ask); !errors.Is(err, changed) {
		t.Error(err)
	}
}

// TestBody: what is read of the image, and when.
func TestBody(t *testing.T) {
	p := draw(1, 1, 3*bufferBytes)
	var read []int64
	p.fail = func(off int64) error { read = append(read, off); return nil }
	a := newAssembly(Job{Image: p}, nil)
	some := make([]byte, 10)
	b := a.read(t.Context(), 5, 2*bufferBytes+1, nil)
	for range 2 {
		if _, err := io.ReadFull(b, some); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(some, p.bytes[15:25]) || !slices.Equal(read, []int64{5}) || b.left != 2*bufferBytes-19 {
		t.Errorf("%x, read at %d, %d left", some, read, b.left)
	}
	b.end()
	b.end()
	if n, err := b.Read(some); n != 0 || err != errEnded || b.failed() != nil {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if len(read) != 1 || p.scanning.Load() != 0 {
		t.Errorf("read at %d", read)
	}
	b = a.read(t.Context(), 5, 10, nil)
	b.end()
	if n, err := b.Read(some); n != 0 || err != errEnded || len(read) != 1 {
		t.Errorf("behind an end before the beginning: %d, %v", n, err)
	}
	b = a.read(t.Context(), 5, 2*bufferBytes+1, nil)
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, p.bytes[5:2*bufferBytes+6]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	broken := errors.New("broken")
	p.fail = func(off int64) error { return broken }
	b = a.read(t.Context(), 5, 10, nil)
	if n, err := b.Read(some); n != 0 || err != broken || b.failed() != broken {
		t.Errorf("%d, %v", n, err)
	}
	b.end()
	if b.failed() != broken {
		t.Error("the error is forgotten")
	}
}

// TestCancelled: at any moment nothing is left, and the code is cancelled.
func TestCancelled(t *testing.T) {
	p := draw(1, 2, lengths(1, 200, 20000)...)
	for _, what := range []string{"put", "copy", "complete"} {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{before: func(_ context.Context, did string) error {
			if did == what {
				cancel()
				return errors.New("the connection ended")
			}
			return nil
		}}
		if _, err := assembled(t, ctx, p, f, Job{}, ask); !fault.Is(err, fault.Cancelled) {
			t.Errorf("%s: %v", what, err)
		}
		cancel()
		if _, err := assembled(t, ctx, p, f, Job{}, ask); !fault.Is(err, fault.Cancelled) || len(f.requests) != 1 {
			t.Errorf("before it begins: %v, %v", err, f.requests)
		}
	}
}

// TestCancelledWhileSent: so it is when a part is half sent, and the core is slow.
func TestCancelledWhileSent(t *testing.T) {
	p := draw(1, 2, lengths(1, 200, 20000)...)
	ctx, cancel := context.WithCancel(t.Context())
	var pieces atomic.Int64
	p.fail = func(int64) error {
		if pieces.Add(1) == 10 {
			cancel()
		}
		return nil
	}
	if _, err := assembled(t, ctx, p, &fake{}, Job{}, ask); !fault.Is(err, fault.Cancelled) {
		t.Error(err)
	}
}

// TestRequestsAreWaitedFor: one that is on its way when somebody cancels is not ended
// at once, for the store may do it all the same; one that hangs is.
func TestRequestsAreWaitedFor(t *testing.T) {
	p := draw(1, 2, lengths(1, 200, 20000)...)
	for _, what := range []string{"put", "copy", "complete"} {
		for _, hangs := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			f := &fake{hurry: hangs, before: func(ctx context.Context, did string) error {
				if did != what {
					return nil
				}
				cancel()
				if hangs {
					<-ctx.Done()
				}
				return ctx.Err()
			}}
			_, err := assembled(t, ctx, p, f, Job{}, ask)
			switch done := what == "complete" && !hangs; {
			case done && err != nil, !done && !fault.Is(err, fault.Cancelled):
				t.Errorf("%s, hangs: %v: %v", what, hangs, err)
			case what == "copy" && !hangs && f.requests["copied"] == 0:
				t.Error("no copy was waited for")
			}
		}
	}
}

// TestStoreThatCopiesNothing: what it does not copy is sent, it is not asked for ever,
// and that is said once.
func TestStoreThatCopiesNothing(t *testing.T) {
	p := draw(1, 2, slices.Repeat([]int{3000, 20000}, 40)...)
	f := &fake{before: func(_ context.Context, did string) error {
		if did == "copy" {
			return fmt.Errorf("%w: NotImplemented", bucket.ErrNoCopy)
		}
		return nil
	}}
	r, err := assembled(t, t.Context(), p, f, Job{}, ask)
	if err != nil || r.Copied != 0 || r.Sent != p.Size() {
		t.Errorf("%+v, %v", r, err)
	}
	if f.requests["copy"] > copiesAtOnce || f.most > sendsAtOnce {
		t.Errorf("%v, %d at once", f.requests, f.most)
	}
	if len(r.Warnings) != 1 || r.Warnings[0].Code != fault.CopiedHere || !strings.Contains(r.Warnings[0].Text, "s3://cores/vm.core itself (NotImplemented)") {
		t.Errorf("%v", r.Warnings)
	}
	// One that stops copying in the middle.
	var copies atomic.Int64
	f = &fake{before: func(_ context.Context, did string) error {
		if did == "copy" && copies.Add(1) > 10 {
			return fmt.Errorf("%w: AccessDenied", bucket.ErrNoCopy)
		}
		return nil
	}}
	r, err = assembled(t, t.Context(), p, f, Job{}, ask)
	if err != nil || r.Copied != 10*20000 || r.Copied+r.Sent != p.Size() || len(r.Warnings) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestUploadThatStays: who reads why it failed reads also that something is left.
func TestUploadThatStays(t *testing.T) {
	p := draw(1, 2, 100, 50000)
	left := fault.New(fault.OutputFailed, "the unfinished upload could not be removed").Hint("the next run removes it")
	for _, first := range []error{fault.New(fault.StoreDenied, "no"), errors.New("no")} {
		f := &fake{before: func(_ context.Context, did string) error {
			switch did {
			case "put":
				return first
			case "abort":
				return left
			}
			return nil
		}}
		_, err := assembled(t, t.Context(), p, f, Job{}, ask)
		said := err.Error() + " " + strings.Join(fault.As(err).Remedy(), "; ")
		for _, words := range []string{"no", "could not be removed", "the next run removes it"} {
			if !errors.Is(err, first) || !strings.Contains(said, words) {
				t.Errorf("%v: %q does not say %q", first, said, words)
			}
		}
	}
}

// endless is an image of zeros, as long as one likes.
type endless struct{ size int64 }

func (e endless) Size() int64       { return e.size }
func (e endless) Parts() []dmp.Part { return []dmp.Part{{Kind: dmp.Computed, Bytes: e.size}} }
func (e endless) Scan(_ context.Context, _, n int64, buf []byte, visit func([]byte) error) error {
	for ; n > 0; n -= int64(len(buf)) {
		if err := visit(buf[:min(n, int64(len(buf)))]); err != nil {
			return err
		}
	}
	return nil
}

// drain is a store that keeps nothing.
type drain struct{ fake }

func (*drain) Put(_ context.Context, _ int, n int64, body func() io.Reader) error {
	_, err := io.CopyBuffer(struct{ io.Writer }{sha256.New()}, body(), make([]byte, 32<<10))
	return err
}
func (*drain) Complete(context.Context) (bucket.Done, error) { return bucket.Done{}, nil }

// TestMemory: no part is held, however long it is.
func TestMemory(t *testing.T) {
	j := Job{Image: endless{128 << 20}}
	steps, ok := dmp.Plan(j.Image.Parts(), dmp.Limits{Min: bucket.MinPart, Max: bucket.MaxPart, Most: 8})
	if !ok {
		t.Fatal("no plan")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := newAssembly(j, steps).make(t.Context(), &drain{}, ask)
	runtime.ReadMemStats(&after)
	if err != nil || r.Sent != j.Image.Size() {
		t.Fatalf("%+v, %v", r, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 8<<20 {
		t.Errorf("%d bytes were allocated for %d", took, r.Sent)
	}
}
