//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"coredrop/core/container/savevm"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
)

// largeSaved writes a saved state of a guest with more memory: noise, and zero
// pages by turns, as memory is; it gives the number of its pages.
func largeSaved(b *testing.B, path string, size uint64) {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	s := synth.Guest(synth.Options{}).ELF.SavedState()
	block := s.Blocks[0].Data
	head := s
	head.Blocks = []synth.SavedBlock{{Name: "pc.ram"}}
	// The stream of an empty block, with the devices; the memory is put into it.
	for i := range head.Devices {
		if head.Devices[i].Name == "mc146818rtc" {
			head.Devices[i] = synth.SavedClock(2<<30, size-2<<30)
		}
	}
	data, marks := head.Bytes(), head.Marks()
	be := binary.BigEndian
	list := marks[1] + 5 + 4 + 8 // behind the section's head: the list of blocks
	put := func(p []byte) {
		if _, err := w.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	put(data[:list])
	put(be.AppendUint64(nil, size|0x04))
	put(append([]byte("\x06pc.ram"), be.AppendUint64(nil, size)...))
	put(append(be.AppendUint64(nil, 0x10), 0x7e, 0, 0, 0, 1))
	put([]byte{2, 0, 0, 0, 1})
	noise := synth.Noise(1, 1<<20)
	name := []byte("\x06pc.ram")
	record := make([]byte, 0, 8200)
	for at := uint64(0); at < size; at += mem.PageSize {
		var page []byte
		switch n := at / mem.PageSize; {
		case at < uint64(len(block)):
			page = block[at:][:mem.PageSize]
		case n%64 < 58:
			page = noise[n%255*mem.PageSize:][:mem.PageSize]
		}
		flags, cont := uint64(0x08), uint64(0x20)
		if page == nil {
			flags, page = 0x02, []byte{0}
		}
		if at == 0 {
			cont = 0
		}
		record = be.AppendUint64(record[:0], at|flags|cont)
		if at == 0 {
			record = append(record, name...)
		}
		put(append(record, page...))
	}
	put(append(be.AppendUint64(nil, 0x10), 0x7e, 0, 0, 0, 1))
	for _, m := range marks {
		if data[m] == 3 { // the memory's end and all behind it
			put(data[m:])
			break
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkSavedState opens a saved state of 4.6 GiB, which is one pass over it,
// against cat, by turns.
func BenchmarkSavedState(b *testing.B) {
	path := filepath.Join(b.TempDir(), "vm.save")
	largeSaved(b, path, 5<<30)
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		var cats, passes []time.Duration
		for range 5 {
			begin := time.Now()
			if err := exec.Command("cat", path).Run(); err != nil { // to the null device
				b.Fatal(err)
			}
			cats = append(cats, time.Since(begin))
			begin = time.Now()
			m, err := savevm.Open(context.Background(), source.Source{ReaderAt: f, Size: info.Size(), Name: "vm.save"}, machine.Options{})
			if err != nil || len(m.CPUs) == 0 || m.MissingEnd != 0 {
				b.Fatal(err, m.Warnings)
			}
			passes = append(passes, time.Since(begin))
		}
		cat, pass := median(cats[1:]), median(passes[1:])
		fmt.Printf("saved state of %.1f GiB: %.2f s, cat: %.2f s, ratio %.2f\n", float64(info.Size())/(1<<30), pass.Seconds(), cat.Seconds(), cat.Seconds()/pass.Seconds())
		b.ReportMetric(cat.Seconds()/pass.Seconds(), "x-cat")
	}
}
