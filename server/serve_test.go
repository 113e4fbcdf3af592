package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coredrop/core/demo"
)

// start runs a command that serves and gives the address it says. stop ends it
// and gives its exit code and what it wrote on stderr.
func start(t *testing.T, args ...string) (url string, stop func() (int, string)) {
	t.Helper()
	said, stop := startSaying(t, 1, args...)
	return said[0], stop
}

// startSaying is start for a command that says several addresses.
func startSaying(t *testing.T, lines int, args ...string) (urls []string, stop func() (int, string)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	ended := make(chan int, 1)
	var complaints strings.Builder
	go func() {
		ended <- run(ctx, args, nil, in, &complaints)
		in.Close() // so that a command that does not serve is not waited for
	}()
	stop = func() (int, string) {
		cancel()
		return <-ended, complaints.String()
	}
	r := bufio.NewReader(out)
	for range lines {
		line, err := r.ReadString('\n')
		if err != nil {
			code, text := stop()
			t.Fatalf("%v: exit %d: %s", args, code, text)
		}
		_, url, found := strings.Cut(strings.TrimSpace(line), " on ")
		if !found || !strings.HasPrefix(line, "coredrop: ") {
			t.Fatalf("it says %q", line)
		}
		urls = append(urls, url)
	}
	return urls, stop
}

// fetch gives the status and the body at an address.
func fetch(t *testing.T, url string) (int, []byte) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, body
}

// The commands say where they serve, and end with their context.
func TestServeAndDemoCommands(t *testing.T) {
	for name, args := range map[string][]string{
		"demo":  {"-addr", "127.0.0.1:0", "-base", "/x/"},
		"serve": {"-addr", "127.0.0.1:0", "-base", "/x/", "-cache", t.TempDir(), "-upstream", "https://symbols.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			url, stop := start(t, append([]string{name}, args...)...)
			if !strings.HasPrefix(url, "http://127.0.0.1:") || !strings.HasSuffix(url, "/x/") {
				t.Errorf("it says %s", url)
			}
			if status, _ := fetch(t, url+"healthz"); status != http.StatusNoContent {
				t.Errorf("healthz: %d", status)
			}
			if code, complaints := stop(); code != exitDone || complaints != "" {
				t.Errorf("exit %d: %s", code, complaints)
			}
		})
	}
}

// A store that was named is served, with nobody to ask.
func TestServeReadsItsStore(t *testing.T) {
	dir := t.TempDir()
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := putFile(dir, demo.PDBKey, pdb); err != nil {
		t.Fatal(err)
	}
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none", "-store", t.TempDir(), "-store", dir)
	defer stop()
	if status, body := fetch(t, url+"symbols/"+demo.PDBKey); status != http.StatusOK || !bytes.Equal(body, pdb) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	if _, about := fetch(t, url+"version.json"); !bytes.Contains(about, []byte(`"symbols":true`)) {
		t.Errorf("the page is not told: %s", about)
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	bare, stopBare := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none")
	defer stopBare()
	if _, about := fetch(t, bare+"version.json"); !bytes.Contains(about, []byte(`"symbols":false`)) {
		t.Errorf("nothing to read and nobody to ask: %s", about)
	}
}

// This machine's own server is asked over plain http, as coredrop serve behind
// another one is, and the PDB kept; another machine's only if it is named.
func TestServeAllowsHTTP(t *testing.T) {
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pdb) }))
	defer up.Close()
	cache := filepath.Join(t.TempDir(), "made", "here")
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", up.URL, "-cache", cache)
	if status, body := fetch(t, url+"symbols/"+demo.PDBKey); status != http.StatusOK || !bytes.Equal(body, pdb) {
		t.Errorf("%d, %d bytes: %.200s", status, len(body), body)
	}
	if code, complaints := stop(); code != exitDone {
		t.Errorf("exit %d: %s", code, complaints)
	}
	url, stop = start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none", "-store", cache)
	defer stop()
	if status, _ := fetch(t, url+"symbols/"+demo.PDBKey); status != http.StatusOK {
		t.Errorf("from what was kept: %d", status)
	}
	var out, complaints strings.Builder
	if code := run(t.Context(), []string{"serve", "-addr", "127.0.0.1:0", "-upstream", "http://sym.example/s", "-cache", cache}, nil, &out, &complaints); code != exitFailed ||
		!strings.Contains(complaints.String(), "[plain-http]") || !strings.Contains(complaints.String(), "-allow-http sym.example") {
		t.Errorf("exit %d: %s", code, complaints.String())
	}
	_, stop = start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "http://sym.example/s", "-allow-http", "sym.example", "-cache", cache)
	if code, complaints := stop(); code != exitDone {
		t.Errorf("exit %d: %s", code, complaints)
	}
}

