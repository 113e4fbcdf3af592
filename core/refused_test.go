package core

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// TestRefusedWithFacts: a file that cannot be converted is told as far as it is
// known, beside the error.
func TestRefusedWithFacts(t *testing.T) {
	b := guest(nil)
	arm := b.ELF
	arm.Machine = 183
	arm.NoState = true
	cut := b.Core[:len(b.Core)/10]
	for name, c := range map[string]struct {
		s            source.Source
		code         fault.Code
		format, arch string
		cpus         int
		memory       int64 // at least
		missing      int64
	}{
		"ARM64":     {synth.Source(synth.WriteELF(arm)), fault.UnsupportedCPU, "elf", "arm64", 2, 256 << 10, 0},
		"kdump":     {synth.Source(kdumpFile("x86_64", 3, false)), fault.Truncated, "kdump", "x86-64", 3, 5 * 4096, 0},
		"flattened": {synth.Source(kdumpFile("aarch64", 4, true)), fault.UnsupportedCPU, "kdump", "arm64", 4, 5 * 4096, 0},
		"truncated": {synth.Source(cut), fault.Truncated, "elf", "x86-64", 2, 4096, int64(len(b.Core) - len(cut))},
	} {
		sum, err := Inspect(context.Background(), c.s, Options{})
		if !fault.Is(err, c.code) || sum.Error == nil || sum.Error.Code != c.code {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if sum.File.Format != c.format || sum.Guest.Arch != c.arch || len(sum.CPUs) != c.cpus || sum.Memory.Bytes < c.memory || sum.Memory.MissingBytes != c.missing {
			t.Errorf("%s: %+v %+v, %d CPUs, memory %d, missing %d", name, sum.File, sum.Guest, len(sum.CPUs), sum.Memory.Bytes, sum.Memory.MissingBytes)
		}
		if name == "truncated" {
			if len(sum.Warnings) == 0 || sum.Warnings[0].Code != fault.Truncated || !strings.HasPrefix(sum.Error.Text, "the file ends ") {
				t.Errorf("the truncation is not what is said first: %q, %v", sum.Error.Text, sum.Warnings)
			}
		}
	}
}

// kdumpFile is a kdump core of six pages that says nothing of its processors'
// registers; the plain one is cut inside the list of its pages.
func kdumpFile(machine string, cpus int, flat bool) []byte {
	k := synth.KDump{Machine: machine, CPUs: cpus, Runs: []mem.Run{{Start: 0x4000, Pages: 5}, {Start: 0x10000, Pages: 1}},
		Block: func(n uint64) []byte { return synth.Noise(n, mem.PageSize) }}
	if flat {
		return k.Flattened()
	}
	return k.Bytes()[:4*mem.PageSize+50]
}

// TestRefusedCorpus: the same of real cores of other processors and containers.
func TestRefusedCorpus(t *testing.T) {
	root := corpus(t)
	for path, arch := range map[string]string{"arch/arm-tiny/core.elf.zst": "arm64", "arch/arm-4cpu-encoded/core.elf.zst": "arm64"} {
		f := corpustest.File(t, filepath.Join(root, filepath.FromSlash(path)))
		sum, err := Inspect(context.Background(), fileSource(t, f), Options{})
		if err == nil || sum.Guest.Arch != arch || sum.File.Format == "" || len(sum.CPUs) == 0 {
			t.Errorf("%s: %v, %+v %+v, %d CPUs", path, err, sum.File, sum.Guest, len(sum.CPUs))
		}
		if strings.HasPrefix(path, "arch") && sum.Memory.Bytes == 0 {
			t.Errorf("%s: no memory", path)
		}
	}
}
