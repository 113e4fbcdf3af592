//go:build unix

package main

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"coredrop/core/demo"
)

// presented gives the name in the certificate that a server shows.
func presented(t *testing.T, url string) string {
	t.Helper()
	_, rest, _ := strings.Cut(url, "://")
	address, _, _ := strings.Cut(rest, "/")
	c, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // the name is what is asked for
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// SIGHUP loads the certificate again; one that cannot be used leaves the one
// from before, and says so.
func TestCertificateIsLoadedAgain(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeCertificate(t, "first", cert, key)
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none", "-tls-cert", cert, "-tls-key", key)
	if !strings.HasPrefix(url, "https://") {
		t.Errorf("it says %s", url)
	}
	if name := presented(t, url); name != "first" {
		t.Errorf("it shows %s", name)
	}
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}}
	r, err := browser.Get(url + "healthz")
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusNoContent || r.ProtoMajor != 2 {
		t.Errorf("%s %s", r.Proto, r.Status)
	}
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	writeCertificate(t, "second", cert, key)
	for hangUp(); presented(t, url) != "second"; { // the signal takes its time
	}
	if err := os.WriteFile(cert, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	hangUp()
	writeCertificate(t, "third", filepath.Join(dir, "other.pem"), key) // does not matter
	if name := presented(t, url); name != "second" {
		t.Errorf("after a failure it shows %s", name)
	}
	if code, log := stop(); code != exitDone || !strings.Contains(log, "the certificate was loaded again") {
		t.Errorf("exit %d: %s", code, log)
	}
}

// supervisor hears what a service tells systemd.
func supervisor(t *testing.T) (path string, heard func() string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { c.Close() })
	return path, func() string {
		for {
			text := make([]byte, 1000)
			n, err := c.Read(text)
			if err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				return string(text[:n])
			}
		}
	}
}

// Under systemd: its sockets are served, the site's and the admin's; it is told
// when the service is ready, loads again and ends; and SIGHUP ends nothing.
func TestUnderSystemd(t *testing.T) {
	notify, heard := supervisor(t)
	var files []*os.File
	var addresses []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addresses, files = append(addresses, l.Addr().String()), append(files, f)
		l.Close()
		defer f.Close()
	}
	c := program(t, "serve", "-addr", "192.0.2.1:1", "-upstream", "none")
	sh := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`)
	sh.Args = append(sh.Args, c.Args...)
	sh.ExtraFiles = files
	sh.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify, "LISTEN_FDS=2", "LISTEN_FDNAMES=coredrop.socket:admin")
	out, err := sh.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := sh.Start(); err != nil {
		t.Skip(err)
	}
	r := bufio.NewReader(out)
	for _, want := range []string{"serving on http://" + addresses[0] + "/", "admin on http://" + addresses[1] + "/"} {
		if line, err := r.ReadString('\n'); err != nil || !strings.Contains(line, want) {
			t.Errorf("%q, %v", line, err)
		}
	}
	if text := heard(); text != "READY=1" {
		t.Errorf("at the start systemd hears %q", text)
	}
	if status, _ := fetch(t, "http://"+addresses[0]+"/healthz"); status != http.StatusNoContent {
		t.Errorf("the site's socket: %d", status)
	}
	if status, _ := fetch(t, "http://"+addresses[1]+"/debug/pprof/cmdline"); status != http.StatusOK {
		t.Errorf("the admin's socket: %d", status)
	}
	if status, _ := fetch(t, "http://"+addresses[0]+"/debug/pprof/cmdline"); status != http.StatusNotFound {
		t.Errorf("what is the admin's is on the site's socket: %d", status)
	}
	for _, step := range []struct {
		s    syscall.Signal
		says []string
	}{{syscall.SIGHUP, []string{"RELOADING=1", "READY=1"}}, {syscall.SIGTERM, []string{"STOPPING=1"}}} {
		if err := sh.Process.Signal(step.s); err != nil {
			t.Fatal(err)
		}
		for _, want := range step.says {
			if text := heard(); text != want {
				t.Errorf("after %v systemd hears %q, not %q", step.s, text, want)
			}
		}
	}
	sh.Wait()
	if status := sh.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", sh.ProcessState)
	}
}

// What does not end within the time is cut off, and leaves nothing: the program is
// over only when its downloads have cleaned up.
func TestDrainEnds(t *testing.T) {
	up, asked, _ := stalling(t)
	cache := filepath.Join(t.TempDir(), "cache")
	c := program(t, "serve", "-addr", "127.0.0.1:0", "-upstream", up, "-cache", cache, "-shutdown-timeout", "1ms")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, found := strings.Cut(strings.TrimSpace(line), " on ")
	if err != nil || !found {
		t.Fatal(line, err)
	}
	answer := make(chan int, 1)
	go func() {
		r, err := http.Get(url + "symbols/" + demo.PDBKey)
		if err != nil {
			answer <- 0
			return
		}
		r.Body.Close()
		answer <- r.StatusCode
	}()
	<-asked
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if status := <-answer; status == http.StatusOK {
		t.Error("what never came was given")
	}
	if list := names(t, cache); strings.Join(list, " ") != ".coredrop-cache" {
		t.Errorf("left behind: %v", list)
	}
}
