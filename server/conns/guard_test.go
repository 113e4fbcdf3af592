package conns

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A connection on which nothing moves is ended after the limit, and no other: not
// one that moves, however slowly, and not one that has nothing to send.
func TestGuard(t *testing.T) {
	for name, c := range map[string]struct {
		acknowledged func(n int) uint64 // at the n-th look
		waiting      uint64
		ends         int // at the so-manieth look; 0: never
	}{
		"stopped":              {func(int) uint64 { return 100 }, 1000, 1},
		"slow":                 {func(n int) uint64 { return uint64(n) }, 1000, 0},
		"stopped in its midst": {func(n int) uint64 { return uint64(min(n, 5)) }, 1000, 6},
		"nothing to send":      {func(int) uint64 { return 100 }, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			looks, ended := 0, 0
			g := &guard{limit: 30 * time.Second, end: func() { ended = looks - 1 }, sent: func() (uint64, uint64, bool) {
				looks++
				return c.acknowledged(looks - 1), c.waiting, true
			}}
			g.arm()
			time.Sleep(10*30*time.Second + time.Second)
			synctest.Wait()
			if ended != c.ends || c.ends == 0 && looks != 11 {
				t.Errorf("%s: ended at look %d of %d", name, ended, looks)
			}
			g.stop()
			before := looks
			time.Sleep(time.Hour)
			synctest.Wait()
			if looks != before {
				t.Errorf("%s: looked after the end", name)
			}
		})
	}
}

// A client that reads nothing loses its connection; the handler, which could not
// write any more, ends.
func TestClientThatReadsNothing(t *testing.T) {
	ended := make(chan error, 1)
	s := httptest.NewUnstartedServer(Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, zeros{})
		ended <- err
	}), 300*time.Millisecond))
	s.Config.ConnContext = Context
	s.Start()
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil { // the test's own time limit ends it
		t.Error("an answer without end has ended")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A handler that takes its time before it answers is not ended, and the
// connection serves another request after it.
func TestHandlerThatTakesItsTime(t *testing.T) {
	var done atomic.Int32
	s := httptest.NewUnstartedServer(Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(100 * time.Millisecond)
		io.WriteString(w, "here")
		done.Add(1)
	}), 10*time.Millisecond))
	s.Config.ConnContext = Context
	s.Start()
	defer s.Close()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := bufio.NewReader(c)
	for range 2 {
		if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || strings.TrimSpace(string(body)) != "here" {
			t.Errorf("%q, %v", body, err)
		}
	}
	if done.Load() != 2 {
		t.Errorf("%d answers", done.Load())
	}
}
