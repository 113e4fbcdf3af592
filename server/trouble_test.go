//go:build linux

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// eachWants asks for all builds at once and fails on the first that is wrong.
func (r *running) eachWants(t *testing.T, list []build) {
	t.Helper()
	c := crowd(len(list))
	wrong := make([]string, len(list))
	var all sync.WaitGroup
	for i, b := range list {
		all.Go(func() { wrong[i] = r.wants(c, b) })
	}
	all.Wait()
	for i, text := range wrong {
		if text != "" {
			t.Fatalf("%d of %d: %s", i, len(list), text)
		}
	}
}

// holds checks that a cache holds right files and nothing else, and gives how many.
func holds(t *testing.T, dir string, list []build) int {
	t.Helper()
	right := map[string][]byte{}
	for _, b := range list {
		right[b.key.String()] = b.data
	}
	n := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == ".coredrop-cache" {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if want, ok := right[filepath.ToSlash(name)]; !ok || !bytes.Equal(data, want) {
			t.Errorf("%s is not a file of the upstream: %d bytes", name, len(data))
		}
		n++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Killed again and again amid its downloads, the program leaves whole files and
// dead temporaries, of whatever date; the next one sweeps those, and in the end
// has all.
func TestKilledAmidDownloads(t *testing.T) {
	list := builds(t, 200, 0)
	up := newLibrary(t, list)
	dir := t.TempDir()
	for round := range 4 {
		r := launch(t, 1024, "-cache", dir, "-upstream", up.URL)
		reached := make(chan struct{})
		var once sync.Once
		target := up.asked.Load() + int32(10+round*7)
		up.wait = func() {
			if up.asked.Load() >= target {
				once.Do(func() { close(reached) })
			}
		}
		c := crowd(64)
		var all sync.WaitGroup
		for i := range 64 { // as many as wait
			all.Go(func() { r.wants(c, list[(i*7+round*31)%len(list)]) }) // most break off
		}
		<-reached
		r.kill()
		all.Wait()
		// What it was writing has a date of the future, as after a wrong clock.
		left, err := filepath.Glob(filepath.Join(dir, ".coredrop-tmp-*"))
		if err != nil {
			t.Fatal(err)
		}
		for i, path := range append(left, filepath.Join(dir, fmt.Sprintf(".coredrop-tmp-%016x", round))) {
			if err := os.WriteFile(path, []byte("half of a file"), 0o644); err != nil {
				t.Fatal(err)
			}
			at := time.Now().AddDate(i%2*20, 0, 0)
			if err := os.Chtimes(path, at, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	up.wait = nil
	r := launch(t, 1024, "-cache", dir, "-upstream", up.URL)
	kept := holds(t, dir, list)
	for at := 0; at < len(list); at += 50 {
		r.eachWants(t, list[at:at+50])
	}
	if n := holds(t, dir, list); n != len(list) {
		t.Errorf("%d files of %d", n, len(list))
	}
	asked := up.asked.Load()
	r.eachWants(t, list[:50])
	if n := up.asked.Load(); n != asked || kept == 0 {
		t.Errorf("%d were kept over the kills, %d asked for once more", kept, n-asked)
	}
}

// Two programs on one directory: all is right, and what one has fetched the other
// has.
func TestTwoProgramsOnOneCache(t *testing.T) {
	list := builds(t, 60, 0)
	up := newLibrary(t, list)
	dir := t.TempDir()
	// A budget for half of them: both remove what both use.
	budget := fmt.Sprint(len(list) / 2 * len(list[0].data))
	a := launch(t, 1024, "-cache", dir, "-cache-size", budget, "-upstream", up.URL)
	b := launch(t, 1024, "-cache", dir, "-cache-size", budget, "-upstream", up.URL)
	for range 3 {
		var both sync.WaitGroup
		both.Go(func() { a.eachWants(t, list) })
		both.Go(func() { b.eachWants(t, list) })
		both.Wait()
	}
	if n := holds(t, dir, list); n == 0 || n == len(list) {
		t.Errorf("%d files are kept", n)
	}
	b.kill()
	if err := os.RemoveAll(dir); err != nil { // and it vanishes
		t.Fatal(err)
	}
	a.eachWants(t, list[:20])
	if n := holds(t, dir, list); n != 20 {
		t.Errorf("%d files are kept", n)
	}
}

// A disk that is full, or read-only, costs the clients nothing.
func TestCacheOnABadDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skip("no file system of its own can be mounted: ", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	list := builds(t, 40, 0)
	up := newLibrary(t, list)
	r := launch(t, 1024, "-cache", dir, "-upstream", up.URL)
	r.eachWants(t, list)
	if n := holds(t, dir, list); n == 0 || n > 7 {
		t.Errorf("%d files of %d bytes in 1 MiB", n, len(list[0].data))
	}
	if n := up.asked.Load(); n != int32(len(list)) {
		t.Errorf("%d requests for %d files", n, len(list))
	}
	r.kill()
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip("it cannot be made read-only: ", err)
	}
	r = launch(t, 1024, "-cache", dir, "-upstream", up.URL)
	r.eachWants(t, list)
	r.kill()
	if !strings.Contains(r.said.String(), "takes no files") {
		t.Errorf("it says %s", r.said)
	}
}

// A named pipe in a store's place is passed over, and clients that take nothing
// keep nobody else from theirs.
func TestPipesAndSlowReaders(t *testing.T) {
	list := builds(t, 3, 4<<20)
	up := newLibrary(t, list[:2])
	store := t.TempDir()
	for i, b := range list {
		if i == 1 {
			continue
		}
		if err := os.MkdirAll(filepath.Join(store, b.key.Name, b.key.ID), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(filepath.Join(store, b.key.String()), 0o644); err != nil {
			t.Skip("no named pipes here: ", err)
		}
	}
	r := launch(t, 2048, "-cache", t.TempDir(), "-store", store, "-upstream", up.URL)
	r.eachWants(t, list[:2])
	response, err := http.Get(r.url + "/symbols/" + list[2].key.String())
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 404 {
		t.Errorf("a pipe, and nothing upstream: %s", response.Status)
	}
	before := r.status(t, "VmRSS")
	for range 200 {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /symbols/%s HTTP/1.1\r\nHost: x\r\n\r\n", list[0].key)
		if _, err := bufio.NewReaderSize(c, 16).Peek(12); err != nil { // its answer has begun
			t.Fatal(err)
		}
	}
	r.eachWants(t, list[:2])
	if grown := r.status(t, "VmRSS") - before; grown > 64<<10 {
		t.Errorf("%d KiB for 200 clients that take nothing", grown)
	}
}

// The sequences of debuggers, as they send them.
func TestDebuggers(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "windbg.txt"))
	if err != nil {
		t.Fatal(err)
	}
	list := builds(t, 2, 0)
	have, not := list[0].key, list[1].key
	names := strings.NewReplacer("{have.name}", have.Name, "{have.id}", have.ID, "{HAVE.name}", strings.ToUpper(have.Name), "{low.id}", strings.ToLower(have.ID),
		"{not.name}", not.Name, "{not.id}", not.ID, "{not.packed}", not.Name[:len(not.Name)-1]+"_")
	up := newLibrary(t, list[:1])
	r := launch(t, 1024, "-cache", t.TempDir(), "-upstream", up.URL)
	steps := 0
	for line := range strings.Lines(names.Replace(string(text))) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] == "#" {
			continue
		}
		steps++
		q, err := http.NewRequest(fields[0], r.url+fields[1], nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("User-Agent", "Microsoft-Symbol-Server/10.0.10036.206")
		q.Header.Set("Accept-Encoding", "gzip")
		response, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || fmt.Sprint(response.StatusCode) != fields[2] || fields[0] == "GET" && fields[2] == "200" && !bytes.Equal(data, list[0].data) {
			t.Errorf("%s: %s, %d bytes, %v", strings.TrimSpace(line), response.Status, len(data), err)
		}
	}
	// The file, and the missing one in two spellings.
	if n := up.asked.Load(); n != 3 || steps != 17 {
		t.Errorf("the upstream was asked %d times in %d steps", n, steps)
	}
}
