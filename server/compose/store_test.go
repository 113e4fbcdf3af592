package compose_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
	"coredrop/server/compose"
)

// dump is an image of a core in the store.
type dump struct {
	parts []dmp.Part
	bytes []byte
}

func (d *dump) Size() int64       { return int64(len(d.bytes)) }
func (d *dump) Parts() []dmp.Part { return d.parts }
func (d *dump) Scan(ctx context.Context, off, n int64, buf []byte, visit func([]byte) error) error {
	for ; n > 0 && ctx.Err() == nil; n -= int64(len(buf)) {
		piece := buf[:min(n, int64(len(buf)))]
		off += int64(copy(piece, d.bytes[off:]))
		if err := visit(piece); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// scene is a store with a core, and what is to be made of it.
type scene struct {
	*buckettest.Store
	core []byte
	dump *dump
	job  compose.Job
}

// set puts a core of the given length into a store, and describes a dump of it: a
// header, the core but for a page in its middle, and a word behind.
func set(t *testing.T, size int) *scene {
	t.Helper()
	s := &scene{Store: buckettest.Start(t), core: make([]byte, size)}
	rand.NewChaCha8([32]byte{25}).Read(s.core)
	s.Put(t, "in/vm.core", bytes.NewReader(s.core), int64(size))
	store, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	from, err := store.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "in/vm.core"})
	if err != nil {
		t.Fatal(err)
	}
	middle := size / 2
	s.dump = &dump{}
	for _, p := range []dmp.Part{
		{Kind: dmp.Literal, Literal: bytes.Repeat([]byte("PAGEDU64"), 1024)},
		{Kind: dmp.Copy, Off: 100, Bytes: int64(middle - 100)},
		{Kind: dmp.Literal, Literal: bytes.Repeat([]byte("patched."), 512)},
		{Kind: dmp.Copy, Off: int64(middle + 4096), Bytes: int64(size - middle - 4096)},
		{Kind: dmp.Literal, Literal: []byte("the end")},
	} {
		if p.Kind == dmp.Copy {
			s.dump.bytes = append(s.dump.bytes, s.core[p.Off:][:p.Bytes]...)
		} else {
			p.Bytes = int64(len(p.Literal))
			s.dump.bytes = append(s.dump.bytes, p.Literal...)
		}
		s.dump.parts = append(s.dump.parts, p)
	}
	s.job = compose.Job{Image: s.dump, Files: []*bucket.Object{from}, Store: store, To: bucket.Name{Bucket: s.Bucket, Key: "out/vm.dmp"}}
	s.Reset()
	return s
}

// made fails unless the dump is there as it should be, or nothing is; and no upload is
// left either way.
func (s *scene) made(t *testing.T, want bool) {
	t.Helper()
	r := s.Get(t, s.job.To.Key)
	if (r != nil) != want {
		t.Errorf("there is an object: %v, want %v", r != nil, want)
	}
	if r != nil {
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, s.dump.bytes) {
			t.Errorf("the object's %d bytes are not the dump's %d (%v)", len(got), s.dump.Size(), err)
		}
	}
	if left := s.Uploads(t); len(left) > 0 {
		t.Errorf("unfinished uploads: %q", left)
	}
}

// when makes requests of a kind meet a fault.
func (s *scene) when(what string, f buckettest.Fault) {
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if !part(r, what) {
			return buckettest.Fault{}
		}
		return f
	})
}

// part reports whether a request is of a kind, and does not put an upload's mark.
func part(r *http.Request, what string) bool {
	return buckettest.Name(r) == what && r.URL.Query().Get("partNumber") != "10000"
}

// TestWrite: the store copies what it can; what crosses the wire is little.
func TestWrite(t *testing.T) {
	s := set(t, 32<<20)
	var stages []string
	s.job.Sink = progress.Sink{OnProgress: func(stage string, _, _ int64) { stages = append(stages, stage) }}
	asked := 0
	s.job.Begun = func(context.Context, *bucket.Upload) error { asked++; return nil }
	s.job.Still = func() error { asked++; return nil }
	r, err := compose.Write(t.Context(), s.job)
	if err != nil {
		t.Fatal(err)
	}
	s.made(t, true)
	up, down := s.Bytes()
	if r.Copied+r.Sent != s.dump.Size() || r.Sent > 11<<20 || up > r.Sent+1<<20 || down > 1<<20 || len(r.Warnings) != 0 {
		t.Errorf("%+v; %d bytes up, %d down", r, up, down)
	}
	if r.ETag == "" || asked != 2 || stages[len(stages)-1] != "waiting for the object store" {
		t.Errorf("%+v, asked %d times, %q", r, asked, stages)
	}
}

