package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"coredrop/core/fault"
)

// The limits of an upload: of the protocol, but for the last part's number, which is
// the mark's.
const (
	MinPart  = 5 << 20 // bytes of each part but the last
	MaxPart  = 5 << 30 // bytes
	MaxParts = 9999
)

// MinCopied is the size in bytes above which ranges of an object can be copied.
const MinCopied = 5 << 20

// ErrNoCopy is the error of a part that the store does not copy: it cannot, or not
// from there.
var ErrNoCopy = errors.New("the object store does not copy it")

// ErrUnequal is the error of an upload whose parts the store does not take together: it
// wants all but the last to have one length, as Cloudflare's R2 and Garage do.
var ErrUnequal = errors.New("the object store wants parts of one length")

// ErrEnded is the error of an upload that somebody else ended.
var ErrEnded = errors.New("the upload was ended by somebody else")

// runKey is where objects bear the name of the run that made them: where the answer to
// the end got lost, an object is that run's if it has its name. The same bytes may be
// another's.
const runKey = "Coredrop-Run"

func ofRun(name string) map[string]string { return map[string]string{runKey: name} }

// Done is an object that was made.
type Done struct {
	ETag string
	// Checksum is what the store states of the whole, "crc64nvme …" in base64; ""
	// where it states nothing.
	Checksum string
	// Unguarded: the store knows no conditional writes. That nothing was there was
	// asked just before.
	Unguarded bool
}

// Upload makes an object of parts. Until it is completed nothing of it is to be seen.
// Each goroutine may do another part.
type Upload struct {
	store   *Store
	to      Name
	replace bool
	id      string
	run     string // the name that the object will bear
	rest    func() // ends the renewal of the mark, and waits for its end

	claimed atomic.Bool
	marking sync.Mutex
	mu      sync.Mutex
	parts   map[int]minio.CompletePart
}

// Begin begins an upload. Unless replace, what is there already is never replaced: the
// code is output-exists, at once where that can be known, else at the end.
func (s *Store) Begin(ctx context.Context, to Name, replace bool) (*Upload, error) {
	if err := s.free(ctx, to, replace); err != nil {
		s.Sweep(ctx, to, 0) // they could only fail as this one does
		return nil, err
	}
	s.Sweep(ctx, to, Stale)
	sent, end := linger(ctx)
	defer end()
	run := rand.Text()
	var id string
	if err := s.ask(func() (err error) {
		id, err = s.core.NewMultipartUpload(sent, to.Bucket, to.Key, minio.PutObjectOptions{UserMetadata: ofRun(run)})
		return err
	}); err != nil {
		return nil, unwritten(ctx, err, to)
	}
	u := &Upload{store: s, to: to, replace: replace, id: id, run: run, parts: map[int]minio.CompletePart{}}
	err := ctx.Err()
	if err == nil {
		err = u.mark(sent)
	}
	if err != nil {
		after, cancel := outlive(ctx)
		defer cancel()
		return nil, errors.Join(unwritten(ctx, err, to), u.Abort(after))
	}
	stop, done := make(chan struct{}), make(chan struct{})
	u.rest = sync.OnceFunc(func() { // a mark that came behind the end would stay
		close(stop)
		<-done
	})
	go func() {
		defer close(done)
		u.renew(context.WithoutCancel(ctx), stop)
	}()
	return u, nil
}

// afterwards is how long what is still to be done or found out may take when a context
// has ended: who ended it waits.
var afterwards = 10 * time.Second

// answered is how long the answer to what was sent is waited for then: the store may
// do what it was asked by a client that left, and an upload that was aborted before
// would come to life again.
const answered = 3 * time.Second

// linger gives a context for requests that are still to be answered when ctx ends.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	after, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(min(answered, afterwards), cancel) })
	return after, func() {
		stop()
		cancel()
	}
}

func outlive(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), afterwards)
}

// free refuses a name that is taken.
func (s *Store) free(ctx context.Context, to Name, replace bool) error {
	if replace {
		return nil
	}
	there, err := s.Exists(ctx, to)
	if there {
		return exists(nil, to)
	}
	return err
}

