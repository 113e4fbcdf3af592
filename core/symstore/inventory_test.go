package symstore

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/hack-pad/hackpadfs/mem"
)

// What was put is listed with its size, and gone when it was removed: alone.
func TestInventory(t *testing.T) {
	for name, options := range map[string][]Option{"in one piece": nil, "in blocks": {Blocks(minBlock)}} {
		t.Run(name, func(t *testing.T) {
			files, err := mem.NewFS()
			if err != nil {
				t.Fatal(err)
			}
			ctx, store := context.Background(), NewFS(files, options...)
			inventory := store.(Inventory)
			want := map[string]int{"ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb": 10_000, "ntkrnlmp.pdb/3F00000000000000000000000000000A1/ntkrnlmp.pdb": 1, "hal.pdb/3F00000000000000000000000000000A2/hal.pdb": 4096}
			if list, err := inventory.List(ctx); err != nil || len(list) != 0 {
				t.Fatalf("an empty store lists %v, %v", list, err)
			}
			keys := map[string]Key{}
			for text, size := range want {
				k, err := ParseKey(text)
				if err != nil {
					t.Fatal(err)
				}
				keys[text] = k
				// Twice: the second time there is an older generation.
				for range 2 {
					if err := store.Put(ctx, k, strings.NewReader(strings.Repeat("x", size))); err != nil {
						t.Fatal(err)
					}
				}
			}
			listed := func() map[string]int {
				list, err := inventory.List(ctx)
				if err != nil {
					t.Fatal(err)
				}
				got := map[string]int{}
				for _, e := range list {
					got[e.Key.String()] = int(e.Bytes)
				}
				return got
			}
			check := func() {
				t.Helper()
				got := listed()
				if len(got) != len(want) {
					t.Errorf("it lists %v, not %v", got, want)
				}
				for text, size := range want {
					if got[text] != size {
						t.Errorf("%s has %d bytes, not %d", text, got[text], size)
					}
				}
			}
			check()
			for text, k := range keys {
				for range 2 { // the second time it is not there
					if err := inventory.Remove(ctx, k); err != nil {
						t.Fatal(err)
					}
				}
				delete(want, text)
				check()
				if _, err := store.Get(ctx, k); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s is still there: %v", text, err)
				}
			}
			left, err := fs.ReadDir(files, ".")
			if err != nil || len(left) != 0 {
				t.Errorf("%v is left, %v", left, err)
			}
			// A name that was removed can be put again.
			for text, k := range keys {
				if err := store.Put(ctx, k, strings.NewReader("again")); err != nil {
					t.Fatal(err)
				}
				want[text] = 5
			}
			check()
		})
	}
}
