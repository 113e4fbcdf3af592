package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/words"
)

// The benchmarks give ratios of one run, since times of different machines, or
// of one machine on different days, say little. "make bench" runs them.

// timed runs a program and gives how long it took.
func timed(b *testing.B, name string, args ...string) time.Duration {
	b.Helper()
	begin := time.Now()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
	return time.Since(begin)
}

func median(list []time.Duration) time.Duration {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkConvertAgainstCopy converts a dense core of 4.8 GB and copies it with
// cp, by turns: both read from the page cache and write to the same disk, and
// both are done when the output is on it: convert syncs before it renames, the
// copy is followed by a sync of its output. The core is a real one with its zero
// pages filled by noise.
func BenchmarkConvertAgainstCopy(b *testing.B) {
	store := corpus(b, "symbols")
	dir := b.TempDir()
	core := unpackCore(b, "windows/05-hole3g/core.elf.zst")
	fillZeroPages(b, core)
	binary := buildBinary(b)
	out := filepath.Join(dir, "out")
	info, err := os.Stat(core)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var copies, conversions []time.Duration
		// The first of each warms the cache and is thrown away.
		for range 4 {
			copies = append(copies, timed(b, "sh", "-c", `cp "$0" "$1" && sync "$1"`, core, out))
			os.Remove(out)
			exec.Command("sync").Run()
			conversions = append(conversions, timed(b, binary, "convert", "-symbols", store, core, out))
			os.Remove(out)
			exec.Command("sync").Run()
		}
		cp, convert := median(copies[1:]), median(conversions[1:])
		fmt.Printf("convert of a dense core of %s: %.2f s, cp of it: %.2f s, ratio %.2f\n",
			words.Bytes(info.Size()), convert.Seconds(), cp.Seconds(), convert.Seconds()/cp.Seconds())
		b.ReportMetric(convert.Seconds()/cp.Seconds(), "x-cp")
	}
}

// fillZeroPages writes seeded noise over every page of zeros.
func fillZeroPages(b *testing.B, path string) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	noise := rand.NewChaCha8([32]byte{1})
	block := make([]byte, 1<<20)
	for off := int64(0); ; off += int64(len(block)) {
		n, err := f.ReadAt(block, off)
		for at := 0; at+4096 <= n; at += 4096 {
			if isZero(block[at : at+4096]) {
				noise.Read(block[at : at+4096])
			}
		}
		if _, err := f.WriteAt(block[:n], off); err != nil {
			b.Fatal(err)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkScanAgainstCat looks at a dense core of 4.8 GB whose CPU states are
// lost, so that only a pass over all of memory leads to the kernel, and reads the
// same file with cat, by turns and from the page cache.
func BenchmarkScanAgainstCat(b *testing.B) {
	core := unpackCore(b, "windows/05-hole3g/core.elf.zst")
	fillZeroPages(b, core)
	loseStates(b, core)
	binary := buildBinary(b)
	for b.Loop() {
		var cats, scans []time.Duration
		for range 4 {
			cats = append(cats, timed(b, "sh", "-c", `cat "$0" > /dev/null`, core))
			scans = append(scans, timed(b, binary, "info", core))
		}
		cat, scan := median(cats[1:]), median(scans[1:])
		fmt.Printf("info by a pass over all of 4.8 GB: %.2f s, cat of it: %.2f s, speed against cat %.2f\n", scan.Seconds(), cat.Seconds(), cat.Seconds()/scan.Seconds())
		b.ReportMetric(cat.Seconds()/scan.Seconds(), "x-cat")
	}
}

// loseStates clears every register of the QEMU notes.
func loseStates(b *testing.B, path string) {
	b.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	if _, err := f.ReadAt(head, 0); err != nil {
		b.Fatal(err)
	}
	name, lost := []byte("QEMU\x00\x00\x00\x00"), 0
	for at := bytes.Index(head, name); at >= 0; lost++ {
		state := head[at+len(name):]
		clear(state[8:0x1b8]) // behind version and size
		next := bytes.Index(state, name)
		if next < 0 {
			break
		}
		at += len(name) + next
	}
	if lost == 0 {
		b.Fatal("no CPU notes were found")
	}
	if _, err := f.WriteAt(head, 0); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkInfoBySize looks at cores of three sizes: inspecting must not take
// longer the more memory the guest had.
func BenchmarkInfoBySize(b *testing.B) {
	dir := b.TempDir()
	sizes := []int64{64 << 20, 4800 << 20, 64 << 30}
	var cores []string
	for _, size := range sizes {
		cores = append(cores, enlarged(b, dir, size))
	}
	binary := buildBinary(b)
	for b.Loop() {
		times := make([][]time.Duration, len(sizes))
		for range 21 { // by turns, so that a slow moment meets all
			for i, core := range cores {
				times[i] = append(times[i], timed(b, binary, "info", core))
			}
		}
		var all []time.Duration
		for i, size := range sizes {
			all = append(all, median(times[i]))
			fmt.Printf("info on a core of %s: %.1f ms\n", words.Bytes(size), all[i].Seconds()*1000)
		}
		ratio := slices.Max(all).Seconds() / slices.Min(all).Seconds()
		fmt.Printf("slowest to fastest: ratio %.2f\n", ratio)
		b.ReportMetric(ratio, "slowest/fastest")
	}
}

// Offsets in ELF64 headers (elf(5)).
const (
	ehPhoff, ehPhnum                       = 32, 56
	phSize, phOffset, phPaddr, phFile, phM = 56, 8, 24, 32, 40
	phLoad                                 = 1
)

// enlarged gives the demo core with memory of zeros added above 4 GiB, as one
// more load, until the file has size bytes; the zeros are a hole.
func enlarged(b *testing.B, dir string, size int64) string {
	b.Helper()
	data, err := demo.Core()
	if err != nil {
		b.Fatal(err)
	}
	le := binary.LittleEndian
	phoff, phnum := le.Uint64(data[ehPhoff:]), int(le.Uint16(data[ehPhnum:]))
	// The table of program headers moves behind the data, with one more entry.
	table := slices.Clone(data[phoff : phoff+uint64(phnum)*phSize])
	data = append(data, make([]byte, (8-len(data)%8)%8)...)
	le.PutUint64(data[ehPhoff:], uint64(len(data)))
	le.PutUint16(data[ehPhnum:], uint16(phnum+1))
	start := (int64(len(data)) + int64(len(table)) + phSize + 4095) &^ 4095
	load := make([]byte, phSize)
	le.PutUint32(load, phLoad)
	le.PutUint64(load[phOffset:], uint64(start))
	le.PutUint64(load[phPaddr:], 4<<30)
	le.PutUint64(load[phFile:], uint64(size-start))
	le.PutUint64(load[phM:], uint64(size-start))
	path := filepath.Join(dir, fmt.Sprintf("%d.elf", size))
	if err := os.WriteFile(path, slices.Concat(data, table, load), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		b.Fatal(err)
	}
	return path
}
