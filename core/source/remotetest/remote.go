// Package remotetest is a source as one of an object store is, for tests: a read of
// it is a journey, and journeys are counted, not timed. Only tests import it.
package remotetest

import (
	"slices"
	"testing"

	"coredrop/core/source"
)

// How the source reads: in blocks of some bytes, of which it keeps a few.
const (
	Block = 1 << 20
	Kept  = 32
)

// Remote counts what is fetched of a source. Blocks that are not kept are fetched
// by a request each; those of one read, or of one call of Prefetch, at the same
// time: that is a round, and rounds are what is waited for. A stream is one request
// and one round.
type Remote struct {
	Requests, Rounds int
	// Dropped counts the blocks that were prefetched and dropped before any read.
	Dropped int
	// OnRound is called for each round with the blocks that it fetches; nil: nobody
	// looks.
	OnRound func(blocks []int64, ahead bool)

	from  source.Source
	kept  []int64 // numbers of blocks, the latest last
	ahead map[int64]bool
}

// Of gives a source that is read as one of an object store, and what counts it.
func Of(s source.Source) (source.Source, *Remote) {
	r := &Remote{from: s, ahead: map[int64]bool{}}
	s.ReaderAt, s.Block, s.Stream = reader{r}, Block, r.stream
	s.Prefetch = func(list []source.Range) { r.fetch(list, true) }
	return s, r
}

type reader struct{ *Remote }

// ReadAt fetches what it reads.
func (r reader) ReadAt(p []byte, off int64) (int, error) {
	r.fetch([]source.Range{{Off: off, Bytes: int64(len(p))}}, false)
	return r.from.ReadAt(p, off)
}

func (r *Remote) stream(off, n int64, buf []byte, visit func([]byte) error) error {
	r.Requests, r.Rounds = r.Requests+1, r.Rounds+1
	return r.from.Scan(off, n, buf, visit)
}

// fetch brings the blocks of ranges into the cache, in one round.
func (r *Remote) fetch(list []source.Range, ahead bool) {
	var missing []int64
	for _, x := range list {
		for n := x.Off / Block; n*Block < min(x.End(), r.from.Size); n++ {
			if !ahead {
				delete(r.ahead, n)
			}
			if i := slices.Index(r.kept, n); i >= 0 {
				r.kept = append(slices.Delete(r.kept, i, i+1), n)
			} else if !slices.Contains(missing, n) {
				missing = append(missing, n)
			}
		}
	}
	if len(missing) == 0 {
		return
	}
	r.Requests, r.Rounds = r.Requests+len(missing), r.Rounds+1
	for _, n := range missing {
		r.kept = append(r.kept, n)
		if ahead {
			r.ahead[n] = true
		}
	}
	for ; len(r.kept) > Kept; r.kept = r.kept[1:] {
		if r.ahead[r.kept[0]] {
			r.Dropped++
			delete(r.ahead, r.kept[0])
		}
	}
	if r.OnRound != nil {
		r.OnRound(missing, ahead)
	}
}

// Within holds what was fetched to a number of rounds and of requests.
func (r *Remote) Within(t *testing.T, what string, rounds, requests int) {
	t.Helper()
	t.Logf("%s: %d rounds, %d requests, %d of them dropped unread", what, r.Rounds, r.Requests, r.Dropped)
	if r.Rounds > rounds || r.Requests > requests {
		t.Errorf("%s: %d rounds and %d requests, want at most %d and %d", what, r.Rounds, r.Requests, rounds, requests)
	}
}
