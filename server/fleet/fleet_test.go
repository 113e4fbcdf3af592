package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"

	"coredrop/core/fault"
)

func jobs(n int) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		for i := range n {
			if !yield(Job{fmt.Sprint("core", i), fmt.Sprint("dump", i)}, nil) {
				return
			}
		}
	}
}

// place is where dumps go: who makes one, and which are there.
type place struct {
	mu      sync.Mutex
	changed *sync.Cond
	makers  map[string]int // by dump: the run that makes it
	there   map[string]bool
	made    map[string]int // how often somebody worked for it
}

func newPlace() *place {
	p := &place{makers: map[string]int{}, there: map[string]bool{}, made: map[string]int{}}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// convert is a conversion by a run.
func (p *place) convert(run int) func(context.Context, Job) (Result, error) {
	return func(_ context.Context, j Job) (Result, error) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.there[j.Dump] {
			return Result{}, fault.New(fault.OutputExists, "")
		}
		if p.makers[j.Dump] != 0 {
			return Result{}, fmt.Errorf("%s: %w", j.Dump, ErrTaken)
		}
		p.makers[j.Dump] = run
		p.mu.Unlock()
		p.mu.Lock()
		p.made[j.Dump]++
		delete(p.makers, j.Dump)
		p.there[j.Dump] = true
		p.changed.Broadcast()
		return Result{Bytes: 7}, nil
	}
}

func (p *place) await(_ context.Context, j Job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.makers[j.Dump] != 0 {
		p.changed.Wait()
	}
	return nil
}

// results collects what is reported.
func results(w *Work) func() map[Outcome]int {
	list := map[Outcome]int{}
	w.Report = func(r Result) { list[r.Outcome]++ }
	return func() map[Outcome]int { return list }
}

// TestTwoRuns: each dump is made once, each run reports each job, and neither leaves
// before all dumps are there.
func TestTwoRuns(t *testing.T) {
	for range 20 {
		p := newPlace()
		const n = 300
		var runs sync.WaitGroup
		for id := 1; id <= 2; id++ {
			runs.Go(func() {
				w := &Work{Convert: p.convert(id), Await: p.await, Parallel: 3}
				got := results(w)
				done, err := w.Run(t.Context(), jobs(n))
				if !done || err != nil {
					t.Errorf("%v, %v", done, err)
				}
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(p.there) != n {
					t.Errorf("a run ended with %d of %d dumps there", len(p.there), n)
				}
				if g := got(); g[Converted]+g[Exists] != n {
					t.Errorf("reported: %v", g)
				}
			})
		}
		runs.Wait()
		for dump, times := range p.made {
			if times != 1 {
				t.Errorf("%s was made %d times", dump, times)
			}
		}
	}
}

// TestTakenAndLeft: what another run took and did not finish is done in the end.
func TestTakenAndLeft(t *testing.T) {
	p := newPlace()
	p.makers["dump1"] = 9 // which never ends
	w := &Work{Convert: p.convert(1), Await: func(_ context.Context, j Job) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.there) != 2 {
			t.Errorf("it waits while there is other work: %d dumps of 3 are there", len(p.there))
		}
		delete(p.makers, j.Dump)
		return nil
	}}
	got := results(w)
	if done, err := w.Run(t.Context(), jobs(3)); !done || err != nil || got()[Converted] != 3 {
		t.Errorf("%v, %v, %v", done, err, got())
	}
}

// TestWaitingAtOnce: what others took is waited for together: who left it there without
// a word is given some time for each.
func TestWaitingAtOnce(t *testing.T) {
	p := newPlace()
	const n = 4
	var all sync.WaitGroup // until all are waited for, no wait ends
	all.Add(n)
	for i := range n {
		p.makers[fmt.Sprint("dump", i)] = 9
	}
	w := &Work{Convert: p.convert(1), Parallel: n, Await: func(_ context.Context, j Job) error {
		all.Done()
		all.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.makers, j.Dump)
		return nil
	}}
	got := results(w)
	if done, err := w.Run(t.Context(), jobs(n)); !done || err != nil || got()[Converted] != n {
		t.Errorf("%v, %v, %v", done, err, got())
	}
}