// vacant refuses a name that is taken, or may be: nothing but this look is between what
// is there and its end.
func (s *Store) vacant(ctx context.Context, to Name) error {
	switch _, err := s.stat(ctx, to); {
	case err == nil:
		return exists(nil, to)
	case absent(err):
		return nil
	case denied(err) && ctx.Err() == nil:
		return fault.Wrap(err, fault.StoreDenied, "could not write %s: the object store knows no conditional writes, and does not let these credentials see whether it exists", to).
			Instead(fault.Step{Text: "let them read what they write (docs/fleet.md lists the rights), or -f to replace what may be there"})
	default:
		return unwritten(ctx, err, to)
	}
}

func exists(err error, to Name) error {
	return fault.Wrap(err, fault.OutputExists, "%s exists", to)
}

// unwritten words a failure of making an object.
func unwritten(ctx context.Context, err error, to Name) error {
	return failed(ctx, err, fault.OutputFailed, "could not write "+to.String())
}

// Copy has the store copy n bytes from off on of another object, if that is still the
// version that was looked at, as a part. errors.Is(err, ErrNoCopy): the store does
// not do that.
func (u *Upload) Copy(ctx context.Context, number int, from *Object, off, n int64) error {
	headers := map[string]string{}
	if from.ETag != "" {
		headers["x-amz-copy-source-if-match"] = `"` + from.ETag + `"`
	}
	sent, end := linger(ctx)
	defer end()
	var p minio.CompletePart
	err := u.store.retry(ctx, func() (err error) {
		p, err = u.store.copier.CopyObjectPart(sent, from.Name.Bucket, from.Name.Key, u.to.Bucket, u.to.Key, u.id, number, off, n, headers)
		return err
	})
	switch answer, ok := answerOf(err); {
	case err == nil:
		p.ETag = strings.Trim(p.ETag, `"`) // as that of a part that was put
		u.add(p)
		return nil
	case is(err, "PreconditionFailed"):
		return changed(err, from.Name, "was replaced")
	case is(err, "NoSuchKey"):
		return changed(err, from.Name, "was removed")
	case is(err, "InvalidRange"):
		return changed(err, from.Name, "became shorter")
	case is(err, "NoSuchUpload"):
		return gone(err, u.to)
	case ok && answer.StatusCode >= 400 && answer.StatusCode < 500 && !expired(answer) && !temporary(err), is(err, "NotImplemented"):
		return fmt.Errorf("%w: %s", ErrNoCopy, said(answer))
	}
	return unwritten(ctx, err, u.to)
}

// Put uploads n bytes as a part. body is asked for them, and once more for each
// attempt.
func (u *Upload) Put(ctx context.Context, number int, n int64, body func() io.Reader) error {
	sent, end := linger(ctx)
	defer end()
	err := u.store.retry(ctx, func() error {
		p, err := u.store.core.PutObjectPart(sent, u.to.Bucket, u.to.Key, u.id, number, body(), n, minio.PutObjectPartOptions{})
		if err == nil {
			u.add(minio.CompletePart{PartNumber: number, ETag: p.ETag, ChecksumCRC32: p.ChecksumCRC32, ChecksumCRC32C: p.ChecksumCRC32C,
				ChecksumSHA1: p.ChecksumSHA1, ChecksumSHA256: p.ChecksumSHA256, ChecksumCRC64NVME: p.ChecksumCRC64NVME})
		}
		return err
	})
	if is(err, "NoSuchUpload") {
		return gone(err, u.to)
	}
	return unwritten(ctx, err, u.to)
}

func (u *Upload) add(p minio.CompletePart) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[p.PartNumber] = p
}

// gone is the end of an upload that was ended by another run that made the object, or
// by a rule of the bucket.
func gone(err error, to Name) error {
	return fault.Wrap(errors.Join(ErrEnded, err), fault.OutputFailed, "could not write %s: the upload was ended by somebody else, most likely by another run that wrote the same object", to).
		Instead(fault.Step{Text: "if the object is there now, that run made it; else begin again"})
}

