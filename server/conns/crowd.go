package conns

import (
	"net"
	"net/http"
	"sync"
)

// Crowd caps the connections of a server: further clients wait in the system's
// queue. It does not wrap connections, which would cost the server sendfile, but
// learns of their ends by http.Server.ConnState. When it is full, connections
// that wait for their client's next request make room: else 4,096 idle browsers
// would keep all others out.
type Crowd struct {
	limit  int
	places chan struct{}

	mu     sync.Mutex
	server *http.Server
	open   int
}

// NewCrowd makes a server take that many connections at once.
func NewCrowd(server *http.Server, limit int) *Crowd {
	c := &Crowd{limit: limit, places: make(chan struct{}, limit), server: server}
	server.ConnState = c.changed
	return c
}

// Listener gives connections of l while there is room. Several share the room.
func (c *Crowd) Listener(l net.Listener) net.Listener {
	return &crowdListener{Listener: l, crowd: c, closed: make(chan struct{})}
}

type crowdListener struct {
	net.Listener
	crowd  *Crowd
	once   sync.Once
	closed chan struct{}
}

// Accept waits for room, then for a client.
func (l *crowdListener) Accept() (net.Conn, error) {
	select {
	case l.crowd.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.crowd.places
	}
	return conn, err
}

// Close ends Accept, too where it waits for room.
func (l *crowdListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// changed follows the connections: each is new once and closed once.
func (c *Crowd) changed(_ net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		c.open++
		if c.open == c.limit {
			c.server.SetKeepAlivesEnabled(false) // closes those that are idle, and each other after its answer
		}
	case http.StateClosed, http.StateHijacked:
		c.open--
		<-c.places
		if c.open == c.limit*3/4 {
			c.server.SetKeepAlivesEnabled(true)
		}
	}
}