// TestOutcomes: what trying again may mend makes the run a failed one, and nothing
// else does.
func TestOutcomes(t *testing.T) {
	for code, want := range map[fault.Code]Outcome{
		fault.UnknownFormat: Refused, fault.IsLinux: Refused, fault.IsDmp: Refused, fault.KernelNotFound: Refused, fault.EmptyFile: Refused,
		fault.InputUnreadable: Failed, fault.StoreDenied: Failed, fault.FileChanged: Failed, fault.OutputFailed: Failed, fault.SymbolsOffline: Failed,
		fault.SymbolsUnreadable: Failed, fault.UnpackSpace: Failed,
		fault.OutputExists: Exists,
	} {
		var got Result
		w := &Work{
			Convert: func(context.Context, Job) (Result, error) { return Result{}, fault.New(code, "") },
			Report:  func(r Result) { got = r },
		}
		done, err := w.Run(t.Context(), jobs(1))
		if err != nil || got.Outcome != want || done == (want == Failed) || (got.Error == nil) != (want == Exists) {
			t.Errorf("%s: %+v, done %v, %v", code, got, done, err)
		}
	}
}

// TestOneFailureIsNotAll: the others are done.
func TestOneFailureIsNotAll(t *testing.T) {
	p := newPlace()
	convert := p.convert(1)
	w := &Work{Convert: func(ctx context.Context, j Job) (Result, error) {
		if j.Core == "core3" {
			return Result{}, errors.New("something")
		}
		return convert(ctx, j)
	}, Parallel: 2}
	got := results(w)
	if done, err := w.Run(t.Context(), jobs(9)); done || err != nil || got()[Converted] != 8 || got()[Failed] != 1 {
		t.Errorf("%v, %v, %v", done, err, got())
	}
}

// TestListThatEnds: an error of the list is the run's; what was listed is done.
func TestListThatEnds(t *testing.T) {
	p := newPlace()
	broken := errors.New("no more")
	w := &Work{Convert: p.convert(1), Await: p.await}
	results(w)
	done, err := w.Run(t.Context(), func(yield func(Job, error) bool) {
		for j := range jobs(ahead + 5) {
			if !yield(j, nil) {
				return
			}
		}
		yield(Job{}, broken)
	})
	if err != broken || !done || len(p.there) != ahead+5 {
		t.Errorf("%v, %v, %d dumps", done, err, len(p.there))
	}
}

// TestCancelled: no job is begun any more.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	begun := 0
	w := &Work{Convert: func(context.Context, Job) (Result, error) {
		begun++
		cancel()
		return Result{}, fault.New(fault.Cancelled, "")
	}}
	results(w)
	if done, err := w.Run(ctx, jobs(100)); done || !fault.Is(err, fault.Cancelled) || strings.Contains(err.Error(), "nothing") {
		t.Errorf("%v, %v", done, err)
	}
	if begun != 1 {
		t.Errorf("%d were begun", begun)
	}
}

// TestOrderDiffers: two runs that begin together do not go through the jobs side by
// side.
func TestOrderDiffers(t *testing.T) {
	order := func() (list []string) {
		w := &Work{Convert: func(_ context.Context, j Job) (Result, error) {
			list = append(list, j.Core)
			return Result{}, nil
		}}
		results(w)
		w.Run(t.Context(), jobs(100))
		return list
	}
	a, b := order(), order()
	if slices.Equal(a, b) {
		t.Error("both runs have the same order")
	}
	slices.Sort(a)
	slices.Sort(b)
	if len(a) != 100 || !slices.Equal(a, b) {
		t.Error("not all jobs were done")
	}
}
