// Package fleet converts many cores, each once, whoever else is at it: several runs may
// work through the same cores at the same time, with nothing between them but the
// place where the dumps go. It knows neither cores nor stores.
package fleet

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"

	"coredrop/core/fault"
)

// Job is a core, and where its dump goes.
type Job struct {
	Core string `json:"core"`
	Dump string `json:"dump"`
}

// Outcome says what came of a job.
type Outcome string

// The outcomes.
const (
	Converted Outcome = "converted"
	Exists    Outcome = "exists"  // the dump was there, or another run made it meanwhile
	Refused   Outcome = "refused" // the file is no core that can be converted: trying again is no use
	Failed    Outcome = "failed"  // trying again may be
)

// Result is what came of a job. Its JSON is a line of coredrop convert -each.
type Result struct {
	Job
	Outcome  Outcome         `json:"outcome"`
	Bytes    int64           `json:"bytes,omitempty"`    // of the dump, if it was made
	Checksum string          `json:"checksum,omitempty"` // as the store states it
	Warnings []fault.Warning `json:"warnings,omitempty"`
	Error    *Error          `json:"error,omitempty"`
}

// Error is why there is no dump.
type Error struct {
	Code  fault.Code `json:"code"`
	Text  string     `json:"text"`
	Steps []string   `json:"steps,omitempty"`
}

// ErrTaken is the error of a job that another run works on.
var ErrTaken = errors.New("another run works on it")

// Work is what is to be done, and how.
type Work struct {
	// Convert does a job. Of its result only what it knows of a dump that was made
	// is used. An error: output-exists where there is a dump; errors.Is(err,
	// ErrTaken) where another run makes it.
	Convert func(ctx context.Context, j Job) (Result, error)
	// Await returns when no other run makes the job's dump any more.
	Await func(ctx context.Context, j Job) error
	// Report is told each result, one after the other.
	Report func(Result)
	// Parallel is how many jobs are done at once; at least 1.
	Parallel int
}

// ahead is how many jobs are known at a time, and done in no particular order: two runs
// that begin together would else meet at each of them.
const ahead = 64

// Run does the jobs. It reports whether all that can be done is done; the error is that
// of the list of jobs, or of the context.
func (w *Work) Run(ctx context.Context, jobs iter.Seq2[Job, error]) (done bool, err error) {
	r := &run{Work: w, done: true}
	err = r.through(ctx, jobs, false)
	// What others had taken: most of it they have done by now.
	r.through(ctx, func(yield func(Job, error) bool) {
		for _, j := range r.taken {
			if !yield(j, nil) {
				return
			}
		}
	}, true)
	if ctx.Err() != nil {
		return false, fault.Wrap(context.Cause(ctx), fault.Cancelled, "cancelled; the dumps that were made stay")
	}
	return r.done, err
}

// through does jobs, as many at once as may be. The error is that of their list.
func (r *run) through(ctx context.Context, jobs iter.Seq2[Job, error], wait bool) error {
	queue := make(chan Job)
	var workers sync.WaitGroup
	for range max(1, r.Parallel) {
		workers.Go(func() {
			for j := range queue {
				if ctx.Err() == nil {
					r.do(ctx, j, wait)
				}
			}
		})
	}
	err := deal(ctx, jobs, queue)
	close(queue)
	workers.Wait()
	return err
}

// deal hands out the jobs, shuffled as far as they are known.
func deal(ctx context.Context, jobs iter.Seq2[Job, error], queue chan<- Job) error {
	var hand []Job
	give := func() bool {
		i := rand.IntN(len(hand))
		j := hand[i]
		hand[i] = hand[len(hand)-1]
		hand = hand[:len(hand)-1]
		select {
		case queue <- j:
			return true
		case <-ctx.Done():
			return false
		}
	}
	var failed error
	for j, err := range jobs {
		if failed = err; err != nil {
			break
		}
		hand = append(hand, j)
		if len(hand) >= ahead && !give() {
			return nil
		}
	}
	for len(hand) > 0 && give() {
	}
	return failed
}

// run is one passage through the jobs.
type run struct {
	*Work
	mu    sync.Mutex
	taken []Job
	done  bool
}

// do does a job; wait: it waits for another run that works on it, as often as need be.
func (r *run) do(ctx context.Context, j Job, wait bool) {
	for {
		var result Result
		var err error
		if wait {
			err = r.Await(ctx, j)
		}
		if err == nil {
			result, err = r.Convert(ctx, j)
		}
		if errors.Is(err, ErrTaken) {
			if wait {
				continue
			}
			r.mu.Lock()
			r.taken = append(r.taken, j)
			r.mu.Unlock()
			return
		}
		r.report(j, result, err)
		return
	}
}

func (r *run) report(j Job, result Result, err error) {
	result.Job, result.Outcome = j, Converted
	if err != nil {
		result.Outcome = outcome(err)
		if result.Outcome != Exists {
			f := fault.As(err)
			result.Error = &Error{f.Code, f.Text, fault.Lines(f.Steps(j.Core), fault.CLI)}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = r.done && result.Outcome != Failed
	r.Report(result)
}

// outcome tells what another attempt may change from what it cannot.
func outcome(err error) Outcome {
	switch code := fault.As(err).Code; code {
	case fault.OutputExists:
		return Exists
	case fault.InputUnreadable, fault.FileChanged, fault.NoPermission, fault.StoreDenied, fault.OutputFailed,
		fault.SymbolsOffline, fault.SymbolsUnreadable, fault.UnpackSpace, fault.ServerBusy, fault.Cancelled, fault.BadOption, fault.Internal:
		return Failed
	}
	return Refused
}
