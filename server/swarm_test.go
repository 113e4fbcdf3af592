//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"coredrop/core/demo"
)

// running is the program as a process of its own.
type running struct {
	cmd  *exec.Cmd
	url  string // without a slash at its end
	said *bytes.Buffer
}

// launch runs coredrop serve with so many descriptors.
func launch(t testing.TB, files int, args ...string) *running {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "coredrop")
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	r := &running{said: new(bytes.Buffer)}
	r.cmd = exec.Command("sh", append([]string{"-c", `ulimit -n "$1" && shift && exec "$0" "$@"`, path, fmt.Sprint(files), "serve", "-addr", "127.0.0.1:0"}, args...)...)
	r.cmd.Stderr = r.said
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		r.kill()
		t.Fatalf("%v: %s", err, r.said)
	}
	r.url = strings.TrimSuffix(strings.TrimSpace(strings.TrimPrefix(line, "coredrop: serving on ")), "/")
	return r
}

// kill ends the program as a power failure would.
func (r *running) kill() {
	r.cmd.Process.Kill() // it may have ended
	r.cmd.Wait()
}

// status reads a number of kilobytes of the process, such as VmHWM.
func (r *running) status(t *testing.T, name string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in %s", name, text)
	return 0
}

// library is an upstream that has some builds, and counts.
type library struct {
	*httptest.Server
	asked atomic.Int32
	has   map[string]build
	wait  func() // before each answer; nil: not at all
}

func newLibrary(t testing.TB, list []build) *library {
	t.Helper()
	l := &library{has: map[string]build{}}
	for _, b := range list {
		l.has["/"+strings.ToLower(b.key.String())] = b
	}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.asked.Add(1)
		if l.wait != nil {
			l.wait()
		}
		b, ok := l.has[strings.ToLower(r.URL.Path)]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(b.data)))
		w.Write(b.data)
	}))
	t.Cleanup(l.Close)
	return l
}

// crowd gives each of n clients a connection of its own.
func crowd(n int) *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n, MaxIdleConns: n, DisableCompression: true}}
}

// openFiles gives how many this process may have open, for clients of the test.
func openFiles(t testing.TB) int {
	t.Helper()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	return int(min(limit.Cur, 1<<20))
}

// wants asks for a build and reports what is wrong with the answer, "" if it is
// the right file.
func (r *running) wants(c *http.Client, b build) string {
	response, err := c.Get(r.url + "/symbols/" + b.key.String())
	if err != nil {
		return err.Error()
	}
	defer response.Body.Close()
	if response.StatusCode != 200 {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Sprintf("%s: %s", response.Status, text)
	}
	part := make([]byte, 64<<10) // five hundred clients do not hold the file each
	for at := 0; ; {
		n, err := response.Body.Read(part)
		if at+n > len(b.data) || !bytes.Equal(part[:n], b.data[at:at+n]) {
			return fmt.Sprintf("it is another file after %d bytes", at)
		}
		at += n
		switch {
		case err == io.EOF && at == len(b.data):
			return ""
		case err != nil:
			return fmt.Sprintf("%v after %d of %d bytes", err, at, len(b.data))
		}
	}
}

// drip is an upstream that gives every file, at 2 KB a second, and counts its
// connections.
type drip struct {
	*httptest.Server
	now, most atomic.Int32
}

func newDrip(t *testing.T) *drip {
	t.Helper()
	d := &drip{}
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	d.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for at := 0; at < len(data); at += 200 {
			w.Write(data[at:min(at+200, len(data))])
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}))
	d.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		switch s {
		case http.StateNew:
			n := d.now.Add(1)
			for m := d.most.Load(); n > m && !d.most.CompareAndSwap(m, n); m = d.most.Load() {
			}
		case http.StateClosed, http.StateHijacked:
			d.now.Add(-1)
		}
	}
	d.Start()
	t.Cleanup(func() { d.CloseClientConnections(); d.Close() })
	return d
}

