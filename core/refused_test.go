package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/fault"
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
		"kdump":     {synth.Source(kdumpFile("x86_64", 3, false)), fault.KdumpCompressed, "kdump", "x86-64", 3, 5 * 4096, 0},
		"flattened": {synth.Source(kdumpFile("aarch64", 4, true)), fault.KdumpCompressed, "kdump", "arm64", 4, 0, 0},
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

// kdumpFile is the headers of a kdump core of five pages, as QEMU writes them.
func kdumpFile(machine string, cpus uint32, flat bool) []byte {
	p := make([]byte, 4*4096) // header, sub header, two bitmaps of a block each
	copy(p, "KDUMP   ")
	le := binary.LittleEndian
	le.PutUint32(p[8:], 6)
	copy(p[0x110:], machine)
	le.PutUint32(p[0x1ac:], 4096)
	le.PutUint32(p[0x1b0:], 1)
	le.PutUint32(p[0x1b4:], 2)
	le.PutUint32(p[0x1cc:], cpus)
	p[3*4096], p[3*4096+2] = 0xf0, 1
	if !flat {
		return p
	}
	var b bytes.Buffer
	b.WriteString("makedumpfile\x00\x00\x00\x00")
	b.Write(make([]byte, 4096-b.Len()))
	b.Write(make([]byte, 8))
	b.Write(binary.BigEndian.AppendUint64(nil, 4096))
	b.Write(p[:4096])
	return b.Bytes()
}

// TestRefusedCorpus: the same of real cores of other processors and containers.
func TestRefusedCorpus(t *testing.T) {
	root := corpus(t)
	for path, arch := range map[string]string{"arch/arm-tiny/core.elf.zst": "arm64", "arch/arm-4cpu-encoded/core.elf.zst": "arm64", "windows/12-kdump-zlib/core.kdump.zst": "x86-64"} {
		f := corpustest.File(t, filepath.Join(root, filepath.FromSlash(path)))
		sum, err := Inspect(context.Background(), fileSource(t, f), Options{})
		if err == nil || sum.Guest.Arch != arch || sum.File.Format == "" || len(sum.CPUs) == 0 {
			t.Errorf("%s: %v, %+v %+v, %d CPUs", path, err, sum.File, sum.Guest, len(sum.CPUs))
		}
		if strings.HasPrefix(path, "arch") && sum.Memory.Bytes == 0 {
			t.Errorf("%s: no memory", path)
		}
	}
	raw, err := filepath.Glob(filepath.Join(root, "containers", "30-tiny", "kd-*.raw.kdump.zst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range raw {
		f := corpustest.File(t, path)
		sum, err := Inspect(context.Background(), fileSource(t, f), Options{})
		if !fault.Is(err, fault.KdumpCompressed) || sum.Memory.Bytes == 0 || len(sum.CPUs) != 2 {
			t.Errorf("%s: %v, memory %d, %d CPUs", filepath.Base(path), err, sum.Memory.Bytes, len(sum.CPUs))
		}
	}
}