// Complete makes the object of the parts, in the order of their numbers. When it
// fails there is no object of this upload, and the upload is to be aborted.
func (u *Upload) Complete(ctx context.Context) (Done, error) {
	u.mu.Lock()
	parts := make([]minio.CompletePart, 0, len(u.parts))
	for _, p := range u.parts {
		parts = append(parts, p)
	}
	u.mu.Unlock()
	slices.SortFunc(parts, func(a, b minio.CompletePart) int { return a.PartNumber - b.PartNumber })
	return u.store.make(ctx, u.to, u.replace, u.run, func(o minio.PutObjectOptions) (minio.UploadInfo, error) {
		return u.store.copier.CompleteMultipartUpload(ctx, u.to.Bucket, u.to.Key, u.id, parts, o)
	}, u.finish)
}

// finish ends the renewal of the mark, and what other runs left for the same object:
// they cannot make it any more.
func (u *Upload) finish(ctx context.Context) {
	u.rest()
	u.store.Sweep(ctx, u.to, 0) // what is left costs room only, and goes another time
}

// Abort ends the upload and removes its parts.
func (u *Upload) Abort(ctx context.Context) error {
	if u.rest != nil {
		u.rest()
	}
	err := u.store.retry(ctx, func() error { return u.store.core.AbortMultipartUpload(ctx, u.to.Bucket, u.to.Key, u.id) })
	if err == nil || is(err, "NoSuchUpload") {
		return nil
	}
	return fault.Wrap(err, fault.OutputFailed, "the unfinished upload of %s could not be removed: %s", u.to, reason(err)).
		Hint("the next run that writes %s removes it", u.to)
}

// Create makes an object of n bytes in one request. body is asked for them, and once
// more for each attempt.
func (s *Store) Create(ctx context.Context, to Name, n int64, body func() io.Reader, replace bool) (Done, error) {
	if err := s.free(ctx, to, replace); err != nil {
		return Done{}, err
	}
	run := rand.Text()
	return s.make(ctx, to, replace, run, func(o minio.PutObjectOptions) (info minio.UploadInfo, err error) {
		o.UserMetadata = ofRun(run)
		err = s.retry(ctx, func() error {
			info, err = s.core.PutObject(ctx, to.Bucket, to.Key, body(), n, "", "", o)
			return err
		})
		return info, err
	}, func(context.Context) {})
}

// make makes an object by do, on the condition that there is none unless replace. run
// is the name that the object bears; finish follows.
func (s *Store) make(ctx context.Context, to Name, replace bool, run string, do func(minio.PutObjectOptions) (minio.UploadInfo, error), finish func(context.Context)) (Done, error) {
	var o, guarded minio.PutObjectOptions
	guarded.SetMatchETagExcept("*")
	if !replace {
		o = guarded
	}
	var info minio.UploadInfo
	err := s.ask(func() (err error) {
		info, err = do(o)
		return err
	})
	unguarded := false
	if !replace && is(err, "NotImplemented", "InvalidArgument") {
		if err := s.vacant(ctx, to); err != nil {
			return Done{}, err
		}
		unguarded = true
		info, err = do(minio.PutObjectOptions{})
	}
	if err != nil {
		// The answer to an attempt before may have been lost, and this one have found
		// what that one made.
		after, cancel := outlive(ctx)
		defer cancel()
		o, statErr := s.stat(after, to)
		switch {
		case statErr == nil && o.run == run:
			info = minio.UploadInfo{ETag: o.ETag}
		case is(err, "PreconditionFailed"), is(err, "ConditionalRequestConflict") && statErr == nil:
			return Done{}, exists(err, to)
		case is(err, "NoSuchUpload"):
			return Done{}, gone(err, to)
		case is(err, "InvalidPart"):
			return Done{}, unwritten(ctx, errors.Join(ErrUnequal, err), to)
		default:
			return Done{}, unwritten(ctx, err, to)
		}
	}
	finish(ctx)
	return Done{ETag: info.ETag, Checksum: checksum(info), Unguarded: unguarded}, nil
}

// checksum is the first one that the store states.
func checksum(info minio.UploadInfo) string {
	for _, c := range []struct{ name, sum string }{
		{"crc64nvme", info.ChecksumCRC64NVME}, {"crc32c", info.ChecksumCRC32C}, {"crc32", info.ChecksumCRC32},
		{"sha256", info.ChecksumSHA256}, {"sha1", info.ChecksumSHA1},
	} {
		if c.sum != "" {
			return c.name + " " + c.sum
		}
	}
	return ""
}
