// Package conns bounds what clients' connections cost: how many there are, and
// how long one is kept whose client does not take what it is sent. It does not
// come between the handler and the connection, so that files are still sent by
// the kernel.
package conns

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

type connKey struct{}

// Context puts a connection where Guard finds it: it is for the ConnContext of an
// http.Server.
func Context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Guard ends a connection on which something waits to be sent and of which the
// other side has acknowledged nothing for limit. A limit for the whole answer
// would cut off who is slow; this one only who has stopped. Without Context, and where the system does not tell what moves, it
// gives an answer so much time for each megabyte instead.
func Guard(h http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, ok := r.Context().Value(connKey{}).(net.Conn)
		if !ok {
			h.ServeHTTP(w, r)
			return
		}
		g := &guard{sent: counter(c), limit: limit, end: func() { c.SetWriteDeadline(time.Unix(1, 0)) }}
		if g.sent == nil {
			c.SetWriteDeadline(time.Now().Add(fallback * limit))
			defer c.SetWriteDeadline(time.Time{})
			h.ServeHTTP(w, r)
			return
		}
		g.arm()
		defer g.stop()
		h.ServeHTTP(w, r)
	})
}

// fallback is how many limits a whole answer has where nothing is known of its
// progress: 2 GiB at 2.4 MB/s in 15 minutes.
const fallback = 30

// guard looks at one answer's connection now and then.
type guard struct {
	// sent gives how many bytes the other side has acknowledged, and how many are
	// on their way or wait; false: the connection is over.
	sent  func() (acknowledged, waiting uint64, ok bool)
	limit time.Duration
	end   func()

	mu    sync.Mutex
	last  uint64
	timer *time.Timer // nil: stopped
}

func (g *guard) arm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last, _, _ = g.sent()
	g.timer = time.AfterFunc(g.limit, g.look)
}

// look ends the answer if nothing moved since the last look.
func (g *guard) look() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.timer == nil {
		return
	}
	acknowledged, waiting, ok := g.sent()
	if !ok {
		return
	}
	if waiting > 0 && acknowledged == g.last {
		g.end()
		return
	}
	g.last = acknowledged
	g.timer.Reset(g.limit)
}

func (g *guard) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer.Stop()
	g.timer = nil
}
