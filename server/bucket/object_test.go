package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
)

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
