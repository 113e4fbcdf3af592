package main

import (
	"fmt"
	"sync"

	"coredrop/core/progress"
	"coredrop/core/words"
)

// tally shows the progress of several jobs on one terminal, as what they have
// done together. One job alone is shown as it is.
type tally struct {
	mu   sync.Mutex
	t    *terminal
	jobs int
	done int64
}

func newTally(t *terminal, jobs int) *tally { return &tally{t: t, jobs: jobs} }

// sink is what one job reports to.
func (y *tally) sink() progress.Sink {
	var stage string
	var before int64
	s := progress.Sink{OnProgress: func(now string, done, total int64) {
		y.mu.Lock()
		defer y.mu.Unlock()
		if y.jobs == 1 {
			y.t.progress(now, done, total)
			return
		}
		if now != stage || done < before { // from the beginning again
			stage, before = now, 0
		}
		y.done += done - before
		before = done
		y.t.progress(fmt.Sprintf("fetching %s", words.Count(y.jobs, "file")), y.done, 0)
	}}
	if y.t.log != nil {
		s.OnLine = func(line string) {
			y.mu.Lock()
			defer y.mu.Unlock()
			y.t.line(line)
		}
	}
	return s
}

// quietly runs f, which prints, while nothing else does.
func (y *tally) quietly(f func()) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.t.clear()
	f()
}
