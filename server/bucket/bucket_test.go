package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
)

// open gives a store and the client for it.
func open(t *testing.T) (*buckettest.Store, *bucket.Store) {
	t.Helper()
	s := buckettest.Start(t)
	c, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

// noise is n bytes that no two seeds share.
func noise(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	r.Read(p)
	return p
}

func read(t *testing.T, r io.Reader) []byte {
	t.Helper()
	if r == nil {
		t.Fatal("there is no object")
	}
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func reader(p []byte) func() io.Reader {
	return func() io.Reader { return io.MultiReader(bytes.NewReader(p)) } // nothing that could seek
}

func wantCode(t *testing.T, err error, code fault.Code, words ...string) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%v (%T), want %s", err, err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
}

func TestParse(t *testing.T) {
	for s, want := range map[string]bucket.Name{
		"s3://b/k":          {Bucket: "b", Key: "k"},
		"s3://b/a/b c?d%20": {Bucket: "b", Key: "a/b c?d%20"},
		"s3://b//k":         {Bucket: "b", Key: "/k"},
		"s3://b":            {Bucket: "b"},
		"s3://b/a/":         {Bucket: "b", Key: "a/"},
	} {
		if n, err := bucket.Parse(s); err != nil || n != want {
			t.Errorf("%s: %+v, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "b/k", "s3:/b/k", "s3:///k", "https://b/k", "s3://user:secret@b/k"} {
		if n, err := bucket.Parse(s); err == nil {
			t.Errorf("%s was taken for %+v", s, n)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q tells a secret", err)
		}
	}
}

// TestUploadOfParts: copied and uploaded parts make an object that was nowhere to be
// seen before, and nothing else stays.
func TestUploadOfParts(t *testing.T) {
	s, c := open(t)
	core := noise(1, 12<<20)
	s.Put(t, "in/vm.core", bytes.NewReader(core), int64(len(core)))
	from, err := c.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "in/vm.core"})
	if err != nil || from.Size != int64(len(core)) || from.ETag == "" {
		t.Fatalf("%+v, %v", from, err)
	}
	to := bucket.Name{Bucket: s.Bucket, Key: "out/vm.dmp"}
	u, err := c.Begin(t.Context(), to, false)
	if err != nil {
		t.Fatal(err)
	}
	head, tail := noise(2, bucket.MinPart), noise(3, 77)
	s.Reset()
	if err := errors.Join(u.Put(t.Context(), 3, 77, reader(tail)), u.Copy(t.Context(), 2, from, 4097, 6<<20), u.Put(t.Context(), 1, bucket.MinPart, reader(head))); err != nil {
		t.Fatal(err)
	}
	if up, _ := s.Bytes(); up < bucket.MinPart || up > bucket.MinPart+200<<10 {
		t.Errorf("%d bytes went up for %d", up, bucket.MinPart+77)
	}
	if s.Get(t, to.Key) != nil {
		t.Error("the object is there before it is complete")
	}
	done, err := u.Complete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read(t, s.Get(t, to.Key)), slices.Concat(head, core[4097:4097+6<<20], tail)) {
		t.Error("the object has other bytes")
	}
	if !strings.HasSuffix(done.ETag, "-3") || done.Unguarded {
		t.Errorf("%+v", done)
	}
	t.Logf("%+v", done)
	if list := s.Uploads(t); len(list) > 0 {
		t.Errorf("uploads left: %v", list)
	}
}

// TestNothingIsReplaced: what comes between the look and the end stays.
func TestNothingIsReplaced(t *testing.T) {
	s, c := open(t)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	u, err := c.Begin(t.Context(), to, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Put(t.Context(), 1, 5, reader([]byte("later"))); err != nil {
		t.Fatal(err)
	}
	s.Put(t, to.Key, strings.NewReader("first"), 5)
	_, err = u.Complete(t.Context())
	wantCode(t, err, fault.OutputExists, "s3://cores/vm.dmp")
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
	}
	_, err = c.Create(t.Context(), to, 5, reader([]byte("later")), false)
	wantCode(t, err, fault.OutputExists)
	_, err = c.Begin(t.Context(), to, false)
	wantCode(t, err, fault.OutputExists)
	// A conflict with another write says that something is there only if it is.
	conflict := func(_ int, r *http.Request) buckettest.Fault {
		if r.Method == http.MethodPut {
			return buckettest.Fault{Status: http.StatusConflict, Code: "ConditionalRequestConflict"}
		}
		return buckettest.Fault{}
	}
	s.Act(conflict)
	_, err = c.Create(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "other.dmp"}, 5, reader([]byte("later")), false)
	wantCode(t, err, fault.OutputFailed, "ConditionalRequestConflict")
	s.Act(nil)
	if got := read(t, s.Get(t, to.Key)); string(got) != "first" {
		t.Errorf("replaced by %q", got)
	}
	// Who asks for it gets it.
	if _, err := c.Create(t.Context(), to, 5, reader([]byte("later")), true); err != nil {
		t.Error(err)
	}
	if got := read(t, s.Get(t, to.Key)); string(got) != "later" {
		t.Errorf("not replaced: %q", got)
	}
	if list := s.Uploads(t); len(list) > 0 {
		t.Errorf("uploads left: %v", list)
	}
}

