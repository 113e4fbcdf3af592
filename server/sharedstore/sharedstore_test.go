package sharedstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/core/symstore/storetest"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
	"coredrop/server/sharedstore"
)

// open gives a store of symbols below a prefix of a running object store.
func open(t *testing.T, s *buckettest.Store, below string) *sharedstore.Store {
	t.Helper()
	objects, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	return sharedstore.New(objects, bucket.Name{Bucket: s.Bucket, Key: below})
}

func TestConformance(t *testing.T) {
	s := buckettest.Start(t)
	storetest.RunFirstStays(t, func(t *testing.T) symstore.Store { return open(t, s, t.Name()+"/") })
	if list := s.Uploads(t); len(list) > 0 {
		t.Errorf("uploads left: %q", list)
	}
}

// TestLayout: other tools find the files where a symbol store has them.
func TestLayout(t *testing.T) {
	s := buckettest.Start(t)
	k, data := storetest.PDB(1, 100)
	k.Name = "NtKrnlMp.pdb"
	for _, below := range []string{"", "symbols/"} {
		if err := open(t, s, below).Put(t.Context(), k, bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
	}
	path := "ntkrnlmp.pdb/" + k.ID + "/ntkrnlmp.pdb"
	if got := s.Keys(t); !slices.Equal(got, []string{path, "symbols/" + path}) {
		t.Errorf("%q", got)
	}
}

// TestOneRequest: a file is read as a whole in one request, of the version that was
// looked at; so is a range of it.
func TestOneRequest(t *testing.T) {
	s := buckettest.Start(t)
	k, data := storetest.PDB(1, 1<<20)
	if err := open(t, s, "").Put(t.Context(), k, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	s.Reset()
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if r.Method == http.MethodGet && r.Header.Get("If-Match") == "" {
			t.Error("any version would do")
		}
		return buckettest.Fault{}
	})
	f, err := open(t, s, "").Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream(t, f); !bytes.Equal(got, data) {
		t.Errorf("%d bytes", len(got))
	}
	part := make([]byte, 100)
	if _, err := f.ReadAt(part, 500); err != nil || !bytes.Equal(part, data[500:600]) {
		t.Error(err)
	}
	if got := s.Requests(); !slices.Equal(got, []string{"HeadObject", "GetObject", "GetObject"}) {
		t.Errorf("%q", got)
	}
	_, down := s.Bytes()
	if down != int64(len(data)+len(part)) {
		t.Errorf("%d bytes came for %d", down, len(data)+len(part))
	}
	s.Put(t, k.String(), bytes.NewReader(data[:500]), 500)
	if _, err := f.ReadAt(part, 0); !fault.Is(err, fault.FileChanged) {
		t.Errorf("of another version: %v", err)
	}
}

// zeros take up no memory.
type zeros struct{}

func (zeros) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	return len(p), nil
}

// large is what goes in parts; several, the last of them shorter.
func large() *io.SectionReader { return io.NewSectionReader(zeros{}, 0, 2*64<<20+5) }

// TestLargeFilesGoInParts: an object is there when all of it is; and when a part fails
// for good nothing stays.
func TestLargeFilesGoInParts(t *testing.T) {
	s := buckettest.Start(t)
	shared := open(t, s, "")
	k, _ := storetest.PDB(1, 0)
	parts := map[string]int64{}
	var mu sync.Mutex
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if buckettest.Name(r) == "UploadPart" {
			parts[r.URL.Query().Get("partNumber")] = r.ContentLength
			if s.Get(t, k.String()) != nil {
				t.Error("it is there before it is whole")
			}
		}
		return buckettest.Fault{}
	})
	if err := shared.Put(t.Context(), k, large()); err != nil {
		t.Fatal(err)
	}
	if len(parts) != 4 || parts["1"] < 64<<20 || parts["3"] > 1000 || parts["10000"] == 0 { // and the mark
		t.Errorf("%v", parts)
	}
	f, err := shared.Get(t.Context(), k)
	if err != nil || f.Size() != large().Size() {
		t.Fatalf("%v, %v", f, err)
	}
	other, _ := storetest.PDB(2, 0)
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if r.URL.Query().Get("partNumber") == "2" {
			return buckettest.Fault{Status: 403, Code: "AccessDenied"}
		}
		return buckettest.Fault{}
	})
	if err := shared.Put(t.Context(), other, large()); !fault.Is(err, fault.StoreDenied) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("the server ends")
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if r.URL.Query().Get("partNumber") == "2" {
			return buckettest.Fault{Before: func() { cancel(why) }, Stall: true}
		}
		return buckettest.Fault{}
	})
	if err := shared.Put(ctx, other, large()); !fault.Is(err, fault.Cancelled) || !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	s.Reset()
	if keys, uploads := s.Keys(t), s.Uploads(t); len(keys) != 1 || len(uploads) != 0 {
		t.Errorf("left: %q, unfinished %q", keys, uploads)
	}
}

