package symbols

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// How much the shared store may cost a request: it is there to save time, and whoever
// waits for a file gets it from an upstream within the 25 seconds of an answer.
const (
	// sharedReads is how many files are read at once. Others wait.
	sharedReads = 16
	// sharedPatience is how long a read waits for its turn, how long it may take then until
	// the store gives the file, and how long nothing of it may arrive.
	sharedPatience = 5 * time.Second
	// sharedRate is how many bytes have to come, or to be taken, each second beyond that.
	sharedRate = 1 << 20
)

// errSlow is the end of the time that the shared store has.
var errSlow = errors.New("it takes too long")

// allowance is how long so many bytes may take.
func allowance(bytes int64) time.Duration {
	return sharedPatience + time.Duration(bytes/sharedRate)*time.Second
}

// tier is the shared store, with what is known of it. Who may read a bucket may not be
// allowed to write: each rests for itself.
type tier struct {
	store         symstore.Store
	patience      time.Duration
	places        chan struct{} // holds a token for each read
	reads, writes health
	behind        behind

	hits, misses, wrong, failed, written, unwritten, dropped atomic.Int64
}

func newTier(s symstore.Store) *tier {
	return &tier{store: s, patience: sharedPatience, places: make(chan struct{}, sharedReads)}
}

// askShared takes a file from the shared store into the cache, verified. Whatever is
// wrong with the store, or with what it has, is its own affair: the error is for the
// clients of a server that has nobody else to ask.
func (h *Handler) askShared(ctx context.Context, f *flight, key symstore.Key) (found, error) {
	t, got := h.tier, found{source: sourceShared}
	if err := t.reads.rests(h.now()); err != nil {
		return got, err
	}
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(t.patience, func() { cancel(errSlow) })
	defer watch.Stop()
	select {
	case t.places <- struct{}{}:
		defer func() { <-t.places }()
		watch.Reset(t.patience) // that others are read is not the store's fault
	case <-limited.Done():
		return got, fault.New(fault.ServerBusy, "too many files are being read from this server's shared store already")
	}
	if err := t.reads.admit(h.now()); err != nil {
		return got, err
	}
	got, theirs, err := h.readShared(limited, watch, f, key)
	switch {
	case err == nil:
		t.hits.Add(1)
		t.reads.judge(nil, h.now())
	case ctx.Err() != nil: // nobody waits any more, which says nothing of the store
	case theirs && errors.Is(err, fs.ErrNotExist):
		t.misses.Add(1)
		t.reads.judge(nil, h.now())
		err = fault.Wrap(err, fault.SymbolsNotFound, "neither this server nor the store it shares has %s", key)
	case theirs:
		if errors.Is(context.Cause(limited), errSlow) || errors.Is(err, errSlow) {
			err = fault.Wrap(errSlow, fault.SymbolsUnreadable, "the shared store takes too long to give %s", key.Name)
		}
		t.failed.Add(1)
		h.troubled(key, err)
		err = fault.Wrap(err, fault.SymbolsOffline, "the store that this server shares could not be read")
		t.reads.judge(err, h.now())
	case unfit(err):
		t.wrong.Add(1)
		t.reads.judge(nil, h.now())
		h.troubled(key, err)
	}
	return got, err
}

// readShared reads a file in the time that the watch leaves. theirs: what failed is the
// store, and neither the file nor what this server does with it.
func (h *Handler) readShared(ctx context.Context, watch *time.Timer, f *flight, key symstore.Key) (got found, theirs bool, err error) {
	got.source = sourceShared
	file, err := h.tier.store.Get(ctx, key)
	if err != nil {
		return got, true, err
	}
	defer file.Close() // only read
	body, err := streamOf(file)
	if err != nil {
		return got, true, err
	}
	defer body.Close() // only read
	h.flows(f)
	r := &arriving{ctx: ctx, from: "the shared store", size: file.Size(), name: key.Name,
		r: &watched{r: body, watch: watch, patience: h.tier.patience, left: allowance(file.Size())}}
	got, err = h.take(got, r, key)
	if err != nil {
		h.ebbs(key, f)
	}
	return got, r.failed, err
}

// streamOf reads a file from its beginning to its end, in one go where it can.
func streamOf(f symstore.File) (io.ReadCloser, error) {
	if s, ok := f.(interface{ Stream() (io.ReadCloser, error) }); ok {
		return s.Stream()
	}
	return io.NopCloser(io.NewSectionReader(f, 0, f.Size())), nil
}

// watched is a body that has to arrive in time. What this server does in between does
// not count.
type watched struct {
	r        io.Reader
	watch    *time.Timer
	patience time.Duration
	left     time.Duration
}

// Read reads on, as long as there is time.
func (w *watched) Read(p []byte) (int, error) {
	w.watch.Reset(w.patience)
	defer w.watch.Stop()
	began := time.Now()
	n, err := w.r.Read(p)
	if w.left -= time.Since(began); w.left < 0 && err == nil {
		err = errSlow
	}
	return n, err
}

// unfit reports whether an error is that of a file that is not what its key says.
func unfit(err error) bool {
	switch fault.As(err).Code {
	case fault.SymbolsMismatch, fault.SymbolsNotAPDB, fault.SymbolsCompressed, fault.PDBDamaged:
		return true
	}
	return false
}

func (h *Handler) troubled(key symstore.Key, err error) {
	if h.SharedTrouble != nil {
		h.SharedTrouble(key, err)
	}
}

// SharedStats is how the shared store does. All but the last three are since the start.
type SharedStats struct {
	Hits, Misses int64 // files it had, and had not
	Wrong        int64 // files it had that were not what their keys say
	Failed       int64 // reads that failed, or took too long
	Written      int64 // files that are there now, by this server or another
	Unwritten    int64 // writes that failed
	Dropped      int64 // files that were not to be written: too many waited, or it was resting, or the server ended

	Waiting               int  // files to be written
	ReadsRest, WritesRest bool // it is left alone, but for a probe now and then
}

func (t *tier) stats(now time.Time) *SharedStats {
	reads, _ := t.reads.resting(now)
	writes, _ := t.writes.resting(now)
	return &SharedStats{
		Hits: t.hits.Load(), Misses: t.misses.Load(), Wrong: t.wrong.Load(), Failed: t.failed.Load(),
		Written: t.written.Load(), Unwritten: t.unwritten.Load(), Dropped: t.dropped.Load(),
		Waiting: t.behind.waiting(), ReadsRest: !reads.IsZero(), WritesRest: !writes.IsZero(),
	}
}