// Unless told otherwise, only this machine is served; telling is answered with a
// warning, and with an address that a browser takes.
func TestOnlyThisMachineIsServed(t *testing.T) {
	for _, command := range []string{"serve", "demo"} {
		var out, complaints strings.Builder
		if run(t.Context(), []string{command, "-h"}, nil, &out, &complaints); !strings.Contains(out.String(), `(default "127.0.0.1:8080")`) {
			t.Errorf("%s -h: %s%s", command, out.String(), complaints.String())
		}
	}
	for _, addr := range []string{":0", "0.0.0.0:0"} {
		url, stop := start(t, "serve", "-addr", addr, "-upstream", "none")
		if !strings.HasPrefix(url, "http://localhost:") {
			t.Errorf("%s: it says %s", addr, url)
		}
		if status, _ := fetch(t, url+"healthz"); status != http.StatusNoContent {
			t.Errorf("%s: healthz: %d", addr, status)
		}
		if _, complaints := stop(); !strings.Contains(complaints, "warning: ") || !strings.Contains(complaints, "other machines") {
			t.Errorf("%s: no warning: %s", addr, complaints)
		}
	}
}

func TestServeRefuses(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	busy := taken.Addr().String()
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"serve", "core.elf"}, exitUsage, "takes no files"},
		{[]string{"serve", "-base", "dump"}, exitUsage, "is not a path"},
		{[]string{"serve", "-upstream", "http://symbols.invalid", "-cache", t.TempDir()}, exitFailed, "https"},
		{[]string{"serve", "-upstream", "none", "-store", "/nowhere/at/all"}, exitFailed, "/nowhere/at/all"},
		{[]string{"serve", "-upstream", "none", "-addr", busy}, exitFailed, "could not listen on " + busy + ": bind: "},
		{[]string{"serve", "-upstream", "none", "-addr", busy}, exitFailed, "hint: -addr 127.0.0.1:0"},
		{[]string{"demo", "x"}, exitUsage, "takes no files"},
	} {
		var out, complaints strings.Builder
		if code := run(t.Context(), c.args, nil, &out, &complaints); code != c.code || !strings.Contains(complaints.String(), c.says) {
			t.Errorf("%v: exit %d: %s", c.args, code, complaints.String())
		}
	}
}

func TestServerLimits(t *testing.T) {
	s := newServer(nil)
	if s.ReadHeaderTimeout != 10*time.Second || s.IdleTimeout != 2*time.Minute || s.MaxHeaderBytes != 16<<10 || !s.DisableGeneralOptionsHandler {
		t.Errorf("%v, %v, %d, %v", s.ReadHeaderTimeout, s.IdleTimeout, s.MaxHeaderBytes, s.DisableGeneralOptionsHandler)
	}
}

// The end of the context takes the listener away, and no answer.
func TestRequestInFlightEnds(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	arrived, release := make(chan bool), make(chan bool)
	server := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-release
		io.WriteString(w, "to the end")
	}))
	ctx, stop := context.WithCancel(t.Context())
	ended, answer := make(chan int, 1), make(chan string, 1)
	go func() { ended <- (&service{}).serve(ctx, server, []net.Listener{l}, io.Discard) }()
	go func() {
		r, err := http.Get("http://" + l.Addr().String())
		if err != nil {
			answer <- err.Error()
			return
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			body = []byte(err.Error())
		}
		answer <- string(body)
	}()
	<-arrived
	stop()
	for { // until the server has begun to end
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(release)
	if got := <-answer; got != "to the end" {
		t.Errorf("the client got %q", got)
	}
	if code := <-ended; code != exitDone {
		t.Errorf("exit %d", code)
	}
}