// TestTwoWriters: of two who store the same file one wins, and both are content,
// whether the loser finds out at the beginning or at the end.
func TestTwoWriters(t *testing.T) {
	s := buckettest.Start(t)
	k, data := storetest.PDB(1, 1000)
	for _, c := range []struct {
		what string
		data func() io.Reader
		last string // the request that comes too late
	}{{"small", func() io.Reader { return bytes.NewReader(data) }, "PutObject"}, {"large", func() io.Reader { return large() }, "CompleteMultipartUpload"}} {
		shared := open(t, s, c.what+"/")
		first := "what the other one wrote"
		var once sync.Once
		s.Act(func(_ int, r *http.Request) buckettest.Fault {
			if buckettest.Name(r) == c.last {
				once.Do(func() { s.Put(t, c.what+"/"+k.String(), strings.NewReader(first), int64(len(first))) })
			}
			return buckettest.Fault{}
		})
		for range 2 {
			if err := shared.Put(t.Context(), k, c.data()); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		if got, err := io.ReadAll(s.Get(t, c.what+"/"+k.String())); err != nil || string(got) != first {
			t.Errorf("%s: it was replaced by %d bytes, %v", c.what, len(got), err)
		}
		if list := s.Uploads(t); len(list) > 0 {
			t.Errorf("%s: uploads left: %q", c.what, list)
		}
	}
}

// TestNoRangeOfNothing: an empty object is not read, which stores refuse.
func TestNoRangeOfNothing(t *testing.T) {
	s := buckettest.Start(t)
	k, _ := storetest.PDB(1, 0)
	s.Put(t, k.String(), strings.NewReader(""), 0)
	f, err := open(t, s, "").Get(t.Context(), k)
	if err != nil {
		t.Fatal(err)
	}
	if got := stream(t, f); len(got) != 0 || s.Count("GetObject") != 0 {
		t.Errorf("%d bytes: %q", len(got), s.Requests())
	}
}

// stream reads a file in one go.
func stream(t *testing.T, f symstore.File) []byte {
	t.Helper()
	body, err := f.(interface {
		Stream() (io.ReadCloser, error)
	}).Stream()
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestTrouble: what is no file is told from what could not be found out.
func TestTrouble(t *testing.T) {
	s := buckettest.Start(t)
	shared := open(t, s, "")
	k, data := storetest.PDB(1, 1000)
	if _, err := shared.Get(t.Context(), k); !errors.Is(err, fs.ErrNotExist) || fault.Is(err, fault.SymbolsUnreadable) {
		t.Errorf("%v", err)
	}
	for _, f := range []buckettest.Fault{{Status: 403, Code: "AccessDenied"}, {Status: 500, Code: "InternalError"}, {Status: 503, Code: "SlowDown"}, {Drop: true}} {
		s.Act(func(int, *http.Request) buckettest.Fault { return f })
		if _, err := shared.Get(t.Context(), k); !fault.Is(err, fault.SymbolsUnreadable) || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "s3://cores/") {
			t.Errorf("%+v: Get: %v", f, err)
		}
		if err := shared.Put(t.Context(), k, bytes.NewReader(data)); !fault.Is(err, fault.StoreDenied) && !fault.Is(err, fault.OutputFailed) {
			t.Errorf("%+v: Put: %v", f, err)
		}
	}
}

// TestRest: what was read already of a reader is not stored.
func TestRest(t *testing.T) {
	s := buckettest.Start(t)
	shared := open(t, s, "")
	for i, at := range []int64{0, 10} {
		k, data := storetest.PDB(uint64(i), 1000)
		r := bytes.NewReader(data)
		if _, err := io.CopyN(io.Discard, r, at); err != nil {
			t.Fatal(err)
		}
		if err := shared.Put(t.Context(), k, r); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s.Get(t, k.String())); err != nil || !bytes.Equal(got, data[at:]) {
			t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
		}
	}
}

// TestSpoolLeavesNothing: what is not read by ranges lies on the disk for a moment.
func TestSpoolLeavesNothing(t *testing.T) {
	s := buckettest.Start(t)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	k, data := storetest.PDB(1, 1000)
	broken := errors.New("broken")
	for _, r := range []io.Reader{bytes.NewBuffer(data), io.MultiReader(bytes.NewReader(data), failing{broken})} {
		if err := open(t, s, "").Put(t.Context(), k, r); err != nil && !errors.Is(err, broken) {
			t.Error(err)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("left: %v, %v", list, err)
	}
	t.Setenv("TMPDIR", dir+"/missing")
	if err := open(t, s, "").Put(t.Context(), k, bytes.NewBuffer(data)); !fault.Is(err, fault.OutputFailed) {
		t.Errorf("%v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
