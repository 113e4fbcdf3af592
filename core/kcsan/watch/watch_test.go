//go:build kcsan && !race

package watch_test

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"coredrop/core/kcsan"
	"coredrop/core/kcsan/watch"
)

// These tests contain races on purpose, so Go's own detector must not see them.

// An account is what they race on.
type account struct {
	balance int64
	history [4]int64
}

//go:noinline
func (a *account) deposit() {
	watch.ReadWrite(&a.balance)
	a.balance++
}

//go:noinline
func (a *account) audit() int64 {
	watch.Read(&a.balance)
	return a.balance
}

//go:noinline
func (a *account) rewrite() {
	watch.Write(&a.history)
	a.history[0]++
}

//go:noinline
func (a *account) exclusive() int64 {
	watch.AssertNoWrites(&a.balance)
	return a.balance
}

//go:noinline
func (a *account) scoped() {
	s := watch.ScopedAssertNoAccesses(&a.balance)
	for range 20 {
		a.rewrite()
	}
	s.End()
}

// unwatched changes the balance without saying so.
//
//go:noinline
func (a *account) unwatched() { a.balance++ }

// rounds is how often the racing functions run: in parallel one goroutine may be
// done before the other begins.
var rounds = map[bool]int{true: 100, false: 3000}[runtime.GOOS == "js"]

