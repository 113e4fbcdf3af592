package dmp

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// Upstream trims loads to whole pages; what is left over is lost there, and kept
// here with zeros.
func TestPartialPages(t *testing.T) {
	g := newGuest(1, true)
	g.fragments(0, 0)
	tail := int64(len(g.file))
	g.file = append(g.file, bytes.Repeat([]byte{0xee}, 0xf80)...)
	g.extra = []mem.Extent{{Start: 0xfed40080, Bytes: 0xf80, Offset: tail}}
	k := g.kernel(t, nil)
	im := build(t, k, Options{})
	d := reread(t, bytesOf(t, im, g.file))
	page := make([]byte, 4096)
	if err := d.Physical(page, 0xfed40000); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, append(make([]byte, 0x80), bytes.Repeat([]byte{0xee}, 0xf80)...)) {
		t.Error("the partial page is not zero-filled")
	}
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.PartialPage || !strings.Contains(im.Warnings[0].Text, "0xfed40") {
		t.Errorf("warnings %v", im.Warnings)
	}
	im = build(t, g.kernel(t, nil), Options{Compat: true})
	d = reread(t, bytesOf(t, im, g.file))
	if len(d.Runs) != 1 || d.Runs[0].Count != guestPages {
		t.Errorf("compat: runs %v", d.Runs)
	}
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.PartialPage {
		t.Errorf("compat: warnings %v", im.Warnings)
	}
}

// A page that two loads share is whole, but not for upstream.
func TestPageInTwoLoads(t *testing.T) {
	g := newGuest(1, true)
	cut := uint64(30*mem.PageSize + 0x800)
	blocks := []mem.Extent{{Start: guestPA, Bytes: cut, Offset: 0x333}, {Start: guestPA + mem.PA(cut), Bytes: uint64(len(g.data)) - cut, Offset: 0x333 + int64(cut)}}
	k := g.kernel(t, blocks)
	im := build(t, k, Options{})
	if len(im.Warnings) != 0 || !bytes.Equal(bytesOf(t, im, g.file)[0x2000:], wanted(g, k, false)) {
		t.Errorf("not whole: %v", im.Warnings)
	}
	im = build(t, g.kernel(t, blocks), Options{Compat: true})
	if len(im.Warnings) != 1 || im.Warnings[0].Code != fault.PartialPage || im.Size() != 0x2000+(guestPages-1)*4096 {
		t.Errorf("compat: %d bytes, %v", im.Size(), im.Warnings)
	}
}

// A core of countless fragments of pages must not become as many literal pages.
func TestManyPartialPagesStayOutOfMemory(t *testing.T) {
	g := newGuest(1, true)
	g.fragments(0, 0)
	tail := int64(len(g.file))
	const n = literalPages + 10
	for i := 0; i < n; i++ {
		g.extra = append(g.extra, mem.Extent{Start: mem.PA(0x1000000 + 4096*i + 8), Bytes: 8, Offset: tail + int64(8*i)})
		g.file = append(g.file, bytes.Repeat([]byte{byte(i) | 1}, 8)...)
	}
	im := build(t, g.kernel(t, nil), Options{})
	literal := 0
	for _, p := range im.Parts() {
		literal += len(p.Literal)
	}
	if literal > (literalPages+20)*mem.PageSize {
		t.Errorf("%d literal bytes", literal)
	}
	if len(im.Warnings) != maxNamed+1 {
		t.Errorf("%d warnings", len(im.Warnings))
	}
	data := bytesOf(t, im, g.file)
	last := data[len(data)-4096:]
	if want := byte((n-1)&0xff) | 1; last[8] != want || last[15] != want || last[7] != 0 || last[16] != 0 {
		t.Errorf("the last partial page: % x", last[:24])
	}
}

