package bucket

import (
	"bytes"
	"context"
	"time"

	"github.com/minio/minio-go/v7"

	"coredrop/core/fault"
)

// The mark tells this program's uploads from others': a part with a number that no
// object of its has, so that it goes when the upload ends, either way. It is put anew
// while the run goes on.
const markNumber = MaxParts + 1

var (
	mark  = []byte("coredrop: an upload of its own; its run renews this part while it goes on\n")
	claim = append(bytes.Clone(mark), "claimed: who begins the same object leaves it to this run\n"...)
)

// Stale is the age of a mark from which on nobody goes on with an upload, whatever the
// clocks: stores refuse requests of clients that are more than 15 minutes off.
const Stale = 20 * time.Minute

// Renewal is how often a run renews its mark.
const Renewal = 10 * time.Second

// mark puts the mark: one after the other, so that none without the claim comes behind
// the one with it.
func (u *Upload) mark(ctx context.Context) error {
	u.marking.Lock()
	defer u.marking.Unlock()
	text := mark
	if u.claimed.Load() {
		text = claim
	}
	_, err := u.store.core.PutObjectPart(ctx, u.to.Bucket, u.to.Key, u.id, markNumber, bytes.NewReader(text), int64(len(text)), minio.PutObjectPartOptions{})
	return err
}

// markWithin is how long putting a mark may take: the upload's end waits for it.
const markWithin = 15 * time.Second

// renew keeps the mark young until the upload is to end. What was sent is waited for:
// the store may do what it was asked by a client that left.
func (u *Upload) renew(ctx context.Context, stop <-chan struct{}) {
	t := time.NewTicker(u.store.renewal)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			within, cancel := context.WithTimeout(ctx, markWithin)
			u.mark(within) // one that fails is made good by the next
			cancel()
		}
	}
}

// Run is an upload that this program began and has not ended.
type Run struct {
	to      Name
	id      string
	marked  time.Time
	claimed bool
}

// Runs lists the uploads of an object, or of all below a prefix, that bear the mark.
func (s *Store) Runs(ctx context.Context, below Name) (runs []Run, err error) {
	keyMarker, idMarker := "", ""
	for {
		var list minio.ListMultipartUploadsResult
		if err := s.ask(func() (err error) {
			list, err = s.core.ListMultipartUploads(ctx, below.Bucket, below.Key, keyMarker, idMarker, "", 1000)
			return err
		}); err != nil {
			return runs, failed(ctx, err, fault.OutputFailed, "could not look for unfinished uploads of "+below.String())
		}
		for _, up := range list.Uploads {
			r := Run{to: Name{below.Bucket, up.Key}, id: up.UploadID}
			if (below.IsPrefix() || r.to == below) && s.marked(ctx, &r) {
				runs = append(runs, r)
			}
		}
		if !list.IsTruncated {
			return runs, nil
		}
		keyMarker, idMarker = list.NextKeyMarker, list.NextUploadIDMarker
	}
}

// marked reports whether an upload bears the mark, and notes when it got it.
func (s *Store) marked(ctx context.Context, r *Run) bool {
	list, err := s.core.ListObjectParts(ctx, r.to.Bucket, r.to.Key, r.id, markNumber-1, 1)
	if err != nil || len(list.ObjectParts) != 1 {
		return false
	}
	p := list.ObjectParts[0]
	r.marked, r.claimed = p.LastModified, p.Size == int64(len(claim))
	return p.PartNumber == markNumber && (r.claimed || p.Size == int64(len(mark)))
}

// End aborts an upload.
func (s *Store) End(ctx context.Context, r Run) error {
	return s.core.AbortMultipartUpload(ctx, r.to.Bucket, r.to.Key, r.id)
}

// Sweep aborts the uploads of an object, or of all below a prefix, whose marks are
// older than the given age. It gives how many; what it may not see it leaves alone.
func (s *Store) Sweep(ctx context.Context, below Name, age time.Duration) (n int, err error) {
	runs, err := s.Runs(ctx, below)
	for _, r := range runs {
		if age > 0 && time.Since(r.marked) < age {
			continue
		}
		if s.End(ctx, r) == nil {
			n++
		}
	}
	return n, err
}

// patience is how many renewals a mark may miss: then its run has ended without a
// word. Only this machine's clock measures that.
const patience = 6

// Await returns when nobody makes an object any more: it is there, or the runs that
// made it have ended. What is left of one that ended without a word is aborted. Where
// the object is to be replaced, that there is one says nothing of the runs.
func (s *Store) Await(ctx context.Context, to Name, replace bool) error {
	type look struct {
		run  Run
		when time.Time
	}
	seen := map[string]look{}
	t := time.NewTicker(max(s.renewal/4, time.Millisecond))
	defer t.Stop()
	for quiet := 0; ; {
		if !replace {
			there, err := s.Exists(ctx, to)
			if there || err != nil {
				return err
			}
		}
		runs, err := s.Runs(ctx, to)
		if err != nil {
			return err
		}
		alive := false
		for _, r := range runs {
			switch before, known := seen[r.id]; {
			case !known || r != before.run:
				seen[r.id] = look{r, time.Now()}
				alive = true
			case time.Since(before.when) < patience*s.renewal:
				alive = true
			default:
				s.End(ctx, r) // or somebody else did
			}
		}
		// An upload that is completed is gone a moment before the object is there.
		if quiet++; alive {
			quiet = 0
		} else if quiet > 1 {
			return nil
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return fault.Wrap(ctx.Err(), fault.Cancelled, "")
		}
	}
}

// Claim reports whether this run may go on: another one that makes the same object
// would work for nothing. Of runs that began in the same moment at most one may, and
// whoever claimed it before goes on. The mark says that an object is claimed; who does
// so looks once more, and of those that meet then the first by name goes on. An object
// that is there by now is output-exists.
func (u *Upload) Claim(ctx context.Context) (bool, error) {
	for _, claimed := range []bool{false, true} {
		if claimed {
			u.claimed.Store(true)
			if err := u.mark(ctx); err != nil {
				return false, unwritten(ctx, err, u.to)
			}
		}
		runs, err := u.store.Runs(ctx, u.to)
		if err != nil {
			return false, err
		}
		for _, r := range runs {
			if r.id != u.id && (!claimed && r.claimed || claimed && r.id < u.id) {
				return false, nil
			}
		}
	}
	// What was there all along was looked for when this began; what came since, now.
	if err := u.store.free(ctx, u.to, u.replace); err != nil {
		return false, err
	}
	return true, nil
}
