package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"coredrop/core/fault"
)

// Object is one version of an object: what it was when it was looked at.
type Object struct {
	Name     Name
	Size     int64  // bytes
	ETag     string // without quotes; "" where the store gives none
	Modified time.Time
	run      string // of this program, that made it; else ""
	store    *Store
}

// Stat looks at an object. Where there is none, the code is input-unreadable and
// errors.Is(err, fs.ErrNotExist).
func (s *Store) Stat(ctx context.Context, n Name) (*Object, error) {
	o, err := s.stat(ctx, n)
	if absent(err) { // or its bucket
		err = s.refusal(ctx, n, err)
	}
	if absent(err) {
		return nil, fault.Wrap(errors.Join(fs.ErrNotExist, err), fault.InputUnreadable, "there is no object %s", n)
	}
	return o, failed(ctx, err, fault.InputUnreadable, "could not read "+n.String())
}

// stat gives the client library's errors. A look that is refused is refused without a
// word, so a byte is asked for: why that is not given has a text.
func (s *Store) stat(ctx context.Context, n Name) (*Object, error) {
	var info minio.ObjectInfo
	if err := s.ask(func() (err error) {
		info, err = s.core.StatObject(ctx, n.Bucket, n.Key, minio.StatObjectOptions{})
		return err
	}); err != nil {
		if answer, ok := answerOf(err); ok && (bare(answer) || denied(err)) {
			err = s.refusal(ctx, n, err)
		}
		return nil, err
	}
	return &Object{Name: n, Size: info.Size, ETag: info.ETag, Modified: info.LastModified, run: info.UserMetadata[runKey], store: s}, nil
}

// refusal is the error of asking for a byte of an object; that of the look where this
// says nothing more.
func (s *Store) refusal(ctx context.Context, n Name, looked error) error {
	var first minio.GetObjectOptions
	if err := first.SetRange(0, 0); err != nil {
		return looked
	}
	var body io.ReadCloser
	err := s.ask(func() (err error) {
		body, _, _, err = s.core.GetObject(ctx, n.Bucket, n.Key, first)
		return err
	})
	if err == nil {
		body.Close() // nothing of it is wanted
		return looked
	}
	if answer, ok := answerOf(err); ok && answer.StatusCode < 500 {
		return err
	}
	return looked
}

// Exists reports whether there is an object of a name. Where the store does not say
// (it hides that from credentials that may not list), it reports false.
func (s *Store) Exists(ctx context.Context, n Name) (bool, error) {
	_, err := s.stat(ctx, n)
	switch {
	case err == nil:
		return true, nil
	case absent(err) || denied(err):
		return false, nil
	}
	return false, failed(ctx, err, fault.OutputFailed, "could not look for "+n.String())
}

// Range opens n bytes from off on of the version that was looked at. An object that
// was replaced, removed or cut meanwhile is file-changed.
func (o *Object) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	var want minio.GetObjectOptions
	if err := want.SetRange(off, off+n-1); err != nil {
		return nil, fmt.Errorf("%d bytes at %d: %w", n, off, err)
	}
	if o.ETag != "" {
		if err := want.SetMatchETag(o.ETag); err != nil {
			return nil, fmt.Errorf("the ETag of %s: %w", o.Name, err)
		}
	}
	var body io.ReadCloser
	var info minio.ObjectInfo
	var header http.Header
	err := o.store.ask(func() (err error) {
		body, info, header, err = o.store.core.GetObject(ctx, o.Name.Bucket, o.Name.Key, want)
		return err
	})
	if err != nil {
		return nil, o.refused(ctx, err)
	}
	if err := o.same(info.ETag, header, off, n); err != nil {
		body.Close() // nothing of it is wanted
		return nil, err
	}
	return body, nil
}

// same compares an answer with what was asked for: not every store heeds every
// header.
func (o *Object) same(etag string, header http.Header, off, n int64) error {
	var first, last, size int64
	whole := off == 0 && n == o.Size
	switch _, err := fmt.Sscanf(header.Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); {
	case o.ETag != "" && etag != "" && etag != o.ETag:
		return changed(nil, o.Name, "was replaced")
	case err != nil && whole:
		if length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64); err == nil && length != o.Size {
			return changed(nil, o.Name, "was replaced")
		}
	case err != nil:
		return fault.New(fault.InputUnreadable, "could not read %s: the object store gives no ranges of it", o.Name)
	case size != o.Size:
		return changed(nil, o.Name, fmt.Sprintf("had %d bytes and has %d, which it became", o.Size, size))
	case first != off || last != off+n-1:
		return fmt.Errorf("%d bytes at %d of %s were asked for, and the answer has those from %d to %d", n, off, o.Name, first, last)
	}
	return nil
}

// refused words a failed read of an object that was there.
func (o *Object) refused(ctx context.Context, err error) error {
	switch {
	case is(err, "PreconditionFailed"):
		return changed(err, o.Name, "was replaced")
	case absent(err):
		return changed(err, o.Name, "was removed")
	case is(err, "InvalidRange"):
		return changed(err, o.Name, "became shorter")
	}
	return failed(ctx, err, fault.InputUnreadable, "could not read "+o.Name.String())
}

// List gives the objects below a prefix, in the order of their keys. Another attempt
// goes on behind the last one that was given.
func (s *Store) List(ctx context.Context, prefix Name) iter.Seq2[*Object, error] {
	return func(yield func(*Object, error) bool) {
		last := ""
		err := s.ask(func() error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			for info := range s.core.Client.ListObjects(ctx, prefix.Bucket, minio.ListObjectsOptions{Prefix: prefix.Key, Recursive: true, StartAfter: last}) {
				if info.Err != nil {
					return info.Err
				}
				last = info.Key
				o := &Object{Name: Name{prefix.Bucket, info.Key}, Size: info.Size, ETag: strings.Trim(info.ETag, `"`), Modified: info.LastModified, store: s}
				if !yield(o, nil) {
					return nil
				}
			}
			return nil
		})
		if err != nil {
			yield(nil, failed(ctx, err, fault.InputUnreadable, "could not list "+prefix.String()))
		}
	}
}
