package mem

import (
	"bytes"
	"context"
	"errors"
	"math/rand"
	"testing"

	"coredrop/core/source"
)

// inMemory is a source of bytes; with a counter, it also streams and counts.
func inMemory(data []byte, streams *int) source.Source {
	r := bytes.NewReader(data)
	s := source.Source{ReaderAt: r, Size: r.Size(), Name: "core"}
	if streams != nil {
		plain := s
		s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
			*streams++
			return plain.Scan(off, n, buf, visit)
		}
	}
	return s
}

func TestScanPages(t *testing.T) {
	data := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(data)
	extents := []Extent{
		{Start: 0x1000, Bytes: 0x2000, Offset: 0x10},
		{Start: 0x10080, Bytes: 0xf80, Offset: 0x3000}, // a part of a page: left out
		{Start: 0x20800, Bytes: 0x2900, Offset: 0x5000},
		{Start: 0x100000, Bytes: 2<<20 + 0x1000, Offset: 0x9001},
	}
	want := [][2]PA{{0x1000, 0x3000}, {0x21000, 0x23000}, {0x100000, 0x100000 + 2<<20 + 0x1000}}
	streams := 0
	for name, s := range map[string]source.Source{"ReadAt": inMemory(data, nil), "Stream": inMemory(data, &streams)} {
		file, err := NewFile(s, extents, 0)
		if err != nil {
			t.Fatal(err)
		}
		overlay := NewOverlay(file)
		if err := overlay.Write(0x1ffe, []byte("over")); err != nil {
			t.Fatal(err)
		}
		for _, m := range []Physical{file, overlay} {
			var got [][2]PA
			var last int64
			err := ScanPages(context.Background(), m, func(pa PA, p []byte, done, total int64) error {
				if len(p) == 0 || len(p)%PageSize != 0 || len(p) > ScanChunk || pa%PageSize != 0 || done < last || total != 0x2000+0x2000+2<<20+0x1000 {
					t.Fatalf("%s: part %v+%#x, %d of %d", name, pa, len(p), done, total)
				}
				last = done
				same := make([]byte, len(p))
				if err := m.ReadAt(same, pa); err != nil || !bytes.Equal(same, p) {
					t.Fatalf("%s: bytes at %v differ (%v)", name, pa, err)
				}
				if n := len(got); n > 0 && got[n-1][1] == pa {
					got[n-1][1] = pa + PA(len(p))
				} else {
					got = append(got, [2]PA{pa, pa + PA(len(p))})
				}
				return nil
			})
			if err != nil || len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
				t.Errorf("%s: got %v (%v), want %v", name, got, err, want)
			}
		}
	}
	if streams != 2*3 {
		t.Errorf("the source's stream was used %d times, want once for each extent and memory", streams)
	}
}

func TestScanPagesEnds(t *testing.T) {
	data := make([]byte, 4<<20)
	file, err := NewFile(inMemory(data, nil), []Extent{{Bytes: 4 << 20}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	calls := 0
	if err := ScanPages(context.Background(), file, func(PA, []byte, int64, int64) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	calls = 0
	err = ScanPages(ctx, file, func(PA, []byte, int64, int64) error { calls++; cancel(); return nil })
	if !errors.Is(err, context.Canceled) || calls != 1 {
		t.Errorf("%d calls after cancelling, %v", calls, err)
	}
	if err := file.Scan(context.Background(), Extent{Start: 0, Bytes: 5 << 20}, make([]byte, PageSize), nil); !errors.Is(err, ErrHole) {
		t.Errorf("a range beyond the extent: %v", err)
	}
}
