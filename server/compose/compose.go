// Package compose makes an image an object of a store: as far as can be of ranges
// of the core, which the store copies itself, so that next to nothing of it crosses
// the wire. It holds no part of the image: what is sent is read while it is sent.
package compose

import (
	"context"
	"errors"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/words"
	"coredrop/server/bucket"
)

// Image is an image that says what it is made of: *dmp.Image. Scan is called by
// several goroutines at once.
type Image interface {
	Size() int64
	Parts() []dmp.Part
	Scan(ctx context.Context, off, n int64, buf []byte, visit func(p []byte) error) error
}

// Job is an image, and the object that it becomes.
type Job struct {
	Image Image
	// Files are the files of the image's input by their number, as objects of the
	// store that the image goes to. None of a number, or nil: the store has no such
	// file, and what the image takes of it is sent.
	Files []*bucket.Object

	Store   *bucket.Store
	To      bucket.Name
	Replace bool

	// Begun is asked when an upload is begun, before anything is sent: an error ends it
	// and is returned. It is not asked where one request makes the object. nil: nobody
	// is asked.
	Begun func(ctx context.Context, u *bucket.Upload) error
	// Still is asked when all of the input was read, before the object is made: an
	// error (the input changed) means that what was sent is not to be trusted. nil:
	// nobody is asked.
	Still func() error
	Sink  progress.Sink
}

// Result is what was made, and how.
type Result struct {
	bucket.Done
	Copied, Sent int64 // bytes of the object: those that the store copied, and the others
	Warnings     []fault.Warning
}

// What suits stores. A step that fails is done once more from its beginning, and none
// tells how far it is before it ends.
const (
	copyBytes = 256 << 20
	sendBytes = 16 << 20
	stepPrice = 256 << 10 // bytes that are sent in the time that a request takes
)

// Write makes the object. When it fails there is none, and nothing is left in the
// store but what the error says.
func Write(ctx context.Context, j Job) (Result, error) {
	limits := dmp.Limits{Min: bucket.MinPart, Max: bucket.MaxPart, Most: bucket.MaxParts,
		Copy: copyBytes, Upload: sendBytes, Price: stepPrice, From: j.copyable}
	r, err := j.write(ctx, limits)
	if errors.Is(err, bucket.ErrUnequal) {
		j.Sink.Logf("the object store takes no parts of different lengths: once more, with equal ones")
		limits.Equal = true
		return j.write(ctx, limits)
	}
	return r, err
}

// write makes the object of the steps of one plan.
func (j Job) write(ctx context.Context, limits dmp.Limits) (Result, error) {
	steps, ok := dmp.Plan(j.Image.Parts(), limits)
	if !ok {
		return Result{}, fault.New(fault.OutputFailed, "could not write %s: the dump has %s, and an object of parts at most %s", j.To,
			words.Bytes(j.Image.Size()), words.Bytes(bucket.MaxParts*bucket.MaxPart)).
			Instead(fault.Step{Text: "write it to a file, or leave memory out: -type kernel"})
	}
	a := newAssembly(j, steps)
	if len(steps) == 0 || len(steps) == 1 && !steps[0].Copy {
		return a.create(ctx)
	}
	var u *bucket.Upload
	if err := a.request(ctx, func(ctx context.Context) (err error) {
		u, err = j.Store.Begin(ctx, j.To, j.Replace)
		return err
	}); err != nil {
		return a.result(ctx, bucket.Done{}, err)
	}
	return a.make(ctx, u, func() error {
		if j.Begun == nil {
			return nil
		}
		return j.Begun(ctx, u)
	})
}

// copyable reports whether the store can copy ranges of a file of the input.
func (j Job) copyable(file int) bool {
	return file < len(j.Files) && j.Files[file] != nil && j.Files[file].Size > bucket.MinCopied
}