// TestLostAnswers: the store did it, and nobody heard. It is not taken for somebody
// else's.
func TestLostAnswers(t *testing.T) {
	s, c := open(t)
	for _, what := range []string{"CompleteMultipartUpload", "UploadPart", "PutObject"} {
		t.Run(what, func(t *testing.T) {
			to := bucket.Name{Bucket: s.Bucket, Key: what}
			lost := false
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				if buckettest.Name(r) != what || lost || r.URL.Query().Get("partNumber") == "10000" {
					return buckettest.Fault{}
				}
				lost = true
				return buckettest.Fault{Late: true}
			})
			defer s.Reset()
			var err error
			if what == "PutObject" {
				_, err = c.Create(t.Context(), to, 5, reader([]byte("bytes")), false)
			} else {
				var u *bucket.Upload
				if u, err = c.Begin(t.Context(), to, false); err == nil {
					if err = u.Put(t.Context(), 1, 5, reader([]byte("bytes"))); err == nil {
						_, err = u.Complete(t.Context())
					}
				}
			}
			if err != nil || !lost {
				t.Fatalf("%v, an answer was lost: %v", err, lost)
			}
			if got := read(t, s.Get(t, to.Key)); string(got) != "bytes" {
				t.Errorf("%q", got)
			}
		})
	}
}

// TestTheSameBytes: an object of another run is not taken for one's own because it has
// the same bytes.
func TestTheSameBytes(t *testing.T) {
	s, c := open(t)
	for _, key := range []string{"parts", "one request"} {
		to := bucket.Name{Bucket: s.Bucket, Key: key}
		u, err := c.Begin(t.Context(), to, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.Put(t.Context(), 1, 5, reader([]byte("bytes"))); err != nil {
			t.Fatal(err)
		}
		if key == "parts" {
			other, err := c.Begin(t.Context(), to, false)
			if err != nil {
				t.Fatal(err)
			}
			s.Act(func(_ int, r *http.Request) buckettest.Fault { // the sweep behind it
				if r.Method == http.MethodDelete {
					return buckettest.Fault{Status: http.StatusForbidden, Code: "AccessDenied"}
				}
				return buckettest.Fault{}
			})
			if err := other.Put(t.Context(), 1, 5, reader([]byte("bytes"))); err != nil {
				t.Fatal(err)
			}
			if _, err := other.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Act(nil)
		} else if _, err := c.Create(t.Context(), to, 5, reader([]byte("bytes")), false); err != nil {
			t.Fatal(err)
		}
		_, err = u.Complete(t.Context())
		wantCode(t, err, fault.OutputExists)
		if err := u.Abort(t.Context()); err != nil {
			t.Error(err)
		}
		if left := s.Uploads(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
	}
}

// TestNoAnswerAtTheEnd: that the object is there, and the one that was to be, is seen
// where no answer says so. Its parts are of both kinds.
func TestNoAnswerAtTheEnd(t *testing.T) {
	s, c := open(t)
	s.Put(t, "vm.core", bytes.NewReader(noise(4, 6<<20)), 6<<20)
	from, err := c.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.core"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.Begin(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(u.Copy(t.Context(), 1, from, 0, 6<<20), u.Put(t.Context(), 2, 4, reader([]byte("tail")))); err != nil {
		t.Fatal(err)
	}
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		return buckettest.Fault{Late: buckettest.Name(r) == "CompleteMultipartUpload"}
	})
	if _, err := u.Complete(t.Context()); err != nil {
		t.Error(err)
	}
	if got := read(t, s.Get(t, "vm.dmp")); len(got) != 6<<20+4 {
		t.Errorf("%d bytes", len(got))
	}
}

// TestWeather: what passes is not noticed.
func TestWeather(t *testing.T) {
	s, c := open(t)
	s.Put(t, "vm.core", bytes.NewReader(noise(4, 6<<20)), 6<<20)
	from, err := c.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.core"})
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]buckettest.Fault{
		"slow down": {Status: 503, Code: "SlowDown"}, "internal": {Status: 500, Code: "InternalError"},
		"dropped": {Drop: true}, "throttled": {Status: 429, Code: "TooManyRequests"},
	} {
		t.Run(name, func(t *testing.T) {
			to := bucket.Name{Bucket: s.Bucket, Key: name}
			seen := map[string]bool{} // each request fails once
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				what := buckettest.Name(r) + r.URL.Query().Get("partNumber")
				if seen[what] {
					return buckettest.Fault{}
				}
				seen[what] = true
				return f
			})
			defer s.Reset()
			u, err := c.Begin(t.Context(), to, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(u.Copy(t.Context(), 1, from, 0, from.Size), u.Put(t.Context(), 2, 4, reader([]byte("tail")))); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := read(t, s.Get(t, name)); len(got) != 6<<20+4 || string(got[6<<20:]) != "tail" {
				t.Errorf("%d bytes", len(got))
			}
			for _, what := range []string{"UploadPartCopy1", "UploadPart2", "CompleteMultipartUpload"} {
				if !seen[what] {
					t.Errorf("no %s was made to fail", what)
				}
			}
		})
	}
}

