package mem

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"coredrop/core/source"
	"coredrop/core/source/remotetest"
)

// words is a file of zeros but for some words, by their offset.
type words map[int64]uint64

func (w words) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for at, v := range w {
		if at >= off && at+8 <= off+int64(len(p)) {
			binary.LittleEndian.PutUint64(p[at-off:], v)
		}
	}
	return len(p), nil
}

// far is memory in a far source, at the same place there.
func far(t *testing.T, w words, blocks int) (*File, *remotetest.Remote) {
	t.Helper()
	size := int64(blocks * remotetest.Block)
	s, r := remotetest.Of(source.Source{ReaderAt: w, Size: size, Name: "core"})
	f, err := NewFile(s, []Extent{{Bytes: uint64(size)}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f, r
}

// TestFetch: what is named to the source are the frames' places in the file, as
// many blocks of them as it keeps, and nothing for what is at hand or nowhere.
func TestFetch(t *testing.T) {
	const offset = 0x800 // every 256th frame lies in two blocks
	var named [][]source.Range
	s := inMemory(make([]byte, 64<<20), nil)
	s.Block, s.Ahead, s.Prefetch = 1<<20, 4, func(list []source.Range) { named = append(named, list) }
	f, err := NewFile(s, []Extent{{Bytes: 32 << 20, Offset: offset}, {Start: 32 << 20, Bytes: 1 << 20, Origin: Zero},
		{Start: 0x4000_0800, Bytes: 0x400, Offset: 40 << 20}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.ReadAt(make([]byte, 1), 5<<20); err != nil {
		t.Fatal(err)
	}
	block := func(n, page int) PA { return PA(n<<20 + page*PageSize) }
	at := func(n, page int) source.Range {
		return source.Range{Off: int64(block(n, page)) + offset, Bytes: PageSize}
	}
	for _, c := range []struct {
		name   string
		frames []PA
		n      int
		want   []source.Range
	}{
		{"nothing", nil, 0, nil},
		{"one, by an address inside", []PA{block(1, 3) + 0x123}, 1, []source.Range{at(1, 3)}},
		{"several of a block count once", []PA{block(1, 3), block(1, 4), block(1, 9), block(2, 1), block(3, 1), block(4, 1)}, 6,
			[]source.Range{at(1, 3), at(1, 4), at(1, 9), at(2, 1), at(3, 1), at(4, 1)}},
		{"as many blocks as the source keeps", []PA{block(1, 1), block(2, 1), block(3, 1), block(4, 1), block(6, 1), block(1, 2)}, 4,
			[]source.Range{at(1, 1), at(2, 1), at(3, 1), at(4, 1)}},
		{"full, but for what is there already", []PA{block(1, 1), block(2, 1), block(3, 1), block(4, 1), block(1, 2)}, 5,
			[]source.Range{at(1, 1), at(2, 1), at(3, 1), at(4, 1), at(1, 2)}},
		{"room for one block, not for two", []PA{block(1, 1), block(2, 1), block(3, 1), block(6, 255)}, 3,
			[]source.Range{at(1, 1), at(2, 1), at(3, 1)}},
		{"a frame in two blocks is two", []PA{block(1, 255), block(3, 1), block(4, 1), block(6, 1)}, 3,
			[]source.Range{at(1, 255), at(3, 1), at(4, 1)}},
		{"not in the file", []PA{33 << 20, 0x5000_0000}, 2, nil},
		{"zero, at hand, and one that is neither", []PA{32 << 20, block(5, 1), block(6, 1)}, 3, []source.Range{at(6, 1)}},
		{"a part of a frame", []PA{0x4000_0900}, 1, []source.Range{{Off: 40 << 20, Bytes: 0x400}}},
	} {
		named = nil
		n := f.Prefetch().Frames(c.frames)
		var got []source.Range
		if len(named) > 0 {
			got = named[0]
		}
		if n != c.n || len(named) > 1 || len(c.want) == 0 && len(named) > 0 || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %d frames, %v; want %d, %v", c.name, n, named, c.n, c.want)
		}
	}
	// One frame is fetched however little the source keeps, and by default as much
	// as any such source does.
	for ahead, want := range map[int]int{1: 1, 0: source.DefaultAhead} {
		f.source.Ahead = ahead
		var frames []PA
		for n := range 15 {
			frames = append(frames, block(2*n, 255))
		}
		if n := f.Prefetch().Frames(frames); n != max(want/2, 1) {
			t.Errorf("Ahead %d: %d frames of two blocks each", ahead, n)
		}
	}
}

// TestPrefetchIsHandedOn: whatever lies over a memory, what lies below is asked.
func TestPrefetchIsHandedOn(t *testing.T) {
	far, _ := far(t, nil, 1)
	near, err := NewFile(inMemory(make([]byte, 1<<20), nil), []Extent{{Bytes: 1 << 20}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]Physical{"file": far, "overlay": NewOverlay(far), "two overlays": NewOverlay(NewOverlay(far))} {
		if m.Prefetch() == nil {
			t.Errorf("%s: nothing can be named", name)
		}
	}
	if near.Prefetch() != nil || NewOverlay(near).Prefetch() != nil {
		t.Error("there is something to gain in a file at hand")
	}
	if far.block != pieceSize || near.block != BlockSize {
		t.Errorf("read by %d and %d bytes", far.block, near.block)
	}
}

// chains lays out chains of pages, each of which has the address of the next one in
// its first word, all of them in blocks of their own; a chain ends with 0. next
// follows one.
func chains(count, depth int) (data words, heads []PA) {
	data = words{}
	at := func(chain, step int) PA { return PA((step*count+chain)*remotetest.Block + 0x3000) }
	for c := range count {
		heads = append(heads, at(c, 0))
		for d := range depth - 1 {
			data[int64(at(c, d))] = uint64(at(c, d+1))
		}
	}
	return data, heads
}

func follow(m Physical, pa PA) (steps int, err error) {
	for pa != 0 {
		var p [8]byte
		if err := m.ReadAt(p[:], pa); err != nil {
			return steps, err
		}
		pa, steps = PA(binary.LittleEndian.Uint64(p[:])), steps+1
	}
	return steps, nil
}

// TestAhead: a loop over many chains of reads waits for the steps of one of them,
// as many chains at a time as the source takes; and no more is fetched than is
// read.
func TestAhead(t *testing.T) {
	for _, c := range []struct{ count, depth, rounds int }{
		{1, 5, 5}, {16, 5, 5}, {32, 3, 2 * 3}, {33, 3, 2*3 + 3}, {64, 4, 4 * 4}, {0, 0, 0},
	} {
		data, heads := chains(c.count, c.depth)
		f, r := far(t, data, c.count*c.depth)
		m := NewOverlay(f)
		ahead := NewAhead(m, len(heads), func(m Physical, i int) { _, _ = follow(m, heads[i]) })
		for i, pa := range heads {
			ahead.To(i)
			if n, err := follow(m, pa); n != c.depth || err != nil {
				t.Fatalf("chain %d: %d steps, %v", i, n, err)
			}
		}
		ahead.To(len(heads)) // beyond: nothing happens
		if r.Rounds != c.rounds || r.Requests != c.count*c.depth || r.Dropped != 0 {
			t.Errorf("%d chains of %d: %d rounds, %d requests, %d dropped; want %d rounds", c.count, c.depth, r.Rounds, r.Requests, r.Dropped, c.rounds)
		}
	}
}

// TestAheadKeepsToTheCache: items that read much are fetched for a few at a time, so
// that nothing has to be fetched twice.
func TestAheadKeepsToTheCache(t *testing.T) {
	const items, pages = 40, 20
	f, r := far(t, nil, items*pages)
	read := func(m Physical, i int) {
		for n := range pages {
			_ = m.ReadAt(make([]byte, 8), PA((i*pages+n)*remotetest.Block))
		}
	}
	ahead := NewAhead(f, items, read)
	for i := range items {
		ahead.To(i)
		read(f, i)
	}
	if r.Requests != items*pages || r.Rounds > items*pages/source.DefaultAhead+items {
		t.Errorf("%d requests in %d rounds for %d blocks", r.Requests, r.Rounds, items*pages)
	}
}

// TestAheadOfNothing: what is not in the memory is not there in a dry run either, one
// that never ends is given up, and where nothing is gained nothing is tried.
func TestAheadOfNothing(t *testing.T) {
	f, r := far(t, nil, 4)
	var last error
	NewAhead(f, 1, func(m Physical, _ int) {
		for range 1000 {
			_ = m.ReadAt(make([]byte, 8), 0x1000)
		}
		last = m.ReadAt(make([]byte, 8), 1<<40)
	}).To(0)
	if !errors.Is(last, ErrHole) || r.Rounds != 1 {
		t.Errorf("%v, %d rounds", last, r.Rounds)
	}
	tries := 0
	NewAhead(f, 1, func(m Physical, _ int) { // never the same twice
		tries++
		_ = m.ReadAt(make([]byte, 8), PA(0x1000*tries))
	}).To(0)
	if tries != maxTries {
		t.Errorf("%d tries", tries)
	}
	near, err := NewFile(inMemory(make([]byte, 1<<20), nil), []Extent{{Bytes: 1 << 20}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	NewAhead(near, 1, func(Physical, int) { t.Error("tried") }).To(0)
}

// TestDry: a read is given whole or not at all, and names all of its frames.
func TestDry(t *testing.T) {
	f, _ := far(t, words{0x2000: 2, 0x2ff8: 3 << 56}, 1)
	d := &dry{below: f, fetched: map[PA]bool{0x2000: true}, noted: map[PA]bool{}}
	p := bytes.Repeat([]byte{9}, 0x2002)
	if err := d.ReadAt(p, 0x1fff); !NotYet(err) || !reflect.DeepEqual(d.missed, []PA{0x1000, 0x3000, 0x4000}) || !d.failed || !bytes.Equal(p, bytes.Repeat([]byte{9}, len(p))) {
		t.Errorf("%v, missed %v", err, d.missed)
	}
	d.failed = false
	if err := d.ReadAt(p[:0x1000], 0x2000); err != nil || d.failed || p[0] != 2 || p[0xfff] != 3 {
		t.Error(err)
	}
	if d.Prefetch() != nil || !NotYet(d.Scan(t.Context(), Extent{}, nil, nil)) || len(d.Extents()) != 1 {
		t.Error("a dry run fetches, or streams")
	}
	if NotYet(nil) || NotYet(&HoleError{}) {
		t.Error("NotYet")
	}
}
