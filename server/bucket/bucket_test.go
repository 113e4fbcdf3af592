package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
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

// TestObjectChanges: every way in which an object is not any more what it was.
func TestObjectChanges(t *testing.T) {
	s, c := open(t)
	n := bucket.Name{Bucket: s.Bucket, Key: "vm.core"}
	s.Put(t, n.Key, bytes.NewReader(noise(4, 1000)), 1000)
	o, err := c.Stat(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if got := r.Header.Get("If-Match"); got != `"`+o.ETag+`"` {
			t.Errorf("If-Match: %s", got)
		}
		return buckettest.Fault{}
	})
	if body, err := o.Range(t.Context(), 10, 10); err != nil {
		t.Error(err)
	} else {
		body.Close()
	}
	for _, row := range []struct {
		name  string
		do    func(t *testing.T)
		fault buckettest.Fault
		say   string
	}{
		{"replaced", func(t *testing.T) { s.Put(t, n.Key, bytes.NewReader(noise(9, 1000)), 1000) }, buckettest.Fault{}, "was replaced"},
		{"removed", func(t *testing.T) { s.Remove(t, n.Key) }, buckettest.Fault{}, "was removed"},
		{"shorter, with the same ETag", nil, buckettest.Fault{Header: http.Header{"Content-Range": {"bytes 10-19/900"}}}, "became"},
		{"416", nil, buckettest.Fault{Status: 416, Code: "InvalidRange"}, "shorter"},
		{"another ETag", nil, buckettest.Fault{Header: http.Header{"Etag": {`"0123"`}}}, "was replaced"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.Reset()
			s.Put(t, n.Key, bytes.NewReader(noise(4, 1000)), 1000)
			o, err := c.Stat(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			if row.do != nil {
				row.do(t)
			}
			s.Act(func(int, *http.Request) buckettest.Fault { return row.fault })
			_, err = o.Range(t.Context(), 10, 10)
			wantCode(t, err, fault.FileChanged, n.String(), row.say)
		})
	}
}

// TestRefusals: what a store answers, in words.
func TestRefusals(t *testing.T) {
	s, c := open(t)
	s.Put(t, "vm.core", bytes.NewReader(noise(4, 1000)), 1000)
	n := bucket.Name{Bucket: s.Bucket, Key: "vm.core"}
	o, err := c.Stat(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		fault buckettest.Fault
		code  fault.Code
		say   string
	}{
		{buckettest.Fault{Status: 403, Code: "AccessDenied"}, fault.StoreDenied, "AccessDenied"},
		{buckettest.Fault{Status: 403, Code: "InvalidAccessKeyId"}, fault.StoreDenied, "InvalidAccessKeyId"},
		{buckettest.Fault{Status: 400, Code: "ExpiredToken"}, fault.StoreDenied, "expired"},
		{buckettest.Fault{Status: 503, Code: "SlowDown"}, fault.InputUnreadable, "SlowDown"},
		{buckettest.Fault{Status: 500, Code: "InternalError"}, fault.InputUnreadable, "InternalError"},
		{buckettest.Fault{Drop: true}, fault.InputUnreadable, "did not answer"},
	} {
		t.Run(row.fault.Code, func(t *testing.T) {
			s.Reset()
			s.Act(func(int, *http.Request) buckettest.Fault { return row.fault })
			_, err := o.Range(t.Context(), 0, 10)
			wantCode(t, err, row.code, n.String(), row.say)
			if strings.Contains(err.Error(), "http") {
				t.Errorf("%q has the request's address", err)
			}
		})
	}
	s.Reset()
	_, err = c.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "no"})
	wantCode(t, err, fault.InputUnreadable, "there is no object s3://cores/no")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is no fs.ErrNotExist", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = o.Range(ctx, 0, 10)
	wantCode(t, err, fault.Cancelled)
}

