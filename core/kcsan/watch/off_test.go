//go:build !kcsan

package watch

import "testing"

// TestOff shows that without the tag nothing looks at the pointers.
func TestOff(t *testing.T) {
	if Enabled {
		t.Error("enabled without the tag")
	}
	var p *int64
	n := testing.AllocsPerRun(100, func() {
		Read(p)
		Write(p)
		ReadWrite(p)
		AssertNoWrites(p)
		AssertNoAccesses(p)
		ScopedAssertNoWrites(p).End()
		ScopedAssertNoAccesses(p).End()
	})
	if n != 0 || Reports() != 0 {
		t.Errorf("%v allocations, %d reports", n, Reports())
	}
}