func TestRunLimits(t *testing.T) {
	for _, fragments := range []int{41, 42, 43, 502} { // and the guest's own run
		runs := fragments + 1
		t.Run(fmt.Sprint(runs), func(t *testing.T) {
			g := newGuest(1, true)
			g.fragments(fragments, 0x10000000)
			k := g.kernel(t, nil)
			im := build(t, k, Options{})
			data := bytesOf(t, im, g.file)
			d := reread(t, data)
			wantType, wantWarnings := uint32(1), 0
			if runs > 42 {
				wantType, wantWarnings = 5, 1
			}
			if d.Type != wantType || len(d.Runs) != runs {
				t.Fatalf("type %d with %d runs", d.Type, len(d.Runs))
			}
			if len(im.Warnings) != wantWarnings || wantWarnings == 1 && im.Warnings[0].Code != fault.BitmapDump {
				t.Errorf("warnings %v", im.Warnings)
			}
			if wantType == 5 && (d.U32(0x88) != 0x45474150 || im.Type != TypeBitmap) {
				t.Errorf("bitmap dump: runs field %#x, type %s", d.U32(0x88), im.Type)
			}
			page := make([]byte, 4096)
			for i := 0; i < fragments; i++ {
				if err := d.Physical(page, uint64(0x10000000+2*i*4096)); err != nil || page[0] != byte(i+1) || page[4095] != byte(i+1) {
					t.Fatalf("fragment %d: %#x, %v", i, page[0], err)
				}
			}
			verified(t, k, im)

			im, err := New(context.Background(), g.kernel(t, nil), Options{Compat: true})
			if runs > 43 {
				if !fault.Is(err, fault.CompatLossy) {
					t.Errorf("compat: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if d := reread(t, bytesOf(t, im, g.file)); len(d.Runs) != runs {
				t.Errorf("compat: %d runs", len(d.Runs))
			}
		})
	}
}

// Above 42 blocks upstream joins those that follow one another.
func TestCompatMergesAbove42(t *testing.T) {
	g := newGuest(1, true)
	var blocks []mem.Extent
	for i := 0; i < guestPages; i++ {
		blocks = append(blocks, mem.Extent{Start: guestPA + mem.PA(i*4096), Bytes: 4096, Offset: int64(0x333 + i*4096)})
	}
	im := build(t, g.kernel(t, blocks), Options{Compat: true})
	if len(im.Runs) != 1 || im.Runs[0].Pages != guestPages {
		t.Errorf("runs %v", im.Runs)
	}
	im = build(t, g.kernel(t, blocks[:42]), Options{Compat: true})
	if len(im.Runs) != 42 {
		t.Errorf("42 blocks became %d runs", len(im.Runs))
	}
}

func TestCompatRefusesWhatUpstreamLoses(t *testing.T) {
	g := newGuest(1, true)
	whole := mem.Extent{Start: guestPA, Bytes: uint64(len(g.data)), Offset: 0x333}
	overlap := g.kernel(t, []mem.Extent{whole, {Start: guestPA + 4096, Bytes: 8192, Offset: 0x333 + 4096}})
	many := g.kernel(t, nil)
	many.Machine.ELF.Headers = 70572
	other := g.kernel(t, nil)
	other.Machine.Format, other.Machine.ELF = "kdump", nil
	for name, k := range map[string]*windows.Kernel{"overlap": overlap, "headers": many, "format": other} {
		if _, err := New(context.Background(), k, Options{Compat: true}); !fault.Is(err, fault.CompatLossy) {
			t.Errorf("%s: %v", name, err)
		}
		verified(t, k, build(t, k, Options{}))
	}
}

func TestNeighboursAreJoined(t *testing.T) {
	g := newGuest(1, true)
	// A second block that follows in the file, not in memory: one range.
	g.fragments(1, 0x200000)
	im := build(t, g.kernel(t, nil), Options{})
	parts := im.Parts()
	last := parts[len(parts)-1]
	if last.Kind != Copy || last.Off+last.Bytes != int64(len(g.file)) || last.Bytes <= mem.PageSize {
		t.Errorf("last part %+v of a file of %#x", last, len(g.file))
	}
	for i := 1; i < len(parts); i++ {
		a, b := parts[i-1], parts[i]
		if a.Kind == Copy && b.Kind == Copy && a.Off+a.Bytes == b.Off {
			t.Errorf("parts %d and %d adjoin", i-1, i)
		}
	}
}
