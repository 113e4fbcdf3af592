//go:build js && wasm

package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"syscall/js"
	"time"

	"coredrop/core/dmp"
	"coredrop/core/fault"
)

// needImage fails where nothing was converted.
func (s *session) needImage() error {
	if s.image == nil {
		return fault.New(fault.InputUnreadable, "nothing was converted in this worker: open the core again")
	}
	return nil
}

// What a part's first number is in the layout, where it is not a file's.
var partKinds = map[dmp.Kind]int64{dmp.Literal: -1, dmp.Zero: -2, dmp.Computed: -3}

// parts describes the dump for the page, which makes a Blob of it: {size, layout,
// literals}. layout holds three numbers a part: the number of the file that holds
// it, or -1 literals, -2 zeros, -3 bytes that only read gives; its offset there;
// its length.
func (s *session) parts([]js.Value) (any, error) {
	return s.work(func(context.Context) (any, error) {
		if err := s.needImage(); err != nil {
			return nil, err
		}
		var layout, literals []byte
		for _, p := range s.image.Parts() {
			from, made := partKinds[p.Kind]
			if !made {
				from = int64(p.File)
			}
			for _, n := range []int64{from, p.Off, p.Bytes} {
				layout = binary.LittleEndian.AppendUint64(layout, math.Float64bits(float64(n)))
			}
			literals = append(literals, p.Literal...)
		}
		return js.ValueOf(map[string]any{
			"size":     s.image.Size(),
			"layout":   js.Global().Get("Float64Array").New(bytesOut(layout).Get("buffer")),
			"literals": bytesOut(literals),
		}), nil
	})
}

// bytesOut copies bytes to a Uint8Array of their own.
func bytesOut(b []byte) js.Value {
	v := js.Global().Get("Uint8Array").New(len(b))
	js.CopyBytesToJS(v, b)
	return v
}

// read takes an offset and a count and gives those bytes of the dump.
func (s *session) read(args []js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		if err := s.needImage(); err != nil {
			return nil, err
		}
		count := args[1].Int()
		if count < 0 || count > maxRead {
			return nil, fault.New(fault.BadOption, "at most %d bytes of a dump are given at once", maxRead)
		}
		out := js.Global().Get("Uint8Array").New(count)
		done := 0
		err := s.image.Scan(ctx, int64(args[0].Float()), int64(count), make([]byte, 64<<10), func(p []byte) error {
			done += js.CopyBytesToJS(out.Call("subarray", done), p)
			return nil
		})
		return out, err
	})
}

// sha256 gives the dump's SHA-256 in hex: over plain http the browser has no
// such function of its own.
func (s *session) sha256([]js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		if err := s.needImage(); err != nil {
			return nil, err
		}
		h := sha256.New()
		var done int64
		write := func(p []byte) error {
			done += int64(len(p))
			s.sink.Report("computing SHA-256", done, s.image.Size())
			_, err := h.Write(p)
			return err
		}
		if err := s.image.Scan(ctx, 0, s.image.Size(), make([]byte, 1<<20), write); err != nil {
			return nil, err
		}
		return hex.EncodeToString(h.Sum(nil)), nil
	})
}

// hashRateBytes is what hashRate hashes: about a tenth of a second.
const hashRateBytes = 4 << 20

// hashRate gives how many bytes a second this browser hashes. It is no job: the
// page may ask for it whatever runs.
func (s *session) hashRate([]js.Value) (any, error) {
	block := make([]byte, hashRateBytes)
	began := time.Now()
	sha256.Sum256(block)
	return float64(len(block)) / max(time.Since(began), time.Millisecond).Seconds(), nil
}
