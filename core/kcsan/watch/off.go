//go:build !kcsan

package watch

// Enabled tells whether the program was built with the tag kcsan.
const Enabled = false

// A Scope is an assertion that holds until its End.
type Scope struct{}

// Read says that *p is about to be read.
func Read[T any](p *T) {}

// Write says that *p is about to be written.
func Write[T any](p *T) {}

// ReadWrite says that *p is about to be read and written, as by p++.
func ReadWrite[T any](p *T) {}

// AssertNoWrites says that no other goroutine writes *p now.
func AssertNoWrites[T any](p *T) {}

// AssertNoAccesses says that no other goroutine reads or writes *p now.
func AssertNoAccesses[T any](p *T) {}

// ScopedAssertNoWrites says that no other goroutine writes *p until the scope
// ends.
func ScopedAssertNoWrites[T any](p *T) Scope { return Scope{} }

// ScopedAssertNoAccesses says that no other goroutine reads or writes *p until
// the scope ends.
func ScopedAssertNoAccesses[T any](p *T) Scope { return Scope{} }

// End ends the scope. It must be called by the goroutine that began it.
func (Scope) End() {}

// Configure starts anew with other options.
func Configure(Options) {}

// Reports returns how many reports were printed since [Configure].
func Reports() int64 { return 0 }
