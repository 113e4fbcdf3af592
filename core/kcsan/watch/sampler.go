//go:build kcsan

package watch

import (
	"context"
	"runtime"
	"sync/atomic"
	"unsafe"

	"coredrop/core/kcsan"
)

// version is the generation of reports that the sampler prints: the last one
// whose footer has no user ID.
const version = kcsan.V6_1

// panicOnWarn is set by the linker: -X coredrop/core/kcsan/watch.panicOnWarn=1.
var panicOnWarn string

// current is the sampler in use.
var current atomic.Pointer[sampler]

func init() { Configure(Options{}) }

// A sampler is a table of watchpoints and what reports their hits.
type sampler struct {
	Options
	reporter *kcsan.Reporter
	// points are the kernel's watchpoints: 0 is free, 1 consumed, else an
	// encoded access. They change only by compare-and-swap and, for their
	// owner, by store.
	points []atomic.Uint64
	skip   atomic.Int64  // accesses left until the next sample
	random atomic.Uint64 // state of the skip counts' generator
}

func newSampler(o Options) *sampler {
	if o.Skip <= 0 {
		o.Skip = defaultSkip
	}
	if o.Yields <= 0 {
		o.Yields = defaultYields
	}
	if o.Watchpoints <= 0 {
		o.Watchpoints = defaultWatchpoints
	}
	if o.Print == nil {
		o.Print = func(text string) { print(text) }
		o.PanicOnWarn = o.PanicOnWarn || panicOnWarn != ""
	}
	s := &sampler{Options: o, points: make([]atomic.Uint64, o.Watchpoints+kcsan.NumSlots-1)}
	s.random.Store(o.Seed)
	s.skip.Store(s.nextSkip())
	s.reporter = kcsan.NewReporter(kcsan.Config{
		Version:     version,
		Watchpoints: o.Watchpoints,
		OnceInMS:    1000, // with a clock that stands still: once for all
		Skip:        kcsan.SkipRules{ValueChangeOnly: o.ValueChangeOnly},
		PanicOnWarn: o.PanicOnWarn,
		Symbols:     kcsan.SymbolizerFunc(symbol),
		Footer:      footer,
		Print:       o.Print,
		Warn:        func(text string) { print("WARNING: kcsan: ", text, "\n") },
		Panic:       func(text string) { panic(text) },
	})
	return s
}

// nextSkip draws the number of accesses to pass over. The steps of the state
// make a Weyl sequence, the multiplications scramble it (splitmix64).
func (s *sampler) nextSkip() int64 {
	z := s.random.Add(0x9e3779b97f4a7c15)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int64(s.Skip) - int64((z^z>>31)%uint64(s.Skip)) - 1
}

// escaped keeps watched variables off the stack, which moves.
var escaped atomic.Pointer[byte]

// access is the entry of every watched access.
//
//go:noinline
func access(p unsafe.Pointer, size uintptr, t kcsan.AccessType) {
	s := current.Load()
	s.check(p, kcsan.Access{Addr: uint64(uintptr(p)), Size: uint64(size), Type: t})
	if scopes.n.Load() != 0 {
		scopes.check(s)
	}
}

// check is the kernel's check_access: report if a watchpoint is hit, else
// perhaps set one.
func (s *sampler) check(p unsafe.Pointer, a kcsan.Access) {
	if a.Size == 0 {
		return
	}
	if i, encoded := s.find(a); i >= 0 {
		s.found(a, i, encoded)
		return
	}
	if s.skip.Add(-1) < 0 {
		s.skip.Store(s.nextSkip())
		s.setup(p, a)
	}
}

// find looks for a watchpoint that the access hits. A read conflicts only with a
// watched write.
func (s *sampler) find(a kcsan.Access) (index int, encoded uint64) {
	first := kcsan.SlotIndex(a.Addr, s.Watchpoints)
	for i := first; i < first+kcsan.NumSlots; i++ {
		encoded := s.points[i].Load()
		addr, size, write, ok := version.DecodeWatchpoint(encoded)
		if ok && (write || a.Type&kcsan.AccessWrite != 0) &&
			version.MatchesWatchpoint(addr, size, a.Addr, a.Size) {
			return i, encoded
		}
	}
	return -1, 0
}

