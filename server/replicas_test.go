//go:build linux

package main

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"coredrop/server/bucket/buckettest"
)

// replica runs a server with a cache of its own that shares a bucket, which it finds as
// other tools do.
func replica(t *testing.T, s *buckettest.Store, up *library) *running {
	t.Helper()
	t.Setenv("AWS_ENDPOINT_URL_S3", s.URL)
	return launch(t, 4096, "-cache", t.TempDir(), "-upstream", up.URL, "-shared", "s3://"+s.Bucket+"/symbols")
}

// object waits until a build is in the bucket, and gives it.
func object(t *testing.T, s *buckettest.Store, b build) []byte {
	t.Helper()
	for {
		if r := s.Get(t, "symbols/"+strings.ToLower(b.key.Name)+"/"+b.key.ID+"/"+strings.ToLower(b.key.Name)); r != nil {
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
		time.Sleep(10 * time.Millisecond) // it is written behind
	}
}

// mostResident is what a server may have in memory at most, in KiB.
const mostResident = 96 << 10

// A PDB that one server fetched the other one serves, and the upstream is asked once:
// small ones and large ones, one client and five hundred.
func TestReplicasShareOneBucket(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    int
		clients int
		writes  []string
	}{
		{"small", 12 << 20, min(500, openFiles(t)/3), []string{"PutObject"}},
		{"large", 130 << 20, 3, []string{"CreateMultipartUpload", "CompleteMultipartUpload"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := buckettest.Start(t)
			b := builds(t, 1, c.size)[0]
			up := newLibrary(t, []build{b})
			first, second := replica(t, s, up), replica(t, s, up)
			if text := first.wants(crowd(1), b); text != "" {
				t.Fatal(text)
			}
			if !bytes.Equal(object(t, s, b), b.data) {
				t.Fatal("the bucket has another file")
			}
			for _, what := range c.writes {
				if s.Count(what) != 1 {
					t.Errorf("%d times %s: %q", s.Count(what), what, s.Requests())
				}
			}
			s.Reset()
			all, wrong := crowd(c.clients), make([]string, c.clients)
			var group sync.WaitGroup
			for i := range wrong {
				group.Go(func() { wrong[i] = second.wants(all, b) })
			}
			group.Wait()
			for i, text := range wrong {
				if text != "" {
					t.Fatalf("client %d: %s", i, text)
				}
			}
			if got := s.Requests(); up.asked.Load() != 1 || !slices.Equal(got, []string{"HeadObject", "GetObject"}) {
				t.Errorf("the upstream was asked %d times, the bucket %q", up.asked.Load(), got)
			}
			a, z := first.status(t, "VmHWM"), second.status(t, "VmHWM")
			t.Logf("%d and %d KiB resident at most", a, z)
			if a > mostResident || z > mostResident {
				t.Errorf("%d and %d KiB were resident", a, z)
			}
		})
	}
}

// A server that is killed while it writes leaves nothing that another one could take for
// a file, and nothing that stays when the next one has written it.
func TestReplicaIsKilledWhileItWrites(t *testing.T) {
	for _, c := range []struct {
		name, at, number string
		size             int
	}{
		{"in one request", "PutObject", "", 30 << 20},
		{"in parts", "UploadPart", "2", 80 << 20},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := buckettest.Start(t)
			b := builds(t, 1, c.size)[0]
			up := newLibrary(t, []build{b})
			first := replica(t, s, up)
			served, killed := make(chan struct{}), make(chan struct{})
			kill := sync.OnceFunc(func() {
				<-served // its client has the file before the bucket has
				first.kill()
				close(killed)
			})
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				if buckettest.Name(r) == c.at && r.URL.Query().Get("partNumber") == c.number {
					return buckettest.Fault{Before: kill} // what is on its way goes on
				}
				return buckettest.Fault{}
			})
			text := first.wants(crowd(1), b)
			close(served)
			if text != "" {
				t.Fatal(text)
			}
			<-killed
			s.Reset()
			if got := s.Keys(t); len(got) > 0 {
				t.Errorf("left: %q", got)
			}
			second := replica(t, s, up)
			if text := second.wants(crowd(1), b); text != "" {
				t.Fatal(text)
			}
			if !bytes.Equal(object(t, s, b), b.data) || up.asked.Load() != 2 {
				t.Errorf("it is another file; the upstream was asked %d times", up.asked.Load())
			}
			for len(s.Uploads(t)) > 0 { // the last request is to abort the other one's
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}
