package windows

import "testing"

func TestSystemTime(t *testing.T) {
	for _, c := range []struct {
		low, high1, high2 uint32
		want              uint64
	}{
		{5, 7, 7, 7<<32 | 5},
		{5, 7, 8, 8<<32 | 5},                   // low has wrapped already
		{0xfffffff0, 7, 8, 7<<32 | 0xfffffff0}, // low is about to
		{5, 8, 7, 0}, {5, 7, 9, 0},             // never stored so
	} {
		p := append(words(uint64(c.high1)<<32|uint64(c.low)), words(uint64(c.high2))...)
		if got, ok := systemTime(p, 0); got != c.want || ok != (c.want != 0) {
			t.Errorf("%+v: %#x", c, got)
		}
	}
}