// A flood of requests for files that nobody has, against a program with few
// descriptors and a slow upstream: all are answered, with few connections and
// little memory, and who asks how it is gets an answer all the time. How fast is
// logged: on a machine with other work it says little.
func TestFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty thousand requests")
	}
	up := newDrip(t)
	r := launch(t, 1024, "-cache", t.TempDir(), "-upstream", up.URL)
	const requests = 20_000
	clients := min(2000, openFiles(t)/3)
	c := crowd(clients)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	var next, refused, waited atomic.Int32
	wrong := make(chan string, clients)
	answered := make(chan struct{}, requests)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for {
				i := next.Add(1)
				if i > requests {
					return
				}
				q, err := http.NewRequestWithContext(ctx, "HEAD", fmt.Sprintf("%s/symbols/a%d.pdb/%032X1/a%[2]d.pdb", r.url, i, i), nil)
				if err != nil {
					wrong <- err.Error()
					return
				}
				response, err := c.Do(q)
				if ctx.Err() != nil {
					waited.Add(1) // until the end of the test
					return
				}
				if err != nil {
					wrong <- err.Error()
					return
				}
				response.Body.Close()
				if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" {
					wrong <- response.Status
				}
				refused.Add(1)
				answered <- struct{}{}
			}
		})
	}
	slowest := time.Duration(0)
	probes := 0
	pulse := crowd(1) // a new connection each time, which needs a place among all of those
	pulse.Transport.(*http.Transport).DisableKeepAlives = true
	for done := false; !done; {
		began := time.Now()
		response, err := pulse.Get(r.url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		slowest = max(slowest, time.Since(began))
		probes++
		if response.StatusCode != 204 {
			t.Errorf("healthz: %s", response.Status)
		}
		// Those that wait for one of the eight wait for 25 seconds.
		done = refused.Load() >= requests-100
		select {
		case text := <-wrong:
			t.Fatal(text)
		case <-time.After(20 * time.Millisecond):
		}
	}
	memory := r.status(t, "VmHWM")
	leave()
	all.Wait()
	t.Logf("%d refused, %d waited, %d clients; healthz %d times, the slowest %v; %d KiB resident at most, %d upstream connections at most",
		refused.Load(), waited.Load(), clients, probes, slowest, memory, up.most.Load())
	if memory > 128<<10 {
		t.Errorf("%d KiB were resident", memory)
	}
	if n := up.most.Load(); n > 8 {
		t.Errorf("%d connections to the upstream", n)
	}
	if waited.Load() > 72 {
		t.Errorf("%d waited", waited.Load())
	}
}

// Five hundred want one file that has to be fetched: it is fetched once.
func TestManyWantOneFile(t *testing.T) {
	b := builds(t, 1, 12<<20)[0]
	up := newLibrary(t, []build{b})
	begin := make(chan struct{})
	up.wait = func() { <-begin }
	cache := t.TempDir()
	r := launch(t, 4096, "-cache", cache, "-upstream", up.URL)
	clients := min(500, openFiles(t)/3)
	c := crowd(clients)
	wrong := make([]string, clients)
	var all sync.WaitGroup
	for i := range wrong {
		all.Go(func() { wrong[i] = r.wants(c, b) })
	}
	close(begin)
	all.Wait()
	for i, text := range wrong {
		if text != "" {
			t.Fatalf("client %d: %s", i, text)
		}
	}
	if n := up.asked.Load(); n != 1 {
		t.Errorf("the upstream was asked %d times", n)
	}
	if n := r.status(t, "VmHWM"); n > 128<<10 {
		t.Errorf("%d KiB were resident", n)
	}
}

// Two thousand want two hundred files that are there.
func TestManyWantManyFiles(t *testing.T) {
	if testing.Short() {
		t.Skip("two thousand clients")
	}
	list := builds(t, 200, 0)
	cache := t.TempDir()
	for _, b := range list {
		if err := putFile(cache, b.key.String(), b.data); err != nil {
			t.Fatal(err)
		}
	}
	r := launch(t, 16384, "-cache", cache, "-upstream", "none")
	clients := min(2000, openFiles(t)/3)
	c := crowd(clients)
	wrong := make([]string, clients)
	var all sync.WaitGroup
	for i := range wrong {
		all.Go(func() {
			for n := range 3 {
				if wrong[i] = r.wants(c, list[(i+n)%len(list)]); wrong[i] != "" {
					return
				}
			}
		})
	}
	all.Wait()
	for i, text := range wrong {
		if text != "" {
			t.Fatalf("client %d of %d: %s", i, clients, text)
		}
	}
	n := r.status(t, "VmHWM")
	t.Logf("%d clients, %d KiB resident at most", clients, n)
	if n > 128<<10 {
		t.Errorf("%d KiB were resident", n)
	}
}
