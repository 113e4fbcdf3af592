//go:build js && wasm

package main

import (
	"context"
	"errors"
	"io"
	"syscall/js"
	"time"

	"coredrop/core/fault"
)

// maxRead bounds one read of the file: an ArrayBuffer of this size is alive
// until the browser collects it.
const maxRead = 4 << 20

// yieldEvery is how long the program may run without looking at the worker's
// messages; a cancel is answered within about this time.
const yieldEvery = 40 * time.Millisecond

// blobReader reads a File or Blob synchronously, which only a worker may. It
// implements symstore.File too.
type blobReader struct {
	blob   js.Value
	reader js.Value // a FileReaderSync
	size   int64
	ctx    context.Context // of the job that reads; ends a stream

	// changed is the first sign that the file is no longer what was opened. It
	// is kept because a reader further up may turn a failed read into "not in
	// the core" and go on.
	changed error

	reads, bytes, largest int64
	yielded               time.Time
}

func newBlobReader(blob js.Value) *blobReader {
	return &blobReader{
		blob:    blob,
		reader:  js.Global().Get("FileReaderSync").New(),
		size:    int64(blob.Get("size").Float()),
		ctx:     context.Background(),
		yielded: time.Now(),
	}
}

// Size gives the length in bytes as it was when the file was picked.
func (r *blobReader) Size() int64 { return r.size }

// Close does nothing: the browser owns the file.
func (r *blobReader) Close() error { return nil }

// ReadAt reads as io.ReaderAt asks. Fewer bytes than the size promised mean
// that the file changed: Firefox reads on silently past a new end.
func (r *blobReader) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > r.size {
		return 0, io.EOF
	}
	want := int(min(int64(len(p)), r.size-off))
	for done := 0; done < want; {
		n := min(want-done, maxRead)
		if err := r.read(p[done:done+n], off+int64(done)); err != nil {
			return done, err
		}
		done += n
	}
	if want < len(p) {
		return want, io.EOF
	}
	return want, nil
}

func (r *blobReader) read(p []byte, off int64) error {
	r.yield()
	buffer, err := try(func() js.Value {
		return r.reader.Call("readAsArrayBuffer", r.blob.Call("slice", off, off+int64(len(p))))
	})
	if err != nil {
		return r.fail(err)
	}
	bytes := js.Global().Get("Uint8Array").New(buffer)
	if got := bytes.Length(); got != len(p) {
		r.changed = fault.New(fault.FileChanged, "the file changed while it was being read: %d of %d bytes at %#x", got, len(p), off)
		return r.changed
	}
	js.CopyBytesToGo(p, bytes)
	r.reads++
	r.bytes += int64(len(p))
	r.largest = max(r.largest, int64(len(p)))
	return nil
}

// fail names a failed read. Chromium refuses a file whose size or time differ
// from what they were (NotReadableError) or that is gone (NotFoundError);
// Firefox says AbortError or NS_ERROR_FILE_NOT_FOUND of a deleted one, and
// NS_ERROR_FAILURE of a read that starts behind the new end.
func (r *blobReader) fail(err error) error {
	name, text := "", err.Error()
	var e js.Error
	if errors.As(err, &e) && e.Value.Type() == js.TypeObject {
		name = e.Value.Get("name").String()
	}
	switch name {
	case "NotReadableError", "NotFoundError", "AbortError", "NS_ERROR_FILE_NOT_FOUND", "NS_ERROR_FAILURE":
		r.changed = fault.Wrap(err, fault.FileChanged, "the file changed or was removed while it was being read (%s)", name)
		return r.changed
	}
	return fault.Wrap(err, fault.InputUnreadable, "the browser could not read the file: %s %s", name, text)
}

// yield lets the worker handle its messages now and then.
func (r *blobReader) yield() {
	if time.Since(r.yielded) > yieldEvery {
		time.Sleep(time.Millisecond)
		r.yielded = time.Now()
	}
}
