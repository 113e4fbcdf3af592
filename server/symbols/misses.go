package symbols

import (
	"sync"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// How long a failure is remembered. A debugger that has no symbols asks again
// and again, three names each time: without this every one goes upstream.
const (
	missFirst     = 5 * time.Minute // not there: doubling, since a new build may appear
	missLast      = time.Hour
	missMalformed = 24 * time.Hour   // something else is there
	missOffline   = 30 * time.Second // the network, or a busy server
	missEntries   = 10_000
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
	if e, ok := m.list[key]; ok && now.Before(e.until) {
		return e.err
	}
	return nil
}

// add remembers a failure.
func (m *misses) add(key symstore.Key, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.list == nil {
		m.list = map[symstore.Key]miss{}
	}
	if _, ok := m.list[key]; !ok && len(m.list) >= missEntries {
		m.shrink(now)
	}
	e := miss{err: err, times: m.list[key].times + 1}
	e.until = now.Add(lifetime(fault.As(err).Code, e.times))
	m.list[key] = e
}

// forget removes what is remembered of a key.
func (m *misses) forget(key symstore.Key) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.list, key)
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
func lifetime(code fault.Code, times int) time.Duration {
	switch code {
	case fault.SymbolsNotFound:
		d := missFirst
		for ; times > 1 && d < missLast; times-- {
			d *= 2
		}
		return min(d, missLast)
	case fault.SymbolsNotAPDB, fault.SymbolsMismatch, fault.SymbolsCompressed, fault.PDBDamaged:
		return missMalformed
	}
	return missOffline
}
