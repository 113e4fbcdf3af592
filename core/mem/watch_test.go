//go:build kcsan && js

package mem

import (
	"bytes"
	"runtime"
	"sync"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/core/kcsan/watch"
)

// TestFileShared shares a File between goroutines, which it forbids without a
// lock. On js/wasm nothing else would notice.
func TestFileShared(t *testing.T) {
	const blocks = 4
	data := make([]byte, blocks*BlockSize)
	for _, locked := range []bool{true, false} {
		var printed []string
		watch.Configure(watch.Options{Skip: 3, Yields: 4, Print: func(text string) { printed = append(printed, text) }})
		f, err := NewFile(bytes.NewReader(data), int64(len(data)), []Extent{{Bytes: uint64(len(data))}}, 2*BlockSize)
		if err != nil {
			t.Fatal(err)
		}
		var lock sync.Mutex
		var wg sync.WaitGroup
		for g := range 2 {
			wg.Go(func() {
				p := make([]byte, 8)
				for i := range 300 {
					if locked {
						lock.Lock()
					}
					if err := f.ReadAt(p, PA((i+g)%blocks*BlockSize)); err != nil {
						t.Error(err)
					}
					if locked {
						lock.Unlock()
					}
					runtime.Gosched()
				}
			})
		}
		wg.Wait()
		watch.Configure(watch.Options{})
		if locked {
			if len(printed) != 0 {
				t.Errorf("locked, but:\n%s", printed[0])
			}
			continue
		}
		if len(printed) == 0 {
			t.Fatal("the race was not found")
		}
		r, err := kcsan.Parse(printed[0])
		if err != nil {
			t.Fatalf("%v:\n%s", err, printed[0])
		}
		const block = "coredrop/core/mem.(*File).block"
		if want := "data-race in " + block + " / " + block; r.Title() != want {
			t.Errorf("title %q, want %q", r.Title(), want)
		}
	}
}
