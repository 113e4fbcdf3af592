package dmp

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
)

// mixed is a guest's memory among that of a large machine: most of it lies in the
// file as it is, some is packed, some is zero. Reading what is verbatim of the
// large rest fails the test, for nothing needs it.
type mixed struct {
	mem.Physical // the guest's
	t            *testing.T
	extents      []mem.Extent
}

func (m *mixed) Extents() []mem.Extent { return m.extents }

func (m *mixed) Prefetch() *mem.Fetch { return nil }

func (m *mixed) ReadAt(p []byte, pa mem.PA) error {
	i, ok := mem.Find(m.extents, pa)
	if !ok {
		return &mem.HoleError{PA: pa}
	}
	switch e := m.extents[i]; {
	case e.Start == guestPA:
		return m.Physical.ReadAt(p, pa)
	case e.Origin == mem.Verbatim:
		m.t.Errorf("memory at %v was read, which lies in the file", pa)
		clear(p)
	case e.Origin == mem.Zero:
		clear(p)
	default:
		for i := range p {
			p[i] = 0xdd
		}
	}
	return nil
}

func (m *mixed) Scan(ctx context.Context, e mem.Extent, buf []byte, visit func(mem.PA, []byte) error) error {
	return mem.ScanByReads(ctx, m, e, buf, visit)
}

// counts are the parts and bytes by kind.
func counts(im *Image) (n map[Kind]int, size map[Kind]int64) {
	n, size = map[Kind]int{}, map[Kind]int64{}
	for _, p := range im.Parts() {
		n[p.Kind]++
		size[p.Kind] += p.Bytes
	}
	return n, size
}

// TestOneDecodedPage: a dump of 64 GB with one page that is not in the file as it
// is has one part of one page that must be computed; the rest is what it would be
// without. That page costs what a page costs, not what the dump does.
func TestOneDecodedPage(t *testing.T) {
	const far, large = mem.PA(1 << 32), 64 << 30
	describe := func(odd ...mem.Extent) *Image {
		g := newGuest(1, true)
		k := g.kernel(t, nil)
		m := &mixed{Physical: k.Machine.Mem, t: t, extents: k.Machine.Mem.Extents()}
		at, off := far, int64(1<<20)
		for _, e := range append(odd, mem.Extent{Start: far + large}) {
			if e.Start > at {
				m.extents = append(m.extents, mem.Extent{Start: at, Bytes: uint64(e.Start - at), Offset: off})
				off += int64(e.Start - at)
			}
			if e.Bytes > 0 {
				m.extents = append(m.extents, e)
				at = e.End()
			}
		}
		k.Machine.Mem = m
		return build(t, k, Options{})
	}
	plain, plainBytes := counts(describe())
	if plain[Computed] != 0 || plain[Zero] != 0 {
		t.Fatalf("parts of a verbatim core: %v", plain)
	}
	im := describe(mem.Extent{Start: far + 4<<30, Bytes: mem.PageSize, Origin: mem.Decoded})
	n, size := counts(im)
	if n[Computed] != 1 || size[Computed] != mem.PageSize || n[Literal] != plain[Literal] || n[Copy] != plain[Copy]+1 {
		t.Errorf("parts %v of %v bytes; of a verbatim core %v", n, size, plain)
	}
	if size[Copy] != plainBytes[Copy]-mem.PageSize {
		t.Errorf("%d bytes are ranges of the file, %d of a verbatim core's dump", size[Copy], plainBytes[Copy])
	}

	im = describe(mem.Extent{Start: far + 1<<20, Bytes: 30 << 30, Origin: mem.Zero}, mem.Extent{Start: far + 40<<30, Bytes: 2 * mem.PageSize, Origin: mem.Decoded})
	n, size = counts(im)
	if n[Zero] != 1 || size[Zero] != 30<<30 || n[Computed] != 1 || size[Computed] != 2*mem.PageSize {
		t.Errorf("parts %v of %v bytes", n, size)
	}
	// What is zero, and where it ends.
	var off int64
	for _, p := range im.Parts() {
		if p.Kind == Zero || p.Kind == Computed {
			page := [][]byte{}
			err := im.Scan(context.Background(), off+p.Bytes-4096, 4096, make([]byte, 1000), func(p []byte) error {
				page = append(page, bytes.Clone(p))
				return nil
			})
			want := map[Kind]byte{Zero: 0, Computed: 0xdd}[p.Kind]
			if got := bytes.Join(page, nil); err != nil || len(got) != 4096 || !bytes.Equal(got, bytes.Repeat([]byte{want}, 4096)) {
				t.Errorf("kind %d: %d bytes, %v", p.Kind, len(got), err)
			}
		}
		off += p.Bytes
	}
}

func TestScanEnds(t *testing.T) {
	g := newGuest(1, true)
	im := build(t, g.kernel(t, nil), Options{})
	stop := errors.New("stop")
	buf := make([]byte, 4096)
	for _, off := range []int64{0, 0x2000, im.Size() - 4096} {
		calls := 0
		if err := im.Scan(context.Background(), off, 4096, buf, func([]byte) error { calls++; return stop }); err != stop || calls != 1 {
			t.Errorf("at %#x: %v after %d calls", off, err, calls)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := im.Scan(ctx, 0, im.Size(), buf, func([]byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for _, r := range [][2]int64{{-1, 5}, {0, im.Size() + 1}, {im.Size(), 1}, {5, -1}} {
		if err := im.Scan(context.Background(), r[0], r[1], buf, func([]byte) error { return nil }); err == nil {
			t.Errorf("%v: no error", r)
		}
	}
	k := g.kernel(t, nil)
	im = build(t, k, Options{})
	im.memory = &broken{im.memory}
	if err := im.Scan(context.Background(), 0, im.Size(), buf, func([]byte) error { return nil }); !fault.Is(err, fault.InputUnreadable) {
		t.Errorf("%v", err)
	}
}

// broken fails every pass.
type broken struct{ mem.Physical }

func (b *broken) Scan(context.Context, mem.Extent, []byte, func(mem.PA, []byte) error) error {
	return errors.New("disk on fire")
}
