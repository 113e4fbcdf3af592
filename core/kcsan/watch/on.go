//go:build kcsan

package watch

import (
	"unsafe"

	"coredrop/core/kcsan"
)

// Enabled tells whether the program was built with the tag kcsan.
const Enabled = true

// The kernel's defaults, lib/Kconfig.kcsan: KCSAN_SKIP_WATCH, KCSAN_UDELAY_TASK
// (whose microseconds become yields) and KCSAN_NUM_WATCHPOINTS.
const (
	defaultSkip        = 4000
	defaultYields      = 80
	defaultWatchpoints = 64
)

// A Scope is an assertion that holds until its End.
type Scope struct{ s *scope }

// Read says that *p is about to be read.
func Read[T any](p *T) { access(unsafe.Pointer(p), unsafe.Sizeof(*p), 0) }

// Write says that *p is about to be written.
func Write[T any](p *T) { access(unsafe.Pointer(p), unsafe.Sizeof(*p), kcsan.AccessWrite) }

// ReadWrite says that *p is about to be read and written, as by p++.
func ReadWrite[T any](p *T) {
	access(unsafe.Pointer(p), unsafe.Sizeof(*p), kcsan.AccessWrite|kcsan.AccessCompound)
}

// AssertNoWrites says that no other goroutine writes *p now.
func AssertNoWrites[T any](p *T) {
	access(unsafe.Pointer(p), unsafe.Sizeof(*p), kcsan.AccessAssert)
}

// AssertNoAccesses says that no other goroutine reads or writes *p now.
func AssertNoAccesses[T any](p *T) {
	access(unsafe.Pointer(p), unsafe.Sizeof(*p), kcsan.AccessAssert|kcsan.AccessWrite)
}

// ScopedAssertNoWrites says that no other goroutine writes *p until the scope
// ends.
func ScopedAssertNoWrites[T any](p *T) Scope {
	return Scope{begin(unsafe.Pointer(p), unsafe.Sizeof(*p), kcsan.AccessAssert)}
}

// ScopedAssertNoAccesses says that no other goroutine reads or writes *p until
// the scope ends.
func ScopedAssertNoAccesses[T any](p *T) Scope {
	return Scope{begin(unsafe.Pointer(p), unsafe.Sizeof(*p), kcsan.AccessAssert|kcsan.AccessWrite)}
}

// End ends the scope. It must be called by the goroutine that began it.
func (s Scope) End() {
	if s.s != nil {
		s.s.end()
	}
}

// Configure starts anew with other options. Watchpoints that are set stay with
// the options they were set under.
func Configure(o Options) { current.Store(newSampler(o)) }

// Reports returns how many reports were printed since [Configure].
func Reports() int64 { return current.Load().reporter.Outcomes(kcsan.Printed) }