// together runs functions in goroutines of their own, often, giving way in
// between, and returns what was printed.
func together(o watch.Options, functions ...func()) []string {
	var printed []string // written under the report lock
	if o.Print == nil {
		o.Print = func(text string) { printed = append(printed, text) }
	}
	if o.Skip == 0 {
		o.Skip = 1
	}
	o.Yields = 8
	watch.Configure(o)
	defer watch.Configure(watch.Options{})
	var wg sync.WaitGroup
	for _, f := range functions {
		wg.Go(func() {
			for range rounds {
				f()
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	return printed
}

// until runs functions together until something is printed that is found. On a
// busy machine one goroutine may be done before the other begins.
func until(found func(text string) bool, o watch.Options, functions ...func()) []string {
	var printed []string
	for try := 0; try < 50 && !slices.ContainsFunc(printed, found); try++ {
		printed = append(printed, together(o, functions...)...)
	}
	return printed
}

func anything(string) bool { return true }

// report parses a printed report and checks that it has the kernel's shape.
func report(t *testing.T, text string) *kcsan.Report {
	t.Helper()
	r, err := kcsan.Parse(text)
	if err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if again, _ := r.Text(); again != text {
		t.Fatalf("printed as\n%s\nread as\n%s", text, again)
	}
	return r
}

const pkg = "coredrop/core/kcsan/watch_test."

func TestSeededRace(t *testing.T) {
	a := &account{}
	want := "data-race in " + pkg + "(*account).audit / " + pkg + "(*account).deposit"
	seen := func(text string) bool { return report(t, text).Title() == want }
	printed := until(seen, watch.Options{}, a.deposit, func() { a.audit() })
	if len(printed) == 0 {
		t.Fatal("the race was not found")
	}
	t.Logf("the first of %d:\n%s", len(printed), printed[0])
	titles := map[string]bool{}
	for _, text := range printed {
		r := report(t, text)
		titles[r.Title()] = true
		if r.Other == nil {
			continue // the change was seen, the access was not
		}
		for _, th := range []*kcsan.Thread{r.Other, &r.Own} {
			top := th.Trace.Top().Symbol
			kind, want := "read", pkg+"(*account).audit"
			if th.Type&kcsan.AccessWrite != 0 {
				kind, want = "read-write", pkg+"(*account).deposit"
			}
			if name, _ := r.Version.KindName(th.Type); name != kind || top.Name != want {
				t.Errorf("%s in %s, want %s in %s", name, top.Name, kind, want)
			}
			if top.Offset == 0 || top.Size < top.Offset || th.Size != 8 || th.PID <= 0 {
				t.Errorf("frame %s, %d bytes, task %d", th.Trace.Top(), th.Size, th.PID)
			}
			if n := len(th.Trace.Frames); n < 2 {
				t.Errorf("a trace of %d frames:\n%s", n, text)
			}
		}
		if r.Own.Addr != r.Other.Addr || r.Own.PID == r.Other.PID {
			t.Errorf("not two goroutines at one address:\n%s", text)
		}
	}
	if !titles[want] {
		t.Errorf("titles %v, want %q among them", titles, want)
	}
}

func TestOncePerPlace(t *testing.T) {
	a := &account{}
	first := map[string]bool{}
	for _, text := range together(watch.Options{}, a.deposit, a.deposit, func() { a.audit() }) {
		r := report(t, text)
		var frames []string
		frames = append(frames, r.Own.Trace.Top().String())
		if r.Other != nil {
			frames = append(frames, r.Other.Trace.Top().String())
		}
		slices.Sort(frames)
		if key := strings.Join(frames, " "); first[key] {
			t.Errorf("%s twice", key)
		} else {
			first[key] = true
		}
	}
}

func TestNoRace(t *testing.T) {
	a := &account{}
	var mu sync.Mutex
	locked := func(f func()) func() {
		return func() {
			mu.Lock()
			defer mu.Unlock()
			f()
		}
	}
	if printed := together(watch.Options{}, locked(a.deposit), locked(func() { a.audit() }), locked(a.rewrite)); len(printed) != 0 {
		t.Errorf("locked accesses:\n%s", printed[0])
	}
	if printed := together(watch.Options{}, func() { a.audit() }, func() { a.audit() }); len(printed) != 0 {
		t.Errorf("reads only:\n%s", printed[0])
	}
	if printed := together(watch.Options{}, a.deposit, a.rewrite); len(printed) != 0 {
		t.Errorf("different variables:\n%s", printed[0])
	}
}

func TestLargeValue(t *testing.T) {
	a := &account{}
	// 32 bytes cannot be compared, so a change is assumed.
	printed := until(anything, watch.Options{ValueChangeOnly: true}, a.rewrite, a.rewrite)
	if len(printed) == 0 {
		t.Fatal("the race was not found")
	}
	if r := report(t, printed[0]); r.Own.Size != 32 || r.Values != nil {
		t.Errorf("size %d, values %v", r.Own.Size, r.Values)
	}
}

func TestUnknownOrigin(t *testing.T) {
	a := &account{}
	found := false
	for _, text := range until(anything, watch.Options{}, func() { a.audit() }, a.unwatched) {
		r := report(t, text)
		if r.Other != nil || r.Values == nil || r.Values.Old == r.Values.New {
			t.Errorf("not an unknown origin with a change:\n%s", text)
		}
		found = true
	}
	if !found {
		t.Error("the change was not found")
	}
	if printed := together(watch.Options{IgnoreUnknownOrigin: true}, func() { a.audit() }, a.unwatched); len(printed) != 0 {
		t.Errorf("ignored, but:\n%s", printed[0])
	}
	// An assertion is reported all the same.
	printed := until(anything, watch.Options{IgnoreUnknownOrigin: true}, func() { a.exclusive() }, a.unwatched)
	if len(printed) == 0 || !strings.Contains(printed[0], "race at unknown origin, with assert no writes to") {
		t.Errorf("assertion: %q", printed)
	}
}

func TestAssertions(t *testing.T) {
	a := &account{}
	broken := func(s string) bool {
		return strings.Contains(s, "BUG: KCSAN: assert: race in ") && strings.Contains(s, "\nassert no writes to ")
	}
	printed := until(broken, watch.Options{}, func() { a.exclusive() }, a.deposit)
	if !slices.ContainsFunc(printed, broken) {
		t.Errorf("not found: %q", printed)
	}
	if printed = together(watch.Options{}, func() { a.exclusive() }, func() { a.audit() }); len(printed) != 0 {
		t.Errorf("reads do not break it:\n%s", printed[0])
	}
}

func TestScope(t *testing.T) {
	a := &account{}
	// The goroutine in the scope never touches the balance itself: the other's
	// reads are found through its accesses to something else.
	printed := until(func(text string) bool { return strings.Contains(text, "\nassert no accesses (reordered) to ") },
		watch.Options{}, a.scoped, func() { a.audit() })
	found := false
	for _, text := range printed {
		r := report(t, text)
		for _, th := range []*kcsan.Thread{r.Other, &r.Own} {
			if th == nil || th.Type&kcsan.AccessScoped == 0 {
				continue
			}
			if top := th.Trace.Top().Symbol.Name; top != pkg+"(*account).scoped" {
				t.Errorf("the scope is shown in %s", top)
			}
			found = found || strings.Contains(text, "\nassert no accesses (reordered) to ") && th.Trace.ReorderedTo != nil
		}
	}
	if !found {
		t.Errorf("not found: %q", printed)
	}
	// Over, it asserts nothing.
	if printed = together(watch.Options{}, a.rewrite, func() { a.audit() }); len(printed) != 0 {
		t.Errorf("after the end:\n%s", printed[0])
	}
}

func TestPrintIsNotWatched(t *testing.T) {
	a, b := &account{}, &account{}
	n := 0
	together(watch.Options{Print: func(string) {
		n++
		b.deposit() // would need the report lock to report
		b.audit()
	}}, a.deposit, func() { a.audit() }, b.deposit)
	if n == 0 {
		t.Error("nothing was printed")
	}
}

func TestPanic(t *testing.T) {
	a := &account{}
	var mu sync.Mutex
	var panics []any
	guarded := func(f func()) func() {
		return func() {
			defer func() {
				if p := recover(); p != nil {
					mu.Lock()
					defer mu.Unlock()
					panics = append(panics, p)
				}
			}()
			f()
		}
	}
	printed := until(anything, watch.Options{PanicOnWarn: true}, guarded(a.deposit), guarded(func() { a.audit() }))
	if len(panics) == 0 || len(panics) != len(printed) || panics[0] != "KCSAN: panic_on_warn set ..." {
		t.Errorf("%d reports, panics %v", len(printed), panics)
	}
}

func TestSkip(t *testing.T) {
	a := &account{}
	watch.Configure(watch.Options{Skip: 100, Yields: 1, Print: func(string) {}})
	defer watch.Configure(watch.Options{})
	const accesses = 10_000
	for range accesses {
		a.audit()
	}
	// On average every 51st access is sampled.
	if n := watch.Counter(kcsan.SetupWatchpoints); n < accesses/100 || n > accesses/25 {
		t.Errorf("%d watchpoints in %d accesses", n, accesses)
	}
	if n := watch.Counter(kcsan.UsedWatchpoints); n != 0 {
		t.Errorf("%d watchpoints are still set", n)
	}
}
