package bucket_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"coredrop/core/fault"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
)

// renewing gives a client that renews its marks so often.
func renewing(t *testing.T, s *buckettest.Store, renewal time.Duration) *bucket.Store {
	t.Helper()
	c, err := bucket.Open(bucket.Options{Endpoint: s.URL, Renewal: renewal})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSweep: what this program left goes, when its run has ended; others' uploads stay.
func TestSweep(t *testing.T) {
	s, c := open(t)
	begin := func(key string) *bucket.Upload {
		u, err := c.Begin(t.Context(), bucket.Name{Bucket: s.Bucket, Key: key}, false)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	begin("out/a.dmp")
	begin("out/a.dmp.more")
	begin("out/b.dmp")
	s.Begin(t, "out/a.dmp") // another tool's
	prefix := bucket.Name{Bucket: s.Bucket, Key: "out/"}
	if n, err := c.Sweep(t.Context(), prefix, bucket.Stale); n != 0 || err != nil {
		t.Fatalf("%d uploads of runs that go on were aborted, %v", n, err)
	}
	// One that makes the object ends the others of the same name.
	u := begin("out/a.dmp")
	if err := u.Put(t.Context(), 1, 5, reader([]byte("bytes"))); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.Uploads(t); !slices.Equal(got, []string{"out/a.dmp", "out/a.dmp.more", "out/b.dmp"}) {
		t.Errorf("left: %q", got)
	}
	if n, err := c.Sweep(t.Context(), prefix, 0); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := s.Uploads(t); !slices.Equal(got, []string{"out/a.dmp"}) {
		t.Errorf("left: %q, only the other tool's should be", got)
	}
}

// TestBeginSweeps: what a run left long ago goes when the next one begins; where the
// object is there, what has just been left too.
func TestBeginSweeps(t *testing.T) {
	s, _ := open(t)
	c := renewing(t, s, time.Hour)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	begin := func() *bucket.Upload {
		t.Helper()
		u, err := c.Begin(t.Context(), to, false)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	begin()
	begin()
	if n := len(s.Uploads(t)); n != 2 {
		t.Fatalf("%d uploads, want both: their marks are young", n)
	}
	s.Age(t, bucket.Stale+time.Minute)
	if err := begin().Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := s.Uploads(t); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	begin()
	s.Put(t, to.Key, strings.NewReader("there"), 5)
	_, err := c.Begin(t.Context(), to, false)
	wantCode(t, err, fault.OutputExists)
	if left := s.Uploads(t); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// TestClaim: of runs that make the same object one goes on at most, and who claimed it
// is not disturbed.
func TestClaim(t *testing.T) {
	s, c := open(t)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	begin := func() *bucket.Upload {
		u, err := c.Begin(t.Context(), to, false)
		if err != nil {
			t.Error(err)
		}
		return u
	}
	claims := func(u *bucket.Upload) bool {
		mine, err := u.Claim(t.Context())
		if err != nil {
			t.Error(err)
		}
		return mine
	}
	end := func(list ...*bucket.Upload) {
		for _, u := range list {
			if err := u.Abort(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	s.Begin(t, to.Key) // another tool's, which does not count
	a := begin()
	if !claims(a) {
		t.Error("the only run may not go on")
	}
	for range 4 { // of names before and behind
		b := begin()
		if claims(b) {
			t.Error("a second run may go on")
		}
		end(b)
	}
	end(a)
	b := begin()
	if !claims(b) {
		t.Error("the run that is left may not go on")
	}
	end(b)
	gone := 0
	for range 20 {
		var all sync.WaitGroup
		uploads, mine := make([]*bucket.Upload, 4), make([]bool, 4)
		for i := range uploads {
			all.Go(func() {
				uploads[i] = begin()
				mine[i] = claims(uploads[i])
			})
		}
		all.Wait()
		n := 0
		for _, m := range mine {
			if m {
				n++
			}
		}
		if n > 1 {
			t.Errorf("%d of four runs go on", n)
		}
		gone += n
		end(uploads...)
	}
	t.Logf("one of four went on %d times of 20", gone)
}

// TestMarkIsRenewed: it tells a run that goes on from one that ended without a word.
func TestMarkIsRenewed(t *testing.T) {
	s, _ := open(t)
	c := renewing(t, s, time.Millisecond)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	u, err := c.Begin(t.Context(), to, false)
	if err != nil {
		t.Fatal(err)
	}
	look := func() bucket.Run {
		runs, err := c.Runs(t.Context(), to)
		if err != nil || len(runs) != 1 {
			t.Fatalf("%v, %v", runs, err)
		}
		return runs[0]
	}
	first := look()
	for look() == first { // until the test's own time is over
	}
	if err := u.Abort(t.Context()); err != nil {
		t.Fatal(err)
	}
	if runs, err := c.Runs(t.Context(), to); len(runs) != 0 || err != nil {
		t.Errorf("%v, %v", runs, err)
	}
}

// TestAwait: a run that goes on is waited for, what is left of one that ended without
// a word is removed.
func TestAwait(t *testing.T) {
	s, _ := open(t)
	store := func(renewal time.Duration) *bucket.Store { return renewing(t, s, renewal) }
	begin := func(c *bucket.Store, key string) (bucket.Name, *bucket.Upload) {
		to := bucket.Name{Bucket: s.Bucket, Key: key}
		u, err := c.Begin(t.Context(), to, false)
		if err != nil {
			t.Fatal(err)
		}
		return to, u
	}
	to, _ := begin(store(time.Hour), "dead.dmp") // its mark is not renewed before the test ends
	if err := store(time.Millisecond).Await(t.Context(), to, false); err != nil {
		t.Fatal(err)
	}
	if left := s.Uploads(t); len(left) > 0 {
		t.Errorf("left: %q", left)
	}

	c := store(time.Second)
	to, u := begin(c, "alive.dmp")
	if err := u.Put(t.Context(), 1, 5, reader([]byte("bytes"))); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	done := make(chan error, 1)
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if buckettest.Name(r) == "ListMultipartUploads" && s.Count("ListMultipartUploads") == 5 {
			go func() {
				_, err := u.Complete(t.Context())
				done <- err
			}()
		}
		return buckettest.Fault{}
	})
	if err := c.Await(t.Context(), to, false); err != nil {
		t.Fatal(err)
	}
	if there, err := c.Exists(t.Context(), to); !there || err != nil {
		t.Errorf("it did not wait for the object: %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestAwaitOneThatReplaces: a run that replaces an object is waited for too, though the
// object is there all along.
func TestAwaitOneThatReplaces(t *testing.T) {
	s, _ := open(t)
	c := renewing(t, s, 200*time.Millisecond)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	s.Put(t, to.Key, strings.NewReader("before"), 6)
	u, err := c.Begin(t.Context(), to, true)
	if err != nil {
		t.Fatal(err)
	}
	s.Reset()
	looks := 0
	ended := make(chan error, 1)
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if buckettest.Name(r) != "ListMultipartUploads" {
			return buckettest.Fault{}
		}
		if looks++; looks == 5 {
			ended <- u.Abort(t.Context())
		}
		return buckettest.Fault{}
	})
	if err := c.Await(t.Context(), to, true); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error("it did not wait for the run")
	}
}

// TestUploadsOfOddKeys: marks are found whatever is in the key.
func TestUploadsOfOddKeys(t *testing.T) {
	s, c := open(t)
	keys := []string{"a b+c%41?&=;,ünï 核<&>\"'", "z//last"}
	for _, key := range keys {
		to := bucket.Name{Bucket: s.Bucket, Key: key}
		if _, err := c.Begin(t.Context(), to, false); err != nil {
			t.Fatal(err)
		}
		if runs, err := c.Runs(t.Context(), to); len(runs) != 1 || err != nil {
			t.Errorf("%s: %v, %v", key, runs, err)
		}
	}
	if n, err := c.Sweep(t.Context(), bucket.Name{Bucket: s.Bucket}, 0); n != len(keys) || err != nil {
		t.Errorf("%d uploads were found, want %d: %v", n, len(keys), err)
	}
}

// TestPagesOfUploads: a list that comes in several answers is asked for to its end. The
// store of the other tests gives no second one of a key.
func TestPagesOfUploads(t *testing.T) {
	buckettest.Environment(t)
	const mark = `<ListPartsResult><Part><PartNumber>10000</PartNumber><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>"0"</ETag><Size>%d</Size></Part></ListPartsResult>`
	size := 0
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.Method == http.MethodPut:
			size, _ = strconv.Atoi(r.Header.Get("X-Amz-Decoded-Content-Length"))
			w.Header().Set("Etag", `"0"`)
		case r.Method == http.MethodPost:
			io.WriteString(w, `<InitiateMultipartUploadResult><UploadId>new</UploadId></InitiateMultipartUploadResult>`)
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case q.Has("uploadId"):
			fmt.Fprintf(w, mark, size)
		case q.Get("key-marker") == "":
			io.WriteString(w, `<ListMultipartUploadsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k%20</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker><EncodingType>url</EncodingType><Upload><Key>k%20</Key><UploadId>1</UploadId></Upload></ListMultipartUploadsResult>`)
		case q.Get("key-marker") == "k " && q.Get("upload-id-marker") == "1":
			io.WriteString(w, `<ListMultipartUploadsResult><EncodingType>url</EncodingType><Upload><Key>k%20</Key><UploadId>2</UploadId></Upload></ListMultipartUploadsResult>`)
		default:
			t.Errorf("%s %s", r.Method, r.URL)
		}
	}))
	defer store.Close()
	c, err := bucket.Open(bucket.Options{Endpoint: store.URL, Renewal: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	to := bucket.Name{Bucket: "cores", Key: "k "}
	if _, err := c.Begin(t.Context(), to, false); err != nil { // its mark has the size that marks have
		t.Fatal(err)
	}
	if runs, err := c.Runs(t.Context(), to); len(runs) != 2 || err != nil {
		t.Errorf("%v, %v", runs, err)
	}
}
