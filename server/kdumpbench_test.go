//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zlib"

	"coredrop/core/mem"
	"coredrop/core/synth"
	"coredrop/core/words"
)

// largeKdump writes a kdump core of a guest with more memory, packed by zlib; some
// of it is noise, some text, some zeros, as memory is.
func largeKdump(b *testing.B, path string, size uint64, flat bool) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	k := synth.Guest(synth.Options{}).ELF.KDump()
	guest := k.Block
	const far = 4 << 30
	k.Runs = append(k.Runs, mem.Run{Start: far, Pages: size / mem.PageSize})
	noise, text := synth.Noise(1, 1<<16), bytes.Repeat([]byte("the quick brown fox jumps over the lazy dog; "), 200)
	page, zero := make([]byte, mem.PageSize), make([]byte, mem.PageSize)
	k.Block = func(n uint64) []byte {
		if n < far/mem.PageSize {
			return guest(n)
		}
		switch n % 8 {
		case 0, 1, 2:
			return zero
		case 3:
			copy(page, noise[n*64%(1<<15):])
		default:
			copy(page, text[n%45:])
			copy(page[1000:2500], noise[n*64%(1<<15):])
		}
		binary.LittleEndian.PutUint64(page, n)
		return page
	}
	put := func(off int64, p []byte) {
		if _, err := f.WriteAt(p, off); err != nil {
			b.Fatal(err)
		}
	}
	if !flat {
		k.Put(put)
		return
	}
	at := int64(4096)
	put(0, nil)
	if _, err := f.WriteAt(synth.FlatHeader(), 0); err != nil {
		b.Fatal(err)
	}
	k.Put(func(off int64, p []byte) {
		r := synth.FlatRecord(off, p)
		put(at, r)
		at += int64(len(r))
	})
	put(at, synth.FlatEnd())
}

// inflateAll unpacks every page of a plain kdump core on all processors, and does
// nothing with it: what a conversion cannot be faster than.
func inflateAll(b *testing.B, path string) time.Duration {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 0x2000)
	if _, err := f.ReadAt(head, 0); err != nil {
		b.Fatal(err)
	}
	le := binary.LittleEndian
	at := (1 + int64(le.Uint32(head[0x1b0:])) + int64(le.Uint32(head[0x1b4:]))) * 4096
	begin := time.Now()
	first := make([]byte, 24)
	if _, err := f.ReadAt(first, at); err != nil {
		b.Fatal(err)
	}
	table := make([]byte, (int64(le.Uint64(first))-at)/24*24)
	if _, err := f.ReadAt(table, at); err != nil && err != io.EOF {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	each := len(table) / 24 / runtime.GOMAXPROCS(0)
	for w := range runtime.GOMAXPROCS(0) {
		all.Add(1)
		go func() {
			defer all.Done()
			page, packed := make([]byte, 4096), make([]byte, 8192)
			var z io.ReadCloser
			for i := w * each; i < (w+1)*each; i++ {
				d := table[24*i:]
				p := packed[:min(le.Uint32(d[8:]), 8192)]
				if _, err := f.ReadAt(p, int64(le.Uint64(d))); err != nil && err != io.EOF {
					b.Error(err)
					return
				}
				var err error
				if z == nil {
					z, err = zlib.NewReader(bytes.NewReader(p))
				} else {
					err = z.(zlib.Resetter).Reset(bytes.NewReader(p), nil)
				}
				if err == nil {
					_, err = io.ReadFull(z, page)
				}
				if err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	all.Wait()
	return time.Since(begin)
}

// peak runs a program and gives how long it took and the most memory it had.
func peak(b *testing.B, name string, args ...string) (time.Duration, int64) {
	b.Helper()
	begin := time.Now()
	cmd := exec.Command(name, args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
	took := time.Since(begin)
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	return took, int64(usage.Maxrss) << 10 // in KiB on Linux
}

// BenchmarkKdump converts kdump cores of 4 GiB, plain and flattened: against a
// bare loop that unpacks the same pages on all processors, by turns, and the
// memory it needs.
func BenchmarkKdump(b *testing.B) {
	dir := b.TempDir()
	plain, flat, out := filepath.Join(dir, "plain"), filepath.Join(dir, "flat"), filepath.Join(dir, "out.dmp")
	largeKdump(b, plain, 4<<30, false)
	largeKdump(b, flat, 4<<30, true)
	binary := buildBinary(b)
	for b.Loop() {
		var loops, converts []time.Duration
		var most int64
		for range 4 {
			loops = append(loops, inflateAll(b, plain))
			took, rss := peak(b, binary, "convert", "-symbols", "none", "-f", plain, out)
			converts, most = append(converts, took), max(most, rss)
			os.Remove(out)
		}
		_, flatMost := peak(b, binary, "convert", "-symbols", "none", "-f", flat, out)
		os.Remove(out)
		loop, convert := median(loops[1:]), median(converts[1:])
		fmt.Printf("kdump of 4 GiB to dump: %.2f s, unpacking alone on all processors: %.2f s, ratio %.2f; peak memory %s, flattened %s\n",
			convert.Seconds(), loop.Seconds(), loop.Seconds()/convert.Seconds(), words.Bytes(most), words.Bytes(flatMost))
		b.ReportMetric(loop.Seconds()/convert.Seconds(), "x-inflate")
	}
}
