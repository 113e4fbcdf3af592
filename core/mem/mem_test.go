package mem

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"testing"

	"coredrop/core/source"
)

// slow is Normalize done byte by byte: the first extent listed wins.
func slow(in []Extent, limit PA) []int64 {
	at := make([]int64, limit)
	for i := range at {
		at[i] = -1
	}
	for i := len(in) - 1; i >= 0; i-- {
		for b := uint64(0); b < in[i].Bytes; b++ {
			at[in[i].Start+PA(b)] = in[i].Offset + int64(b)
		}
	}
	return at
}

func TestNormalizeEqualsByteByByte(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for round := 0; round < 2000; round++ {
		in := make([]Extent, r.Intn(9))
		for i := range in {
			in[i] = Extent{Start: PA(r.Intn(60)), Bytes: uint64(r.Intn(30)), Offset: int64(r.Intn(200))}
		}
		want := slow(in, 100)
		got := make([]int64, 100)
		for i := range got {
			got[i] = -1
		}
		out := Normalize(in)
		for i, e := range out {
			if i > 0 && (out[i-1].End() > e.Start || out[i-1].continues(e)) {
				t.Fatalf("%v: not disjoint or not joined: %v", in, out)
			}
			for b := uint64(0); b < e.Bytes; b++ {
				got[e.Start+PA(b)] = e.Offset + int64(b)
			}
		}
		for i := range want {
			if want[i] != got[i] {
				t.Fatalf("%v: at %d want %d got %d (%v)", in, i, want[i], got[i], out)
			}
		}
	}
}

func TestNormalizeDropsWhatLeavesTheAddressSpace(t *testing.T) {
	out := Normalize([]Extent{{Start: ^PA(0) - 10, Bytes: 100, Offset: 0}, {Start: 5, Bytes: 1, Offset: 7}})
	if len(out) != 1 || out[0].Start != 5 {
		t.Fatal(out)
	}
}

func TestNormalizeAMillion(t *testing.T) {
	in := make([]Extent, 1_000_000)
	for i := range in { // every page twice, in falling order
		in[i] = Extent{Start: PA((len(in) - i) / 2 * PageSize), Bytes: PageSize, Offset: int64(i) * PageSize}
	}
	if out := Normalize(in); len(out) < 400_000 {
		t.Fatal(len(out))
	}
}

func TestRunsRoundOutwardsAndNamePartialPages(t *testing.T) {
	cases := []struct {
		name    string
		in      []Extent
		runs    []Run
		partial []PA
	}{
		{"whole pages that touch", []Extent{{Start: 0x1000, Bytes: 0x2000, Offset: 0}, {Start: 0x3000, Bytes: 0x1000, Offset: 0x9000}}, []Run{{0x1000, 3}}, nil},
		{"tpm-crb", []Extent{{Start: 0xfed40080, Bytes: 0xf80, Offset: 0}}, []Run{{0xfed40000, 1}}, []PA{0xfed40000}},
		{"two halves of one page", []Extent{{Start: 0x1000, Bytes: 0x800, Offset: 0}, {Start: 0x1800, Bytes: 0x800, Offset: 0x5000}}, []Run{{0x1000, 1}}, nil},
		{"a gap within one page", []Extent{{Start: 0x1000, Bytes: 0x800, Offset: 0}, {Start: 0x1900, Bytes: 0x700, Offset: 0x5000}}, []Run{{0x1000, 1}}, []PA{0x1000}},
		{"ends inside", []Extent{{Start: 0x1000, Bytes: 0x1001, Offset: 0}, {Start: 0x8000, Bytes: 0x1000, Offset: 0x2000}}, []Run{{0x1000, 2}, {0x8000, 1}}, []PA{0x2000}},
		{"both ends inside, last", []Extent{{Start: 0x1000, Bytes: 0x1000, Offset: 0}, {Start: 0x2001, Bytes: 5, Offset: 0x2000}}, []Run{{0x1000, 2}}, []PA{0x2000}},
		{"many within one page", []Extent{{Start: 0x1000, Bytes: 8, Offset: 0}, {Start: 0x1010, Bytes: 8, Offset: 50}, {Start: 0x1020, Bytes: 8, Offset: 90}}, []Run{{0x1000, 1}}, []PA{0x1000}},
	}
	for _, c := range cases {
		runs, partial := Runs(c.in)
		if !equal(runs, c.runs) || !equal(partial, c.partial) {
			t.Errorf("%s: %v %v", c.name, runs, partial)
		}
	}
}

