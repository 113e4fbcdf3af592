package dmp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
)

func dumpBytes(t testing.TB, o Options, fragments int) []byte {
	t.Helper()
	g := newGuest(2, true)
	g.fragments(fragments, 0x10000000)
	im := build(t, g.kernel(t, nil), o)
	return bytesOf(t, im, g.file)
}

func check(data []byte) (*Report, error) {
	return Verify(context.Background(), bytes.NewReader(data), int64(len(data)))
}

// inDump gives the offset in a full dump of a place in the guest's stretch.
func inDump(page, off int) int { return 0x2000 + page*mem.PageSize + off }

func TestVerifyRefuses(t *testing.T) {
	good := dumpBytes(t, Options{}, 0)
	if _, err := check(good); err != nil {
		t.Fatal(err)
	}
	put32 := func(off int, v uint32) func([]byte) {
		return func(p []byte) { binary.LittleEndian.PutUint32(p[off:], v) }
	}
	put64 := func(off int, v uint64) func([]byte) {
		return func(p []byte) { binary.LittleEndian.PutUint64(p[off:], v) }
	}
	for name, tc := range map[string]struct {
		damage func([]byte)
		text   string
	}{
		"signature":       {put32(0, 0), "signature"},
		"machine":         {put32(0x30, 0x14c), "machine type"},
		"type":            {put32(0xf98, 3), "dump type"},
		"triage":          {put32(0xf98, 4), "triage part"},
		"no runs":         {put32(0x88, 0), "0 runs"},
		"PAGE runs":       {put32(0x88, 0x45474150), "runs"},
		"run too long":    {put64(0xa0, 1<<40), "does not fit"},
		"run wraps":       {put64(0x98, 1<<53), "does not fit"},
		"empty run":       {put64(0xa0, 0), "does not fit"},
		"pages":           {put64(0x90, 5), "header says 5"},
		"space":           {put64(0xfa0, 5), "asks for"},
		"no processors":   {put32(0x34, 0), "0 processors"},
		"page-table base": {put64(0x10, 0x5000000), "debugger block"},
		"block elsewhere": {put64(0x80, uint64(at(pageLists, 0))), "tag"},
		"block encoded":   {put32(inDump(pageKDBG, 0xf10), 7), "tag"},
		"block's size":    {put32(inDump(pageKDBG, 0xf14), 0x100000), "size"},
	} {
		p := bytes.Clone(good)
		tc.damage(p)
		_, err := check(p)
		if !fault.Is(err, fault.VerifyFailed) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := 0; n < len(good)-1; n += 997 {
		if _, err := check(good[:n]); !fault.Is(err, fault.VerifyFailed) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestVerifyRefusesBitmaps(t *testing.T) {
	good := dumpBytes(t, Options{Type: TypeBitmap}, 3)
	if _, err := check(good); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		off  int
		v    uint64
		text string
	}{
		"signature":    {0x2000, 0, "bitmap's signature"},
		"first page":   {0x2020, 0x2001, "do not fit"},
		"first inside": {0x2020, 0x2000, "do not fit"},
		"set":          {0x2028, 7, "are set"},
		"more set":     {0x2028, 1 << 60, "bits"},
		"bits":         {0x2030, 65, "bits"},
		"many bits":    {0x2030, 1 << 40, "bits"},
		"bitmap":       {0x2038, 1, "are set"},
	} {
		p := bytes.Clone(good)
		binary.LittleEndian.PutUint64(p[tc.off:], tc.v)
		if _, err := check(p); !fault.Is(err, fault.VerifyFailed) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestVerifyReportsProblems(t *testing.T) {
	good := dumpBytes(t, Options{}, 1)
	for name, tc := range map[string]struct {
		off  int
		v    uint64
		text string
	}{
		"module list":    {0x20, 1, "header's module list"},
		"process list":   {0x28, 1, "header's process list"},
		"module cycle":   {inDump(pageLists, 0xa00), uint64(at(pageLists, 0xa00)), "modules: the module list ends early, after 1 modules: entry"},
		"module lost":    {inDump(pageLists, 0xa00), 0x1234567890, "modules: the module list ends early, after 1 modules: entry"},
		"process back":   {inDump(pageLists, 0xb08), 0, "processes: entry"},
		"context's fill": {0x348 + 0x30, 0x4547415045474150, "header's context has the flags"},
		"context's arch": {0x348 + 0x30, 0x1f8000010007, "header's context has the flags"},
		"two MxCsr":      {0x348 + 0x118, 0x1fa0, "two values of MxCsr"},
		"order of runs":  {0x98 + 16, 0x100, "not behind"},
	} {
		p := bytes.Clone(good)
		binary.LittleEndian.PutUint64(p[tc.off:], tc.v)
		r, err := check(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := fmt.Sprintf("%q; modules: %v; processes: %v", r.Problems, r.ModulesErr, r.ProcessesErr)
		if !strings.Contains(got, tc.text) {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestDifferences(t *testing.T) {
	g := newGuest(2, true)
	k := g.kernel(t, nil)
	im := build(t, k, Options{})
	good := bytesOf(t, im, g.file)
	for name, tc := range map[string]struct {
		off  int
		v    uint64
		text string
	}{
		"kernel base": {inDump(pageKDBG, 0xf18), uint64(at(pageLists, 0)), "kernel base"},
		"no image":    {inDump(pageKernel, 0), 0, "no image at the kernel base"},
		"block":       {inDump(pageKDBG, 0xf60), 1, "debugger block"},
		"module base": {inDump(pageLists, 0xa30), 1, "module 0"},
		"no modules":  {inDump(pageLists, 0x200), uint64(at(pageLists, 0x200)), "0 of 1 modules"},
		"no process":  {inDump(pageLists, 0x300), uint64(at(pageLists, 0x300)), "0 of 1 processes"},
		"rip":         {inDump(pageContext, 0xd00+0xf8), 1, "context says"},
		"header":      {0x348 + 0xf8, 1, "the header's context says rip 0x1"},
		"other place": {inDump(pagePRCB+perCPU, 0x180+contextAt), uint64(at(20, 0)), "looked for"},
		"no block":    {inDump(pageLists, 0x508), 0, "cannot be read"},
	} {
		p := bytes.Clone(good)
		binary.LittleEndian.PutUint64(p[tc.off:], tc.v)
		r, err := check(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.Join(r.Differences(k, im), "; "); !strings.Contains(got, tc.text) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestVerifyStops(t *testing.T) {
	good := dumpBytes(t, Options{}, 0)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, bytes.NewReader(good), int64(len(good))); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// FuzzVerify changes a dump anywhere: Verify gives a report or an error, never
// more than the dump can hold.
func FuzzVerify(f *testing.F) {
	full, bitmap := dumpBytes(f, Options{}, 0), dumpBytes(f, Options{Type: TypeBitmap}, 3)
	f.Add(false, uint32(0x88), []byte{1}, uint32(0))
	f.Add(false, uint32(0x98), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint32(0))
	f.Add(false, uint32(inDump(pageLists, 0xa00)), []byte{0, 1, 2}, uint32(0))
	f.Add(false, uint32(inDump(3, 0)), []byte{0x87}, uint32(100))
	f.Add(false, uint32(inDump(pageKDBG, 0xf14)), []byte{0x60, 3}, uint32(0))
	f.Add(false, uint32(inDump(pageLists, 0x500)), []byte{0, 1}, uint32(0))
	f.Add(false, uint32(inDump(pagePRCB, 0x180+contextAt)), []byte{0xf0, 0xff}, uint32(0))
	f.Add(true, uint32(0x2020), []byte{0, 0, 1}, uint32(0))
	f.Add(true, uint32(0x2030), []byte{0, 0xff}, uint32(4096))
	f.Add(true, uint32(0x2038), []byte{0xff, 0x55, 0xaa}, uint32(5000))
	f.Fuzz(func(t *testing.T, second bool, off uint32, with []byte, cut uint32) {
		p := bytes.Clone(full)
		if second {
			p = bytes.Clone(bitmap)
		}
		copy(p[int(off)%len(p):], with)
		p = p[:len(p)-int(cut)%len(p)]
		if cv, err := KernelPDB(bytes.NewReader(p), int64(len(p))); (err == nil) != (cv.Name != "") || err != nil && !fault.Is(err, fault.NoCodeView) {
			t.Fatalf("the kernel's PDB: %q, %v", cv.Name, err)
		}
		r, err := check(p)
		if err != nil {
			if r != nil || !fault.Is(err, fault.VerifyFailed) {
				t.Fatalf("%v with %v", r, err)
			}
			return
		}
		if r.Pages*mem.PageSize > uint64(len(p)) || len(r.Modules) > 4096 || len(r.Contexts) > maxProcessors {
			t.Fatalf("%d pages, %d modules, %d contexts in %d bytes", r.Pages, len(r.Modules), len(r.Contexts), len(p))
		}
	})
}
