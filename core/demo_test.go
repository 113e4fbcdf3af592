package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/dmp/dmptest"
	"coredrop/core/source"
	"coredrop/core/summary"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// demoUpstream is what upstream elf2dmp 10.2.2 writes for the demo core
// (corpus case 30-tiny, truth.json, upstream.dmp_sha256).
const demoUpstream = "32d4cd4cef398dcce6892e2fe096de039948b484a4f8840bf20ad77c78407b64"

func TestDemoIsUpstreamsToTheByte(t *testing.T) {
	im, sum, err := Convert(context.Background(), demoSource(t), Options{Symbols: symbolDir{}, Compat: true})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if _, err := io.CopyBuffer(h, io.NewSectionReader(im, 0, im.Size()), make([]byte, 70001)); err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != demoUpstream {
		t.Errorf("SHA-256 %s", got)
	}
	if !sum.Dump.Verified || len(sum.Warnings) != 0 {
		t.Errorf("%+v, %v", sum.Dump, sum.Warnings)
	}
}

// TestDemoSummary holds the summary to a golden file: go test ./core -run
// DemoSummary -update rewrites it.
func TestDemoSummary(t *testing.T) {
	_, sum, err := Convert(context.Background(), demoSource(t), Options{Symbols: symbolDir{}})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := sum.Write(&b); err != nil {
		t.Fatal(err)
	}
	got := b.Bytes()
	path := filepath.Join("testdata", "demo-summary.json")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("the summary is\n%s", got)
	}
}

// With and without the PDB the dumps are the same: the flag that says that the
// debugger block is encoded is found by what refers to it.
func TestDemoWithoutSymbols(t *testing.T) {
	read := func(o Options) ([]byte, *summary.Summary) {
		im, sum, err := Convert(context.Background(), demoSource(t), o)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, im.Size())
		if _, err := im.ReadAt(data, 0); err != nil {
			t.Fatal(err)
		}
		return data, sum
	}
	with, _ := read(Options{Symbols: symbolDir{}})
	without, sum := read(Options{})
	if sum.Symbols.Status != "none-needed" || sum.Windows.KDBG.FoundBy != "known-plaintext" {
		t.Errorf("%+v, %+v", sum.Symbols, sum.Windows.KDBG)
	}
	if !bytes.Equal(with, without) {
		t.Error("they differ")
	}
	d, err := dmptest.Open(bytes.NewReader(without), int64(len(without)))
	if err != nil {
		t.Fatal(err)
	}
	if flag := d.Bytes(0xfffff80312a26020, 1); flag == nil || flag[0] != 0 { // KdpDataBlockEncoded
		t.Errorf("the flag: % x", flag)
	}
}

// TestCrashSummary: the page and the command line say whose registers the dump
// opens with, before and after the conversion.
func TestCrashSummary(t *testing.T) {
	data, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	c, err := Open(context.Background(), source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: demo.Crash.CoreName}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(when, from, text string) {
		t.Helper()
		s := c.Summary()
		o := s.Windows.Opens
		if o == nil || o.Processor == nil || *o.Processor != 2 || o.CPU == nil || *o.CPU != 2 || o.By != "record" || o.Text != text {
			t.Errorf("%s: %+v", when, o)
		}
		for i, p := range s.CPUs {
			if p.Mode != "kernel" || p.RegistersFrom != from || p.Opens != (i == 2) || p.Why == "" {
				t.Errorf("%s: CPU %d: %s, %s, %v, %q", when, i, p.Mode, p.RegistersFrom, p.Opens, p.Why)
			}
		}
	}
	const text = "opens on processor 2, which called KeBugCheckEx"
	check("inspected", "record", text)
	for registers, want := range map[string][2]string{"": {"record", text}, dmp.RegistersLive: {"live", text + ", with its live registers"}} {
		if _, err := c.Convert(context.Background(), dmp.Options{Registers: registers}); err != nil {
			t.Fatal(err)
		}
		check("converted "+registers, want[0], want[1])
	}
}