func equal[T comparable](a, b []T) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// counting counts reads and the largest of them.
type counting struct {
	r       io.ReaderAt
	n, most int
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.n++
	c.most = max(c.most, len(p))
	return c.r.ReadAt(p, off)
}

func TestFileReadsThroughTheCache(t *testing.T) {
	data := make([]byte, 40*BlockSize+77)
	rand.New(rand.NewSource(2)).Read(data)
	src := &counting{r: bytes.NewReader(data)}
	f, err := NewFile(source.Source{ReaderAt: src, Size: int64(len(data))}, []Extent{
		{Start: 0x10000, Bytes: 10 * BlockSize, Offset: 0x123},
		{Start: 0x10000 + 10*BlockSize, Bytes: 0x5000, Offset: int64(len(data)) - 0x5000},
	}, 4*BlockSize)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 3*BlockSize)
	if err := f.ReadAt(p, 0x10005); err != nil || !bytes.Equal(p, data[0x128:0x128+len(p)]) {
		t.Fatal(err)
	}
	p = make([]byte, 0x2000) // across the two extents
	if err := f.ReadAt(p, 0x10000+10*BlockSize-0x1000); err != nil {
		t.Fatal(err)
	}
	want := append(append([]byte{}, data[0x123+10*BlockSize-0x1000:0x123+10*BlockSize]...), data[len(data)-0x5000:len(data)-0x4000]...)
	if !bytes.Equal(p, want) {
		t.Fatal("wrong bytes across extents")
	}
	before := src.n
	if err := f.ReadAt(p[:16], 0x10000+10*BlockSize); err != nil || src.n != before {
		t.Fatalf("a cached block was read again (%v)", err)
	}
	if src.most > BlockSize || f.held > 4*BlockSize {
		t.Fatalf("largest read %d, held %d", src.most, f.held)
	}
	var hole *HoleError
	err = f.ReadAt(p, 0x10000+10*BlockSize+0x4000)
	if !errors.Is(err, ErrHole) || !errors.As(err, &hole) || hole.PA != 0x10000+10*BlockSize+0x5000 {
		t.Fatal(err)
	}
}

