package linux

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/linux/linuxtest"
)

// TestLargeImage: what lies more than 256 MiB into an image is found.
func TestLargeImage(t *testing.T) {
	for _, words := range []linuxtest.Words{linuxtest.FromBase, linuxtest.FromSelf} {
		g := smallGuest(linuxtest.Config{Release: "7.2.0", Gap: 300 << 20, Table: linuxtest.OrderLast, Words: words, DataSymbols: true})
		k, err := Locate(context.Background(), g.Machine(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		tasks, _, err := k.Tasks()
		if k.SymbolsFrom != "scan" || err != nil || len(tasks) != 3 {
			t.Errorf("words %d: symbols from %q, tasks %+v, %v", words, k.SymbolsFrom, tasks, err)
		}
	}
}

// TestLargeNames: names of more than 8 MiB are found by searching, and by keys.
func TestLargeNames(t *testing.T) {
	for _, keys := range []bool{false, true} {
		for _, order := range []linuxtest.Order{linuxtest.OrderFirst, linuxtest.OrderLast} {
			g := linuxtest.New(linuxtest.Config{Release: "7.2.0", ReadOnly: 24 << 20, Table: order, Keys: keys, Note: true, DataSymbols: true})
			const count = 100_000
			for i := range count {
				g.Symbol(fmt.Sprintf("a_long_name_%06d_%s", i, strings.Repeat("x", 80)), 't', 0xffffffff81000100+uint64(i)*4)
			}
			g.CPU(nil)
			k, err := Locate(context.Background(), g.Machine(), Options{})
			if err != nil {
				t.Fatal(err)
			}
			from := "scan"
			if keys {
				from = "keys"
			}
			if k.SymbolsFrom != from || k.Symbols.Len() < count {
				t.Errorf("order %d, keys %v: %d symbols from %q", order, keys, k.Symbols.Len(), k.SymbolsFrom)
			}
		}
	}
}

// TestInfoBytes: a log whose struct printk_info is larger, as with
// PRINTK_EXECUTION_CTX, is read whether vmcoreinfo tells its size or not.
func TestInfoBytes(t *testing.T) {
	for _, c := range []linuxtest.Config{{NoInfo: true}, {}} {
		c.Release, c.DataSymbols, c.InfoBytes = "7.2.0", true, linuxtest.InfoBytesContext
		g := linuxtest.New(c)
		if !c.NoInfo {
			g.Key("SIZE(printk_info)=%d", linuxtest.InfoBytesContext)
		}
		var want []string
		var records []linuxtest.Record
		for i := range 20 {
			want = append(want, fmt.Sprintf("line %d", i))
			records = append(records, linuxtest.Record{Seq: uint64(100 + i), Time: uint64(i) * 1e9, Caller: 7, Text: want[i]})
		}
		g.Log(records)
		g.CPU(nil)
		k, err := Locate(context.Background(), g.Machine(), Options{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		err = k.Log(context.Background(), func(r Record) bool {
			if r.Seq != 100+r.Time/1e9 || r.Caller != 7 {
				t.Errorf("%+v", r)
			}
			got = append(got, r.Text)
			return true
		})
		if err != nil || strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("no vmcoreinfo %v: %q, %v", c.NoInfo, got, err)
		}
	}
}