// TestWriteInOneRequest: a dump that is shorter than a part needs no upload of parts,
// and is asked for no sooner than the input has been read.
func TestWriteInOneRequest(t *testing.T) {
	s := set(t, 4<<20)
	s.job.Begun = func(context.Context, *bucket.Upload) error { t.Error("asked for one request"); return nil }
	gone := fault.New(fault.FileChanged, "")
	s.job.Still = func() error { return gone }
	if _, err := compose.Write(t.Context(), s.job); !errors.Is(err, gone) {
		t.Error(err)
	}
	s.made(t, false)
	s.job.Still = nil
	r, err := compose.Write(t.Context(), s.job)
	if err != nil || r.Sent != s.dump.Size() || r.Copied != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	s.made(t, true)
	if n := s.Count("CreateMultipartUpload"); n != 0 {
		t.Errorf("%d uploads of parts", n)
	}
	// Its answer is lost, and it is sent once more.
	s.Remove(t, s.job.To.Key)
	lost := false
	s.Act(func(_ int, r *http.Request) (f buckettest.Fault) {
		f.Drop = buckettest.Name(r) == "PutObject" && !lost
		lost = lost || f.Drop
		return f
	})
	if r, err := compose.Write(t.Context(), s.job); err != nil || r.Sent != s.dump.Size() || !lost {
		t.Errorf("%+v, %v", r, err)
	}
	s.made(t, true)
}

// TestWriteIsSent: a core that is in no store, or not in this one, or too short for
// ranges of it to be copied, goes through here.
func TestWriteIsSent(t *testing.T) {
	s := set(t, 32<<20)
	short := *s.job.Files[0]
	short.Size = bucket.MinCopied
	for _, files := range [][]*bucket.Object{nil, {nil}, {&short}} {
		s.Remove(t, s.job.To.Key)
		s.Reset()
		s.job.Files = files
		r, err := compose.Write(t.Context(), s.job)
		if err != nil || r.Copied != 0 || len(r.Warnings) != 0 || s.Count("UploadPartCopy") != 0 {
			t.Errorf("%v: %+v, %v", files, r, err)
		}
		s.made(t, true)
	}
}

// TestWriteWithoutPartCopy: so does that of a store that copies nothing, and it is
// said.
func TestWriteWithoutPartCopy(t *testing.T) {
	s := set(t, 32<<20)
	s.when("UploadPartCopy", buckettest.Fault{Status: http.StatusNotImplemented, Code: "NotImplemented"})
	r, err := compose.Write(t.Context(), s.job)
	if err != nil || r.Copied != 0 || len(r.Warnings) != 1 || r.Warnings[0].Code != fault.CopiedHere {
		t.Errorf("%+v, %v", r, err)
	}
	s.made(t, true)
}

// TestWriteOfEqualParts: a store that wants parts of one length gets them, and still
// copies what it can.
func TestWriteOfEqualParts(t *testing.T) {
	s := set(t, 80<<20)
	var mu sync.Mutex
	lengths := map[string]map[int]int64{} // by upload, and part
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		mu.Lock()
		defer mu.Unlock()
		q := r.URL.Query()
		list := lengths[q.Get("uploadId")]
		if list == nil {
			list = map[int]int64{}
			lengths[q.Get("uploadId")] = list
		}
		number, _ := strconv.Atoi(q.Get("partNumber"))
		switch {
		case part(r, "UploadPart"):
			list[number], _ = strconv.ParseInt(r.Header.Get("X-Amz-Decoded-Content-Length"), 10, 64)
		case part(r, "UploadPartCopy"):
			var first, last int64
			fmt.Sscanf(r.Header.Get("X-Amz-Copy-Source-Range"), "bytes=%d-%d", &first, &last)
			list[number] = last - first + 1
		case part(r, "CompleteMultipartUpload"):
			for number, n := range list {
				if n != list[1] && number != len(list) || n > list[1] {
					return buckettest.Fault{Status: http.StatusBadRequest, Code: "InvalidPart"}
				}
			}
		}
		return buckettest.Fault{}
	})
	r, err := compose.Write(t.Context(), s.job)
	if err != nil {
		t.Fatal(err)
	}
	s.made(t, true)
	if n := s.Count("CompleteMultipartUpload"); n != 2 {
		t.Errorf("%d uploads were completed, want one that is refused and one that is not", n)
	}
	if r.Copied == 0 || r.Sent > 3*16<<20 {
		t.Errorf("%d bytes were copied, %d sent", r.Copied, r.Sent)
	}
}

