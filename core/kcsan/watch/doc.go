// Package watch finds data races in Go code by sampling, as the kernel's KCSAN
// does: now and then an access sets a watchpoint, waits a little and looks
// whether another access hits it or the value changes. It is
// kernel/kcsan/core.c in small, on top of [coredrop/core/kcsan], which makes the
// report. It is for js/wasm, where Go's race detector does not exist.
//
// The compiler does not instrument for us: code that is to be watched says so.
//
//	watch.Write(&c.held)
//	c.held += n
//
// Without the build tag kcsan every function here is empty and inlined, so that
// nothing is left of the call; see BenchmarkCost. Watch variables that are
// shared, that is on the heap or in a package: the address of a local variable
// would keep it out of registers.
//
// With the tag, sampling runs from the start with [Options]' defaults and
// reports go to standard error. [Configure] changes that. In tests,
//
//	go test -tags kcsan -ldflags '-X coredrop/core/kcsan/watch.panicOnWarn=1'
//
// turns the first report into a panic, unless the test prints reports itself.
//
// # What it can find
//
// Threads are goroutines, "task 18" is goroutine 18, and the CPU is always 0,
// since Go does not tell. A goroutine waits by yielding ([runtime.Gosched]), as
// js/wasm has one thread and no preemption: the other goroutines run only
// because of that, each until it blocks or yields by itself.
//
// So on js/wasm a race is found when one goroutine is stopped in front of its
// access and another, in that time, reaches a conflicting access without having
// to wait for the first. That is an ordering that nothing forbids: the same two
// accesses may come in either order, and state that is meant to change in one
// step (several fields, check then act) can be seen half way wherever a
// goroutine gives way in between. What cannot happen on one thread is not found
// either, and could not go wrong there: two accesses at the same instant, torn
// values, reordering by the processor. Nor is anything found that only one
// goroutine does, or between code that never yields while it is watched.
// Accesses by JavaScript, by atomics and by code that does not call this package
// are seen only through the value that they change (a race at unknown origin).
//
// On other systems the goroutines run in parallel as well; there Go's race
// detector is the better tool, and both must not be used on racy code at once.
//
// # Differences from the kernel
//
// The skip count is one for all threads instead of one a CPU. The value is
// compared for sizes of 1, 2, 4 and 8 bytes, as in the kernel, and a change
// counts as observed for larger ones and for assertions. There are no marked
// accesses: use sync/atomic and do not watch it. A pair of places is reported
// once in a process (up to the 170 that the rate limit remembers), as there is
// no clock in core.
package watch
