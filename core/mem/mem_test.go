package mem

import (
	"bytes"
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
		{"whole pages that touch", []Extent{{0x1000, 0x2000, 0}, {0x3000, 0x1000, 0x9000}}, []Run{{0x1000, 3}}, nil},
		{"tpm-crb", []Extent{{0xfed40080, 0xf80, 0}}, []Run{{0xfed40000, 1}}, []PA{0xfed40000}},
		{"two halves of one page", []Extent{{0x1000, 0x800, 0}, {0x1800, 0x800, 0x5000}}, []Run{{0x1000, 1}}, nil},
		{"a gap within one page", []Extent{{0x1000, 0x800, 0}, {0x1900, 0x700, 0x5000}}, []Run{{0x1000, 1}}, []PA{0x1000}},
		{"ends inside", []Extent{{0x1000, 0x1001, 0}, {0x8000, 0x1000, 0x2000}}, []Run{{0x1000, 2}, {0x8000, 1}}, []PA{0x2000}},
		{"both ends inside, last", []Extent{{0x1000, 0x1000, 0}, {0x2001, 5, 0x2000}}, []Run{{0x1000, 2}}, []PA{0x2000}},
		{"many within one page", []Extent{{0x1000, 8, 0}, {0x1010, 8, 50}, {0x1020, 8, 90}}, []Run{{0x1000, 1}}, []PA{0x1000}},
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
	for _, e := range []Extent{{0, 11, 0}, {0, 1, 10}, {0, 1, -1}, {0, ^uint64(0), 5}} {
		if _, err := NewFile(inMemory(make([]byte, 10), nil), []Extent{e}, 0); err == nil {
			t.Errorf("%v accepted", e)
		}
	}
	f, err := NewFile(source.Source{ReaderAt: bytes.NewReader(make([]byte, 10)), Size: 20}, []Extent{{0, 20, 0}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(make([]byte, 4), 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatal(err)
	}
}

func TestReadPageFillsWithZero(t *testing.T) {
	data := bytes.Repeat([]byte{0xaa}, 0x3000)
	f, _ := NewFile(inMemory(data, nil), []Extent{{0x1080, 0x10, 0}, {0x1100, 0x10, 0x100}, {0x3000, 0x1000, 0x1000}}, 0)
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
	f, _ := NewFile(inMemory(data, nil), []Extent{{0x1000, 0x3000, 0}}, 0)
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
