package symbols

import (
	"errors"
	"sync"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// How long a failure is remembered of a key. A debugger that has no symbols asks
// again and again, three names each time: without this every one goes upstream.
const (
	missFirst   = 5 * time.Minute // not there: doubling, since a new build may appear
	missLast    = time.Hour
	missOther   = 24 * time.Hour   // a whole PDB, of another build
	holdTrouble = 30 * time.Second // anything else: it says nothing of the file
	missEntries = 10_000
)

// misses is the negative cache; its zero value is empty.
type misses struct {
	mu   sync.Mutex
	list map[symstore.Key]miss
}

type miss struct {
	err   error
	until time.Time
	times int // in a row
}

// known gives the failure that is remembered of a key, nil if none is.
func (m *misses) known(key symstore.Key, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.list[key]
	if !ok || !now.Before(e.until) {
		return nil
	}
	if fault.Is(e.err, fault.ServerBusy) {
		return &patient{e.err, e.until.Sub(now)}
	}
	return e.err
}

// add remembers a failure, which is that of all the upstreams' failures that is
// shown. Where any of them may yet have the file it is not for long, and where
// none was asked it is not at all.
func (m *misses) add(key symstore.Key, err error, all []error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list == nil {
		m.list = map[symstore.Key]miss{}
	}
	times := m.list[key].times + 1
	d := lifetime(all, times)
	if d == 0 {
		return
	}
	if _, ok := m.list[key]; !ok && len(m.list) >= missEntries {
		m.shrink(now)
	}
	m.list[key] = miss{err: err, until: now.Add(d), times: times}
}

// forget removes what is remembered of a key.
func (m *misses) forget(key symstore.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.list, key)
}

func (m *misses) count() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.list)
}

// shrink drops what is over, and if that is nothing, any tenth: a client that
// asks for ten thousand invented names must not fill the memory.
func (m *misses) shrink(now time.Time) {
	for key, e := range m.list {
		if !now.Before(e.until) {
			delete(m.list, key)
		}
	}
	for key := range m.list {
		if len(m.list) < missEntries*9/10 {
			return
		}
		delete(m.list, key)
	}
}

// lifetime is how long the times-th failure in a row is remembered.
func lifetime(all []error, times int) time.Duration {
	var definite, trouble time.Duration
	for _, err := range all {
		var unasked *resting
		if errors.As(err, &unasked) {
			return 0
		}
		switch upstream.ClassOf(err) {
		case upstream.Own:
			return 0
		case upstream.Definite:
			definite = max(definite, certain(fault.As(err).Code, times))
		case upstream.Busy:
			after, _ := upstream.RetryAfter(err)
			if after == 0 {
				after = holdTrouble
			}
			trouble = max(trouble, min(after, restLast))
		default:
			trouble = max(trouble, holdTrouble)
		}
	}
	if trouble > 0 {
		return trouble
	}
	return definite
}

// certain is how long it is believed that a server does not have a file.
func certain(code fault.Code, times int) time.Duration {
	if code == fault.SymbolsMismatch {
		return missOther
	}
	d := missFirst
	for ; times > 1 && d < missLast; times-- {
		d *= 2
	}
	return min(d, missLast)
}