// TestRefusedLooks: a HEAD that is refused has no text; the reason is found out.
func TestRefusedLooks(t *testing.T) {
	s, c := open(t)
	s.Put(t, "vm.core", bytes.NewReader(noise(4, 1000)), 1000)
	n := bucket.Name{Bucket: s.Bucket, Key: "vm.core"}
	for _, row := range []struct {
		status int
		xml    string
		code   fault.Code
		say    string
	}{
		{403, "AccessDenied", fault.StoreDenied, "AccessDenied"},
		{403, "InvalidAccessKeyId", fault.StoreDenied, "InvalidAccessKeyId"},
		{403, "RequestTimeTooSkewed", fault.StoreDenied, "clocks"},
		{400, "InvalidBucketName", fault.InputUnreadable, "InvalidBucketName"},
	} {
		s.Act(func(int, *http.Request) buckettest.Fault { return buckettest.Fault{Status: row.status, Code: row.xml} })
		_, err := c.Stat(t.Context(), n)
		wantCode(t, err, row.code, n.String(), row.say)
		_, err = c.Begin(t.Context(), n, false)
		wantCode(t, err, map[fault.Code]fault.Code{fault.StoreDenied: fault.StoreDenied, fault.InputUnreadable: fault.OutputFailed}[row.code], n.String(), row.say)
	}
	// Where the byte is given, the look's own refusal is all there is to say.
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if r.Method == http.MethodHead {
			return buckettest.Fault{Status: http.StatusForbidden}
		}
		return buckettest.Fault{}
	})
	_, err := c.Stat(t.Context(), n)
	wantCode(t, err, fault.StoreDenied)
	s.Act(nil)
	// There is no bucket, or no such user.
	_, err = c.Stat(t.Context(), bucket.Name{Bucket: "nowhere", Key: "vm.core"})
	wantCode(t, err, fault.InputUnreadable, "s3://nowhere/vm.core", "no such bucket")
	t.Setenv("AWS_ACCESS_KEY_ID", "nobody")
	nobody, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	_, err = nobody.Stat(t.Context(), n)
	wantCode(t, err, fault.InputUnreadable, "No user exists")
	t.Setenv("AWS_ACCESS_KEY_ID", buckettest.AccessKey)
	// The store is asked in another region than its own.
	other, err := bucket.Open(bucket.Options{Endpoint: s.URL, Region: "elsewhere-1"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = other.Stat(t.Context(), n)
	wantCode(t, err, fault.InputUnreadable, "elsewhere-1", buckettest.Region)
}

// TestListThatIsCut: the list goes on where it ended. It comes in two answers.
func TestListThatIsCut(t *testing.T) {
	s, c := open(t)
	s.Put(t, "in/0000.core", strings.NewReader("core"), 4)
	const objects = 1003
	for i := 1; i < objects; i++ {
		if err := os.WriteFile(s.Path(fmt.Sprintf("in/%04d.core", i)), []byte("core"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range []buckettest.Fault{{Cut: 300}, {Status: 400, Code: "ExpiredToken"}} {
		s.Reset()
		s.Act(func(n int, _ *http.Request) buckettest.Fault {
			if n == 2 {
				return f
			}
			return buckettest.Fault{}
		})
		var keys []string
		for o, err := range c.List(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "in/"}) {
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, o.Name.Key)
		}
		if n := len(keys); n != objects || len(slices.Compact(keys)) != n || len(s.Requests()) != 3 {
			t.Errorf("%d keys, %d of them different, by %d requests", n, len(slices.Compact(keys)), len(s.Requests()))
		}
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

// TestSilence: a store that says nothing is not waited for without end, but while it
// copies.
func TestSilence(t *testing.T) {
	s, patient := open(t)
	s.Put(t, "vm.core", bytes.NewReader(noise(4, 6<<20)), 6<<20)
	n := bucket.Name{Bucket: s.Bucket, Key: "vm.core"}
	from, err := patient.Stat(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	u, err := patient.Begin(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.dmp"}, false)
	if err != nil {
		t.Fatal(err)
	}
	bucket.Impatience(t)
	hasty, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	s.Act(func(int, *http.Request) buckettest.Fault { return buckettest.Fault{Stall: true} })
	_, err = hasty.Stat(t.Context(), n)
	wantCode(t, err, fault.InputUnreadable, "did not answer")
	s.Act(func(int, *http.Request) buckettest.Fault { return buckettest.Fault{Wait: 3 * bucket.Patience()} })
	if err := bucket.Of(u, hasty).Copy(t.Context(), 1, from, 0, from.Size); err != nil {
		t.Error(err)
	}
	s.Act(nil)
	if err := u.Abort(t.Context()); err != nil {
		t.Error(err)
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
	c, err := bucket.Open(bucket.Options{Endpoint: s.URL, Renewal: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
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
	_, err = c.Begin(t.Context(), to, false)
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
	c, err := bucket.Open(bucket.Options{Endpoint: s.URL, Renewal: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
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
	store := func(renewal time.Duration) *bucket.Store {
		c, err := bucket.Open(bucket.Options{Endpoint: s.URL, Renewal: renewal})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
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
	c, err := bucket.Open(bucket.Options{Endpoint: s.URL, Renewal: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
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

// TestOddKeys: a key is a key, whatever is in it.
func TestOddKeys(t *testing.T) {
	s, c := open(t)
	core := noise(1, 6<<20)
	for _, key := range []string{
		"plain", "with space", "plus+plus", "per%cent %41", "quest?ion=1&x", "ha#sh", "ünï/çødé 核", "quo\"te'", "semi;colon,comma", "a/b/c.d/e", "tilde~$*()!@:=", "back\\slash", "<tag>&amp;",
	} {
		t.Run(key, func(t *testing.T) {
			s.Put(t, key, bytes.NewReader(core), int64(len(core)))
			n, err := bucket.Parse("s3://" + s.Bucket + "/" + key)
			if err != nil {
				t.Fatal(err)
			}
			o, err := c.Stat(t.Context(), n)
			if err != nil {
				t.Fatal(err)
			}
			body, err := o.Range(t.Context(), 5, 100)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(read(t, body), core[5:105]) {
				t.Error("other bytes")
			}
			body.Close()
			u, err := c.Begin(t.Context(), bucket.Name{Bucket: s.Bucket, Key: key + ".dmp"}, false)
			if err != nil {
				t.Fatal(err)
			}
			if err := u.Copy(t.Context(), 1, o, 0, o.Size); err != nil {
				t.Fatal(err)
			}
			if _, err := u.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(read(t, s.Get(t, key+".dmp")), core) {
				t.Error("the copy has other bytes")
			}
		})
	}
	seen := 0
	for o, err := range c.List(t.Context(), bucket.Name{Bucket: s.Bucket}) {
		if err != nil {
			t.Fatal(err)
		}
		if o.Size == int64(len(core)) {
			seen++
		}
	}
	if seen != 26 {
		t.Errorf("%d objects are listed, want 26", seen)
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
