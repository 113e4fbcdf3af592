package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"coredrop/core/words"
)

// BenchmarkConvertInStore makes the dump of a dense core of 4.8 GB inside an object
// store, and downloads the core from there with the store's client library, by turns:
// the store, its disk and both programs are on this machine. The dump's bytes are
// compared with those of one made here, and what crossed the wire is counted.
func BenchmarkConvertInStore(b *testing.B) {
	core := unpackCore(b, "windows/05-hole3g/core.elf.zst")
	fillZeroPages(b, core)
	want := here(b, core)
	s := objectStore(b)
	size := put(b, s, "vm.core", core)
	if err := os.Remove(core); err != nil {
		b.Fatal(err)
	}
	binary := buildBinary(b)
	file := filepath.Join(b.TempDir(), "vm.core")
	for b.Loop() {
		var downloads, conversions []time.Duration
		var wire int64
		for range 4 {
			begin := time.Now()
			s.Download(b, "vm.core", file)
			downloads = append(downloads, time.Since(begin))
			os.Remove(file)
			s.Reset()
			conversions = append(conversions, timed(b, binary, "convert", "-f", "s3://cores/vm.core", "s3://cores/vm.dmp"))
			up, down := s.Bytes()
			wire = max(wire, up+down)
		}
		if wire > wireLimit {
			b.Errorf("%d bytes crossed the wire", wire)
		}
		if there := hashOf(b, s.Get(b, "vm.dmp")); there != want {
			b.Errorf("the object is %s, the dump made here %s", there, want)
		}
		nothingLeft(b, s)
		download, convert := median(downloads[1:]), median(conversions[1:])
		fmt.Printf("convert of a dense core of %s inside a store: %.2f s, %d requests, %s crossed the wire; download of it: %.2f s, ratio %.2f\n",
			words.Bytes(size), convert.Seconds(), len(s.Requests()), words.Bytes(wire), download.Seconds(), convert.Seconds()/download.Seconds())
		b.ReportMetric(convert.Seconds()/download.Seconds(), "x-download")
	}
}

// BenchmarkInfoOfAnObject says what a core of 4.8 GB in an object store is, where each
// request takes 30 ms, and prints the time against that of one request.
func BenchmarkInfoOfAnObject(b *testing.B) {
	core := unpackCore(b, "windows/05-hole3g/core.elf.zst")
	s := objectStore(b)
	if err := os.Rename(core, s.Path("vm.core")); err != nil {
		b.Skip("the store is on another disk than temporary files are")
	}
	binary := buildBinary(b)
	const journey = 30 * time.Millisecond
	for b.Loop() {
		var list []time.Duration
		for range 4 {
			s.Reset()
			s.Latency(journey)
			list = append(list, timed(b, binary, "info", "s3://cores/vm.core"))
		}
		took := median(list[1:])
		fmt.Printf("info of a core of 4.8 GB in a store, 30 ms a request: %.2f s, %d requests, %.1f journeys\n", took.Seconds(), len(s.Requests()), float64(took)/float64(journey))
		b.ReportMetric(float64(took)/float64(journey), "journeys")
	}
}
