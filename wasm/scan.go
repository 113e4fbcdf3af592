//go:build js && wasm

package main

import (
	"context"
	"errors"
	"syscall/js"
	"time"

	"coredrop/core/fault"
)

const (
	scanBlock = 256 << 10
	// scanSlack lengthens a stream's slice past what is read: in Chromium a
	// short stream whose slice ends where the read ends hangs now and then.
	scanSlack = 64 << 10
	// scanPatience is how long a read may take before the stream is given up
	// and opened again; scanTries bounds how often.
	scanPatience = 5 * time.Second
	scanTries    = 3
)

var errScanStalled = errors.New("the stream stalled")

// scan passes count bytes of the file from off on to f in order, through one
// buffer that goes back and forth between the browser and here: ten times the
// speed of single reads, without their garbage.
func (r *blobReader) scan(ctx context.Context, off, count int64, f func([]byte) error) error {
	block := make([]byte, scanBlock)
	buffer := js.Global().Get("ArrayBuffer").New(scanBlock)
	tries := 0
	for count > 0 {
		n, err := r.scanOnce(ctx, off, count, &buffer, block, f)
		off, count = off+n, count-n
		if errors.Is(err, errScanStalled) && tries < scanTries {
			tries++
			buffer = js.Global().Get("ArrayBuffer").New(scanBlock)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// stream is source.Source.Stream: a pass over the whole memory reads this way.
func (r *blobReader) stream(off, count int64, buffer []byte, visit func([]byte) error) error {
	filled := 0
	err := r.scan(r.ctx, off, count, func(p []byte) error {
		for len(p) > 0 {
			n := copy(buffer[filled:], p)
			filled, p = filled+n, p[n:]
			if filled == len(buffer) {
				filled = 0
				if err := visit(buffer); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil || filled == 0 {
		return err
	}
	return visit(buffer[:filled])
}

// scanOnce reads from one stream and gives how far it came.
func (r *blobReader) scanOnce(ctx context.Context, off, count int64, buffer *js.Value, block []byte, f func([]byte) error) (int64, error) {
	end := min(off+count+scanSlack, r.size)
	stream, err := try(func() js.Value {
		return r.blob.Call("slice", off, end).Call("stream").Call("getReader", map[string]any{"mode": "byob"})
	})
	if err != nil {
		return 0, r.fail(err)
	}
	defer func() {
		// A stream that is done refuses; there is nothing to do about it then.
		_, _ = try(func() js.Value { return stream.Call("cancel").Call("catch", ignore) })
	}()
	var done int64
	for done < count {
		view := js.Global().Get("Uint8Array").New(*buffer)
		patience, cancel := context.WithTimeoutCause(ctx, scanPatience, errScanStalled)
		got, err := await(patience, stream.Call("read", view))
		cancel()
		if errors.Is(err, errScanStalled) || ctx.Err() != nil {
			return done, context.Cause(patience)
		}
		if err != nil {
			return done, r.fail(err)
		}
		value := got.Get("value")
		if got.Get("done").Bool() || value.Length() == 0 {
			r.changed = fault.New(fault.FileChanged, "the file ends early: it changed while it was being read")
			return done, r.changed
		}
		*buffer = value.Get("buffer")
		n := js.CopyBytesToGo(block, value)
		n = int(min(int64(n), count-done))
		if err := f(block[:n]); err != nil {
			return done, err
		}
		done += int64(n)
		r.bytes += int64(n)
	}
	return done, nil
}

// ignore is the handler of a rejection that does not matter.
var ignore = js.FuncOf(func(js.Value, []js.Value) any { return nil })
