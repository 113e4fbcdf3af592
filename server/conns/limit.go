package conns

import (
	"net"
	"sync"
)

// Limit accepts no more than n connections at a time; others wait in the queue of
// the system. It is LimitListener of golang.org/x/net/netutil, but for TCP
// connections remaining what they are: behind that one, http cannot have the
// kernel send a file, and nothing tells what the client has taken.
func Limit(l net.Listener, n int) net.Listener {
	return &limited{Listener: l, places: make(chan struct{}, n), closed: make(chan struct{})}
}

type limited struct {
	net.Listener
	places chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept waits for a place, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.places <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	leave := sync.OnceFunc(func() { <-l.places })
	if t, ok := c.(*net.TCPConn); ok {
		return &tcp{t, leave}, nil
	}
	return &other{c, leave}, nil
}

// Close ends those who wait for a place too.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// tcp is a connection that holds a place.
type tcp struct {
	*net.TCPConn
	leave func()
}

// Close leaves the place.
func (c *tcp) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

// other is a connection that is none of TCP.
type other struct {
	net.Conn
	leave func()
}

// Close leaves the place.
func (c *other) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