func TestFileRefusesExtentsOutsideAndShortReads(t *testing.T) {
	for _, e := range []Extent{{Start: 0, Bytes: 11, Offset: 0}, {Start: 0, Bytes: 1, Offset: 10}, {Start: 0, Bytes: 1, Offset: -1}, {Start: 0, Bytes: ^uint64(0), Offset: 5}} {
		if _, err := NewFile(inMemory(make([]byte, 10), nil), []Extent{e}, 0); err == nil {
			t.Errorf("%v accepted", e)
		}
	}
	f, err := NewFile(source.Source{ReaderAt: bytes.NewReader(make([]byte, 10)), Size: 20}, []Extent{{Bytes: 20}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(make([]byte, 4), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
}

func TestReadPageFillsWithZero(t *testing.T) {
	data := bytes.Repeat([]byte{0xaa}, 0x3000)
	f, _ := NewFile(inMemory(data, nil), []Extent{{Start: 0x1080, Bytes: 0x10, Offset: 0}, {Start: 0x1100, Bytes: 0x10, Offset: 0x100}, {Start: 0x3000, Bytes: 0x1000, Offset: 0x1000}}, 0)
	page, whole, err := ReadPage(f, 0x1fff)
	if err != nil || whole || page[0x7f] != 0 || page[0x80] != 0xaa || page[0x90] != 0 || page[0x10f] != 0xaa || page[0x110] != 0 {
		t.Fatal(whole, err)
	}
	if _, whole, err = ReadPage(f, 0x3001); err != nil || !whole {
		t.Fatal(whole, err)
	}
	if _, _, err = ReadPage(f, 0x2000); !errors.Is(err, ErrHole) {
		t.Fatal(err)
	}
}

func TestOverlayWritesAcrossPagesAndLeavesTheFileAlone(t *testing.T) {
	data := make([]byte, 0x3000)
	f, _ := NewFile(inMemory(data, nil), []Extent{{Start: 0x1000, Bytes: 0x3000, Offset: 0}}, 0)
	o := NewOverlay(f)
	if err := o.Write(0x1ffe, []byte{1, 2, 3, 4}); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 6)
	if err := o.ReadAt(p, 0x1ffd); err != nil || !bytes.Equal(p, []byte{0, 1, 2, 3, 4, 0}) {
		t.Fatal(p, err)
	}
	if err := f.ReadAt(p, 0x1ffd); err != nil || !bytes.Equal(p, make([]byte, 6)) {
		t.Fatal("the memory below changed")
	}
	if err := o.Write(0x3ffe, []byte{9, 9, 9, 9}); !errors.Is(err, ErrHole) {
		t.Fatal(err)
	}
	if got := o.Pages(); !equal(got, []PA{0x1000, 0x2000}) {
		t.Fatalf("a failed write left something: %v", got)
	}
}

// TestOrigins: ranges of one origin join where they adjoin, whatever their
// offsets; of two, or of two files, they do not.
func TestOrigins(t *testing.T) {
	got := Normalize([]Extent{
		{Start: 0x3000, Bytes: 0x1000, Origin: Zero}, {Start: 0x1000, Bytes: 0x2000, Offset: 0x10}, {Start: 0x4000, Bytes: 0x1000, Offset: 5, Origin: Zero},
		{Start: 0x5000, Bytes: 0x1000, Origin: Decoded}, {Start: 0x6000, Bytes: 0x1000, Origin: Decoded},
		{Start: 0x7000, Bytes: 0x1000, Offset: 0x7000}, {Start: 0x8000, Bytes: 0x1000, Offset: 0x8000, File: 1}, {Start: 0x2800, Bytes: 0x1000, Origin: Zero},
	})
	want := []Extent{{Start: 0x1000, Bytes: 0x2000, Offset: 0x10}, {Start: 0x3000, Bytes: 0x2000, Origin: Zero}, {Start: 0x5000, Bytes: 0x2000, Origin: Decoded},
		{Start: 0x7000, Bytes: 0x1000, Offset: 0x7000}, {Start: 0x8000, Bytes: 0x1000, Offset: 0x8000, File: 1}}
	if !equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestFileWithZeros(t *testing.T) {
	data := bytes.Repeat([]byte{7}, 0x3000)
	s := source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data))}
	f, err := NewFile(s, []Extent{{Start: 0x1000, Bytes: 0x2000, Offset: 0x1000}, {Start: 0x3000, Bytes: 0x200000, Origin: Zero}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Repeat([]byte{7}, 0x2000), make([]byte, 0x200000)...)
	got := bytes.Repeat([]byte{9}, len(want))
	if err := f.ReadAt(got, 0x1000); err != nil || !bytes.Equal(got, want) {
		t.Errorf("read: %v", err)
	}
	got = got[:0]
	if err := ScanPages(context.Background(), f, func(_ PA, p []byte, _, _ int64) error { got = append(got, p...); return nil }); err != nil || !bytes.Equal(got, want) {
		t.Errorf("scanned %d bytes: %v", len(got), err)
	}
	for _, e := range []Extent{{Bytes: 1, Origin: Decoded}, {Bytes: 1, File: 1}} {
		if _, err := NewFile(s, []Extent{e}, 0); err == nil {
			t.Errorf("%+v is taken for a part of the file", e)
		}
	}
}
