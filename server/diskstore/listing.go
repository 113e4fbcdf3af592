package diskstore

import (
	"os"
	"strings"
	"sync"
	"time"
)

const (
	// settled is how much older than its listing a directory's time must be for
	// the listing to be complete: file systems count in ticks, some of seconds.
	settled = 2 * time.Second
	// calm is how many times the duration of a reading passes until the next: a
	// large directory that changes all the time is not read all the time.
	calm = 10
)

// listing is what is known of a directory.
type listing struct {
	path string

	mu      sync.Mutex
	read    bool
	reading bool // in the background
	found   map[string][]string
	changed time.Time     // the directory's time, looked at before it was read
	began   time.Time     // when it was read
	cost    time.Duration // how long that took
}

// names gives the names by their lower case. The first time it reads the
// directory; later it gives what was read last, and has it read again when the
// directory's time is another.
func (l *listing) names() (map[string][]string, error) {
	info, err := os.Stat(l.path)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case !l.read:
		if err := l.refresh(info.ModTime()); err != nil {
			return nil, err
		}
	case !l.reading && l.stale(info.ModTime()) && time.Since(l.began) > calm*l.cost:
		l.reading = true
		go l.again(info.ModTime())
	}
	return l.found, nil
}

// stale reports whether the directory may have other names than those read.
func (l *listing) stale(changed time.Time) bool {
	return !changed.Equal(l.changed) || l.began.Sub(changed) < settled
}

// refresh reads the directory, with the lock held.
func (l *listing) refresh(changed time.Time) error {
	found, began, cost, err := list(l.path)
	if err == nil {
		l.read, l.found, l.changed, l.began, l.cost = true, found, changed, began, cost
	}
	return err
}

// again reads the directory while others use what was read before.
func (l *listing) again(changed time.Time) {
	found, began, cost, err := list(l.path)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reading = false
	l.began, l.cost = began, cost
	if err == nil { // else the next who asks is told
		l.found, l.changed = found, changed
	}
}

// list reads a directory; the map is not written to any more.
func list(path string) (found map[string][]string, began time.Time, cost time.Duration, err error) {
	began = time.Now()
	d, err := os.Open(path)
	if err != nil {
		return nil, began, 0, err
	}
	defer d.Close() // only read
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, began, 0, err
	}
	found = make(map[string][]string, len(names))
	for _, name := range names {
		fold := strings.ToLower(name)
		found[fold] = append(found[fold], name)
	}
	return found, began, time.Since(began), nil
}
