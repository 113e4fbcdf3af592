package conns

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// client is one connection that stays open.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, address string) client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute)) // where nobody makes room
	return client{c, bufio.NewReader(c)}
}

func (c client) ask(path string) {
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
}

// answer gives the body, and whether the server keeps the connection.
func (c client) answer(t *testing.T) (body string, kept bool) {
	t.Helper()
	r, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data), !r.Close
}

// crowded is a server that takes two connections and says what was asked.
func crowded(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })}
	go server.Serve(NewCrowd(server, 2).Listener(l))
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

// Clients that only keep their connections make room for those who ask.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	address := crowded(t)
	first := dial(t, address)
	first.ask("/first")
	if body, kept := first.answer(t); body != "/first" || !kept {
		t.Fatalf("%q, kept: %v", body, kept)
	}
	for i := range 4 {
		c := dial(t, address)
		c.ask(fmt.Sprint("/", i))
		if body, _ := c.answer(t); body != fmt.Sprint("/", i) {
			t.Errorf("%d: %q", i, body)
		}
	}
}

// always is a listener that always has a client.
type always struct{ net.Listener }

func (always) Accept() (net.Conn, error) { c, _ := net.Pipe(); return c, nil }
func (always) Close() error              { return nil }

// No more connections than the cap are taken at once, one more when one ends,
// and none when the listener is closed.
func TestTheCrowdWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewCrowd(&http.Server{}, 2)
		l := c.Listener(always{})
		var taken []net.Conn
		ended := false
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					ended = true
					return
				}
				c.changed(conn, http.StateNew)
				taken = append(taken, conn)
			}
		}()
		synctest.Wait()
		if len(taken) != 2 {
			t.Fatalf("%d are taken", len(taken))
		}
		c.changed(taken[0], http.StateActive)
		c.changed(taken[0], http.StateIdle)
		if synctest.Wait(); len(taken) != 2 {
			t.Errorf("%d are taken while none ended", len(taken))
		}
		c.changed(taken[0], http.StateClosed)
		if synctest.Wait(); len(taken) != 3 || ended {
			t.Errorf("%d are taken after one ended", len(taken))
		}
		l.Close()
		if synctest.Wait(); !ended {
			t.Error("it waits although it is closed")
		}
	})
}
