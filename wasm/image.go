//go:build js && wasm

package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"syscall/js"
	"time"

	"coredrop/core/fault"
)

// needImage fails where nothing was converted.
func (s *session) needImage() error {
	if s.image == nil {
		return fault.New(fault.InputUnreadable, "nothing was converted in this worker: open the core again")
	}
	return nil
}

// parts describes the dump for the page, which makes a Blob of it: {size,
// verbatim, layout, literals}. layout holds pairs of numbers: an offset in the
// file, or -1 for literals, and a count of bytes. Where verbatim is false the
// dump has parts that are in neither, and is to be had by read only.
func (s *session) parts([]js.Value) (any, error) {
	return s.work(func(context.Context) (any, error) {
		if err := s.needImage(); err != nil {
			return nil, err
		}
		var layout, literals []byte
		number := func(n int64) {
			layout = binary.LittleEndian.AppendUint64(layout, math.Float64bits(float64(n)))
		}
		verbatim := true
		for _, p := range s.image.Parts() {
			switch {
			case p.Memory.Bytes > 0:
				verbatim = false
			case p.Source.Bytes > 0:
				number(p.Source.Off)
				number(p.Source.Bytes)
			default:
				number(-1)
				number(int64(len(p.Literal)))
				literals = append(literals, p.Literal...)
			}
		}
		return js.ValueOf(map[string]any{
			"size":     s.image.Size(),
			"verbatim": verbatim,
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
	return s.work(func(context.Context) (any, error) {
		if err := s.needImage(); err != nil {
			return nil, err
		}
		count := args[1].Int()
		if count < 0 || count > maxRead {
			return nil, fault.New(fault.BadOption, "at most %d bytes of a dump are given at once", maxRead)
		}
		p := make([]byte, count)
		n, err := s.image.ReadAt(p, int64(args[0].Float()))
		if err != nil && !(errors.Is(err, io.EOF) && n == len(p)) {
			return nil, err
		}
		return bytesOut(p), nil
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
		block := make([]byte, 1<<20)
		for _, p := range s.image.Parts() {
			var err error
			switch {
			case p.Source.Bytes > 0:
				err = s.file.scan(ctx, p.Source.Off, p.Source.Bytes, write)
			case p.Memory.Bytes > 0:
				for left, at := p.Memory.Bytes, done; left > 0 && err == nil && ctx.Err() == nil; {
					piece := block[:min(left, int64(len(block)))]
					if _, err = s.image.ReadAt(piece, at); err == nil || errors.Is(err, io.EOF) {
						err = write(piece)
					}
					at, left = at+int64(len(piece)), left-int64(len(piece))
				}
			default:
				err = write(p.Literal)
			}
			if err != nil || ctx.Err() != nil {
				return nil, errors.Join(err, ctx.Err())
			}
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
