package watch

import "testing"

// A counter is what the benchmark counts in; on the heap, as what is watched is.
type counter struct{ n, sum int64 }

//go:noinline
func (c *counter) plain(i int64) {
	c.n++
	c.sum += i
}

//go:noinline
func (c *counter) watched(i int64) {
	ReadWrite(&c.n)
	c.n++
	AssertNoAccesses(&c.sum)
	ReadWrite(&c.sum)
	c.sum += i
}

// BenchmarkCost compares a function without and with watched accesses. Without
// the tag kcsan both are the same instructions.
func BenchmarkCost(b *testing.B) {
	c := new(counter)
	b.Run("plain", func(b *testing.B) {
		for i := range b.N {
			c.plain(int64(i))
		}
	})
	b.Run("watched", func(b *testing.B) {
		for i := range b.N {
			c.watched(int64(i))
		}
	})
}