// TestPartsThatAreNotCopied: a store that cannot, or not from there, is told apart
// from an object that changed.
func TestPartsThatAreNotCopied(t *testing.T) {
	s, c := open(t)
	s.Put(t, "vm.core", bytes.NewReader(noise(4, 6<<20)), 6<<20)
	from, err := c.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.core"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := c.Begin(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}, false)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Abort(context.Background())
	for _, f := range []buckettest.Fault{{Status: 501, Code: "NotImplemented"}, {Status: 403, Code: "AccessDenied"}, {Status: 405, Code: "MethodNotAllowed"}} {
		s.Act(func(int, *http.Request) buckettest.Fault { return f })
		if err := u.Copy(t.Context(), 1, from, 0, 6<<20); !errors.Is(err, bucket.ErrNoCopy) || !strings.Contains(err.Error(), f.Code) {
			t.Errorf("%s: %v", f.Code, err)
		}
	}
	s.Act(func(int, *http.Request) buckettest.Fault {
		return buckettest.Fault{Status: 429, Code: "TooManyRequests"}
	})
	if err := u.Copy(t.Context(), 1, from, 0, 6<<20); errors.Is(err, bucket.ErrNoCopy) || !fault.Is(err, fault.OutputFailed) {
		t.Errorf("a store that is busy: %v", err)
	}
	s.Reset()
	s.Put(t, "vm.core", bytes.NewReader(noise(5, 6<<20)), 6<<20)
	wantCode(t, u.Copy(t.Context(), 1, from, 0, 6<<20), fault.FileChanged, "was replaced")
	s.Remove(t, "vm.core")
	wantCode(t, u.Copy(t.Context(), 1, from, 0, 6<<20), fault.FileChanged, "was removed")
}

// TestStoreWithoutConditions: where If-None-Match is refused, what is there is looked
// for just before; nothing is replaced that was there then.
func TestStoreWithoutConditions(t *testing.T) {
	s, c := open(t)
	refuse := func(_ int, r *http.Request) buckettest.Fault {
		if r.Header.Get("If-None-Match") != "" {
			return buckettest.Fault{Status: 501, Code: "NotImplemented"}
		}
		return buckettest.Fault{}
	}
	s.Act(refuse)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	done, err := c.Create(t.Context(), to, 5, reader([]byte("bytes")), false)
	if err != nil || !done.Unguarded {
		t.Fatalf("%+v, %v", done, err)
	}
	s.Act(nil)
	other := bucket.Name{Bucket: s.Bucket, Key: "other.dmp"}
	u, err := c.Begin(t.Context(), other, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Put(t.Context(), 1, 5, reader([]byte("later"))); err != nil {
		t.Fatal(err)
	}
	s.Act(refuse)
	s.Put(t, other.Key, strings.NewReader("first"), 5)
	_, err = u.Complete(t.Context())
	wantCode(t, err, fault.OutputExists)
	if got := read(t, s.Get(t, other.Key)); string(got) != "first" {
		t.Errorf("replaced by %q", got)
	}
	u.Abort(t.Context())
	// Where the look is refused too, nobody knows what would be replaced.
	s.Act(func(n int, r *http.Request) buckettest.Fault {
		if r.Method == http.MethodHead {
			return buckettest.Fault{Status: http.StatusForbidden}
		}
		return refuse(n, r)
	})
	_, err = c.Create(t.Context(), other, 5, reader([]byte("later")), false)
	wantCode(t, err, fault.StoreDenied, "no conditional writes")
	if got := read(t, s.Get(t, other.Key)); string(got) != "first" {
		t.Errorf("replaced by %q", got)
	}
}

// TestEndpoint: what cannot be a store's address is refused before anything is asked.
func TestEndpoint(t *testing.T) {
	buckettest.Environment(t)
	for _, e := range []string{"store.example", "ftp://store.example", "https://user:secret@store.example", "https://store.example/path", "https://"} {
		_, err := bucket.Open(bucket.Options{Endpoint: e})
		wantCode(t, err, fault.BadOption)
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q tells a secret", err)
		}
	}
}

// TestTheEndIsNotWaitedFor: a store that hangs does not hold whoever gave up.
func TestTheEndIsNotWaitedFor(t *testing.T) {
	bucket.Hurry(t)
	s, c := open(t)
	to := bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}
	for _, what := range []string{"PutObject", "UploadPart"} { // the mark is a part
		ctx, cancel := context.WithCancel(t.Context())
		hangs := false
		s.Act(func(_ int, r *http.Request) buckettest.Fault {
			if hangs = hangs || buckettest.Name(r) == what; !hangs {
				return buckettest.Fault{}
			}
			return buckettest.Fault{Before: cancel, Stall: true}
		})
		var err error
		if what == "PutObject" {
			_, err = c.Create(ctx, to, 5, reader([]byte("bytes")), false)
		} else {
			_, err = c.Begin(ctx, to, false)
		}
		wantCode(t, err, fault.Cancelled)
	}
}
