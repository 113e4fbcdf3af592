// Package accesslog writes one line for each request for a symbol file. A
// debugger without symbols asks for the same missing names again and again:
// those repeats are counted and not written.
package accesslog

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// Quiet is how long the same miss is not written again.
	Quiet = 10 * time.Minute
	// remembered bounds the keys that are counted: strangers invent names.
	remembered = 10_000
)

// Entry is what became of a request. It has no query, no header and nothing of
// the client's.
type Entry struct {
	Method   string
	Key      string // empty where the address is none: that may hold anything
	Status   int
	Result   string // as in the metrics
	Source   string // where the file came from; empty: nowhere
	Upstream string // the host that gave it, or whose error it is
	Bytes    int64  // sent
	Took     time.Duration
	Code     string // of the error
	Text     string // of the error
	Unkept   string // why the cache did not take the file
	Mend     bool   // the one who runs the server can mend it
	Miss     bool   // nobody has it: repeats are not written
}

// Log writes entries. Its zero value writes nothing.
type Log struct {
	// Out gets the lines. If nil, nothing is written.
	Out *slog.Logger
	// Now is the clock. If nil, time.Now.
	Now func() time.Time

	mu     sync.Mutex
	misses map[string]repeats
}

// repeats counts what was not written of a miss.
type repeats struct {
	until time.Time
	times int
}

// Write writes an entry, or counts it.
func (l *Log) Write(ctx context.Context, e Entry) {
	if l.Out == nil {
		return
	}
	repeated, quiet := l.repeated(e)
	if quiet {
		return
	}
	level := slog.LevelInfo
	line := []any{"method", e.Method[:min(len(e.Method), 8)], "key", e.Key, "status", e.Status, "result", e.Result, "bytes", e.Bytes, "ms", e.Took.Milliseconds()}
	for _, field := range []struct{ name, text string }{
		{"source", e.Source}, {"upstream", e.Upstream}, {"code", e.Code}, {"error", e.Text}, {"unkept", e.Unkept},
	} {
		if field.text != "" {
			line = append(line, field.name, field.text)
		}
	}
	if repeated > 0 {
		line = append(line, "repeated", repeated)
	}
	if e.Mend || e.Unkept != "" {
		level = slog.LevelWarn
	}
	l.Out.Log(context.WithoutCancel(ctx), level, "symbols", line...)
}

// repeated says that an entry is a miss that was written lately, or how often
// that was so since it was written last.
func (l *Log) repeated(e Entry) (times int, quiet bool) {
	if !e.Miss {
		return 0, false
	}
	now := time.Now()
	if l.Now != nil {
		now = l.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	was, ok := l.misses[e.Key]
	if ok && now.Before(was.until) {
		was.times++
		l.misses[e.Key] = was
		return 0, true
	}
	if l.misses == nil {
		l.misses = map[string]repeats{}
	}
	if !ok && len(l.misses) >= remembered {
		l.shrink(now)
	}
	l.misses[e.Key] = repeats{until: now.Add(Quiet)}
	return was.times, false
}

// shrink drops what is over, and if that is nothing, any tenth.
func (l *Log) shrink(now time.Time) {
	for key, m := range l.misses {
		if !now.Before(m.until) {
			delete(l.misses, key)
		}
	}
	for key := range l.misses {
		if len(l.misses) < remembered*9/10 {
			return
		}
		delete(l.misses, key)
	}
}
