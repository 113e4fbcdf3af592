//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"coredrop/core/pdb/pdbtest"
	"coredrop/core/symstore"
	"coredrop/core/words"
)

const nginxConf = `daemon off; worker_processes auto; pid %[1]s/pid; error_log %[1]s/log;
events { worker_connections 2048; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
	client_body_temp_path %[1]s/t; proxy_temp_path %[1]s/t; fastcgi_temp_path %[1]s/t; uwsgi_temp_path %[1]s/t; scgi_temp_path %[1]s/t;
	server { listen %[2]s; root %[3]s; location /symbols/ { alias %[3]s/; } }
}
`

// nginx serves a directory below /symbols/ and gives its address.
func nginx(b *testing.B, dir string) string {
	b.Helper()
	path, err := exec.LookPath("nginx")
	if err != nil {
		if path, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			b.Skip("there is no nginx here")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	own := b.TempDir()
	conf := filepath.Join(own, "conf")
	// Its workers are another user.
	for _, d := range []string{own, filepath.Dir(own), dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, own, address, dir), 0o644); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(path, "-e", filepath.Join(own, "log"), "-c", conf)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	})
	for range 1000 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return address
		}
		time.Sleep(10 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(own, "log"))
	b.Fatalf("nginx does not answer: %s", log)
	return ""
}

// load asks over so many connections for files by turns until each was asked so
// often, and gives the bytes a second. What comes is counted, not looked at.
func load(b *testing.B, address string, list []build, connections, requests int) float64 {
	b.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() {
			c, err := net.Dial("tcp", address)
			if err != nil {
				b.Error(err)
				return
			}
			defer c.Close()
			r := bufio.NewReaderSize(c, 128<<10)
			for n := range requests / connections {
				if _, err := fmt.Fprintf(c, "GET /symbols/%s HTTP/1.1\r\nHost: x\r\n\r\n", list[(i+n)%len(list)].key); err != nil {
					b.Error(err)
					return
				}
				response, err := http.ReadResponse(r, nil)
				if err != nil {
					b.Error(err)
					return
				}
				if got, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != 200 || got != int64(len(list[0].data)) {
					b.Errorf("%s: %d bytes, %v", response.Status, got, err)
					return
				}
			}
		})
	}
	all.Wait()
	return float64(requests/connections*connections) * float64(len(list[0].data)) / time.Since(began).Seconds()
}

// padded gives PDBs of about so many bytes.
func padded(b *testing.B, n, size int) []build {
	b.Helper()
	list := make([]build, n)
	for i := range list {
		guid := [16]byte{byte(i + 1)}
		key, err := symstore.PDBKey("a.pdb", guid, 1)
		if err != nil {
			b.Fatal(err)
		}
		list[i] = build{key, pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, Padding: size * 3 / 4, BlockSize: 4096})}
		list[i].data = pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, Padding: size*3/4 + max(0, size-len(list[i].data))})
	}
	return list
}

// BenchmarkServeAgainstNginx asks the proxy for files of its cache, and nginx for
// the same files, by turns.
func BenchmarkServeAgainstNginx(b *testing.B) {
	for _, size := range []int{12 << 20, 45 << 10} {
		dir := b.TempDir()
		list := padded(b, 20, size)
		for _, p := range list {
			if err := putFile(dir, p.key.String(), p.data); err != nil {
				b.Fatal(err)
			}
		}
		other := nginx(b, dir)
		r := launch(b, 8192, "-cache", dir, "-upstream", "none")
		own := strings.TrimPrefix(r.url, "http://")
		for _, connections := range []int{16, 500} {
			requests := max(connections, int(int64(3<<30)/int64(size))/max(1, 12<<20/size/64))
			b.Run(fmt.Sprintf("%s, %d connections", words.Bytes(int64(size)), connections), func(b *testing.B) {
				for b.Loop() {
					var ours, theirs []time.Duration
					for range 4 { // the first of each warms up
						t := load(b, other, list, connections, requests)
						theirs = append(theirs, time.Duration(1e18/t))
						o := load(b, own, list, connections, requests)
						ours = append(ours, time.Duration(1e18/o))
					}
					o, t := float64(median(ours[1:])), float64(median(theirs[1:]))
					fmt.Printf("serve, %s at %d connections: %.0f MB/s, nginx %.0f MB/s, ratio %.2f\n", words.Bytes(int64(size)), connections, 1e12/o, 1e12/t, t/o)
					b.ReportMetric(t/o, "x-nginx")
				}
			})
		}
	}
}
