package paging_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// TestReach: the pages and tables of upper halves, of two spaces that share some;
// not what the lower half has, nor what the root's entry for itself would show; a
// table that is not there leads nowhere.
func TestReach(t *testing.T) {
	m := memory{}
	put := func(table mem.PA, index int, entry uint64) {
		binary.LittleEndian.PutUint64(m.page(table)[8*index:], entry)
	}
	put(0x1000, 3, 0x9003)     // a lower half's table
	put(0x9000, 0, 0xa003)     //
	put(0x1000, 0x1ed, 0x1003) // the root itself
	put(0x1000, 0x1f0, 0x2003) // PDPT
	put(0x2000, 0, 0x3003)     // PD
	put(0x2000, 1, 0xc0000083) // a page of 1 GiB
	put(0x3000, 5, 0x4003)     // PT
	put(0x3000, 6, 0x200083)   // a page of 2 MiB
	put(0x3000, 8, 0xff000003) // not in the core
	put(0x4000, 0, 0x7003)     //
	put(0x4000, 511, 0x8003)   //
	put(0x5000, 0x1f0, 0x2003) // another root, the same tables
	put(0x5000, 0x1ff, 0x6003) //
	put(0x6000, 511, 0x40000083)
	runs := []mem.Run{{Start: 0x1000, Pages: 10}}
	got := map[mem.PA]uint64{}
	walked := 0
	r := paging.NewReach(runs, func(pa mem.PA, bytes uint64) { got[pa] = bytes; walked++ })
	for _, root := range []uint64{0x1000, 0x5000} {
		if err := r.Upper(context.Background(), paging.New(m, root, paging.X64)); err != nil {
			t.Fatal(err)
		}
	}
	want := map[mem.PA]uint64{0x1000: 4096, 0x2000: 4096, 0x3000: 4096, 0x4000: 4096, 0x7000: 4096, 0x8000: 4096,
		0xc0000000: 1 << 30, 0x200000: 2 << 20, 0x5000: 4096, 0x6000: 4096, 0x40000000: 1 << 30}
	for pa, n := range want {
		if got[pa] != n {
			t.Errorf("%v: %#x, want %#x", pa, got[pa], n)
		}
	}
	for _, pa := range []mem.PA{0x9000, 0xa000, 0xff000000} {
		if _, ok := got[pa]; ok {
			t.Errorf("%v is reached", pa)
		}
	}
	// Tables that both have are walked once.
	if walked != len(want) {
		t.Errorf("%d visits for %d pages", walked, len(want))
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	// A walk looks at the context now and then: here there are many roots.
	var err error
	for i := uint64(0); i < 200 && err == nil; i++ {
		m.page(mem.PA(0x100000 + i*mem.PageSize))
		err = r.Upper(ctx, paging.New(m, 0x100000+i*mem.PageSize, paging.X64))
	}
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