// found is the kernel's kcsan_found_watchpoint: consume it and hand the access
// over to its owner.
//
//go:noinline
func (s *sampler) found(a kcsan.Access, index int, encoded uint64) {
	c := caller()
	if disabled(c.PID) {
		return
	}
	counters := s.reporter.Counters()
	if s.points[index].CompareAndSwap(encoded, kcsan.ConsumedWatchpoint) {
		s.reporter.SetInfo(context.Background(), c, a, index)
	} else {
		// Its owner took it back, or another access was first.
		counters.Add(kcsan.ReportRaces, 1)
	}
	if a.Type&kcsan.AccessAssert != 0 {
		counters.Add(kcsan.AssertFailures, 1)
	} else {
		counters.Add(kcsan.DataRaces, 1)
	}
}

// insert sets a watchpoint in a free slot.
func (s *sampler) insert(a kcsan.Access, encoded uint64) int {
	first := kcsan.SlotIndex(a.Addr, s.Watchpoints)
	// The kernel begins in the middle of the adjacent slots and wraps around.
	for k := range kcsan.NumSlots {
		i := first + (k+kcsan.CheckAdjacent)%kcsan.NumSlots
		if s.points[i].CompareAndSwap(kcsan.FreeWatchpoint, encoded) {
			return i
		}
	}
	return -1
}

// setup is the kernel's kcsan_setup_watchpoint: set a watchpoint, wait, and look
// whether it was hit or the value changed.
//
//go:noinline
func (s *sampler) setup(p unsafe.Pointer, a kcsan.Access) {
	c := caller()
	if disabled(c.PID) {
		return
	}
	counters := s.reporter.Counters()
	write := a.Type&kcsan.AccessWrite != 0
	encoded, ok := version.EncodeWatchpoint(a.Addr, a.Size, write)
	if !ok {
		counters.Add(kcsan.UnencodableAccesses, 1)
		return
	}
	index := s.insert(a, encoded)
	if index < 0 {
		counters.Add(kcsan.NoCapacity, 1)
		return
	}
	counters.Add(kcsan.SetupWatchpoints, 1)
	counters.Add(kcsan.UsedWatchpoints, 1)
	defer func() {
		// Also when a report panics: the slot must not stay watched.
		s.points[index].Store(kcsan.FreeWatchpoint)
		counters.Add(kcsan.UsedWatchpoints, -1)
	}()
	escaped.Store((*byte)(p))

	v := kcsan.Values{Old: value(p, a.Size)}
	for range s.Yields {
		runtime.Gosched()
	}
	v.New = value(p, a.Size)
	change := kcsan.ValueMaybe
	if v.Old != v.New {
		change = kcsan.ValueTrue
	}
	assert := a.Type&kcsan.AccessAssert != 0
	if s.points[index].CompareAndSwap(encoded, kcsan.ConsumedWatchpoint) {
		// Nobody hit it.
		if change != kcsan.ValueTrue {
			return
		}
		counters.Add(kcsan.RacesUnknownOrigin, 1)
		if assert {
			counters.Add(kcsan.AssertFailures, 1)
		}
		if assert || !s.IgnoreUnknownOrigin {
			s.reporter.UnknownOrigin(context.Background(), c, a, change, v)
		}
		return
	}
	if change == kcsan.ValueMaybe && (a.Size > 8 || assert) {
		change = kcsan.ValueTrue // cannot be compared, or does not matter
	}
	if assert && change == kcsan.ValueTrue {
		counters.Add(kcsan.AssertFailures, 1)
	}
	s.reporter.KnownOrigin(context.Background(), c, a, change, index, v)
}

// value reads what is watched, racing with whoever writes it.
//
//go:norace
//go:noinline
func value(p unsafe.Pointer, size uint64) uint64 {
	switch size {
	case 1:
		return uint64(*(*uint8)(p))
	case 2:
		return uint64(*(*uint16)(p))
	case 4:
		return uint64(*(*uint32)(p))
	case 8:
		return *(*uint64)(p)
	}
	return 0
}