// TestWriteOfWhatChanges: a core that is replaced while it is copied gives no dump.
func TestWriteOfWhatChanges(t *testing.T) {
	s := set(t, 32<<20)
	s.when("UploadPartCopy", buckettest.Fault{Before: func() { s.Put(t, "in/vm.core", bytes.NewReader(s.dump.bytes[:len(s.core)]), int64(len(s.core))) }})
	if _, err := compose.Write(t.Context(), s.job); !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
	s.made(t, false)
}

// TestWriteOfWhatIsThere: nothing is replaced unasked, whenever it came.
func TestWriteOfWhatIsThere(t *testing.T) {
	s := set(t, 16<<20)
	came := func() { s.Put(t, s.job.To.Key, strings.NewReader("something"), 9) }
	s.when("CompleteMultipartUpload", buckettest.Fault{Before: came})
	if _, err := compose.Write(t.Context(), s.job); !fault.Is(err, fault.OutputExists) {
		t.Error(err)
	}
	s.Reset()
	if _, err := compose.Write(t.Context(), s.job); !fault.Is(err, fault.OutputExists) || s.Count("UploadPart") != 0 {
		t.Errorf("%v, %q", err, s.Requests())
	}
	if got, _ := io.ReadAll(s.Get(t, s.job.To.Key)); string(got) != "something" {
		t.Error("it was replaced")
	}
	s.job.Replace = true
	if _, err := compose.Write(t.Context(), s.job); err != nil {
		t.Error(err)
	}
	s.made(t, true)
}

// TestWriteInBadWeather: what passes is not noticed; what does not is an error with
// nothing left behind.
func TestWriteInBadWeather(t *testing.T) {
	s := set(t, 24<<20)
	for name, f := range map[string]buckettest.Fault{
		"503": {Status: 503, Code: "SlowDown"}, "500": {Status: 500, Code: "InternalError"}, "dropped": {Drop: true}, "lost": {Late: true},
	} {
		for _, what := range []string{"CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"} {
			if name == "lost" && what == "CreateMultipartUpload" {
				continue // an upload that nobody has heard of cannot be ended
			}
			for _, only := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %s, once %v", name, what, only), func(t *testing.T) {
					s.Reset()
					s.Remove(t, s.job.To.Key)
					var met atomic.Bool
					s.Act(func(_ int, r *http.Request) buckettest.Fault {
						if !part(r, what) || met.Swap(true) && only {
							return buckettest.Fault{}
						}
						return f
					})
					r, err := compose.Write(t.Context(), s.job)
					passes := only || name == "lost" && what == "CompleteMultipartUpload" // the object is seen
					switch {
					case !met.Load():
						t.Errorf("%q", s.Requests())
					case passes && (err != nil || r.Copied+r.Sent != s.dump.Size()):
						t.Errorf("%+v of %d bytes, %v", r, s.dump.Size(), err)
					case !passes && !fault.Is(err, fault.OutputFailed):
						t.Error(err)
					}
					s.Act(nil)
					s.made(t, passes)
				})
			}
		}
	}
}

// TestWriteCancelled: whoever cancels finds nothing left, whatever was going on; but what
// the store makes of it is waited for, and what it made is there.
func TestWriteCancelled(t *testing.T) {
	s := set(t, 32<<20)
	for _, what := range []string{"CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.when(what, buckettest.Fault{Before: cancel})
			_, err := compose.Write(ctx, s.job)
			done := what == "CompleteMultipartUpload"
			if done != (err == nil) || !done && !fault.Is(err, fault.Cancelled) {
				t.Error(err)
			}
			s.made(t, done)
		})
	}
}

// vast is an image that no object can be.
type vast struct{ *dump }

func (vast) Size() int64 { return bucket.MaxParts*bucket.MaxPart + 1 }
func (v vast) Parts() []dmp.Part {
	return []dmp.Part{{Kind: dmp.Computed, Bytes: v.Size()}}
}

// TestWriteOfTooMuch: that an object cannot hold it is said at once.
func TestWriteOfTooMuch(t *testing.T) {
	s := set(t, 1<<20)
	s.job.Image = vast{s.dump}
	if _, err := compose.Write(t.Context(), s.job); !fault.Is(err, fault.OutputFailed) || !strings.Contains(err.Error(), "54 TB") {
		t.Error(err)
	}
	if list := s.Requests(); len(list) != 0 {
		t.Errorf("%q", list)
	}
}
