package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/synth"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
	"coredrop/server/corpustest"
	"coredrop/server/fleet"
)

// wireLimit is what may cross the wire for one conversion, in bytes.
const wireLimit = 64 << 20

// objectStore runs a store whose address all commands find in the environment.
func objectStore(t testing.TB) *buckettest.Store {
	t.Helper()
	s := buckettest.Start(t)
	t.Setenv("AWS_ENDPOINT_URL_S3", s.URL)
	t.Setenv("_NT_SYMBOL_PATH", "none")
	return s
}

// said is what a command said, and how it ended.
type said struct {
	code        int
	out, errors string
}

// command runs a command of the program.
func commanded(ctx context.Context, args ...string) said {
	var out, errs strings.Builder
	code := run(ctx, args, strings.NewReader(""), &out, &errs)
	return said{code, out.String(), errs.String()}
}

// hashOf is the checksum of what is read; of nothing where there is nothing.
func hashOf(t testing.TB, r io.Reader) string {
	t.Helper()
	if r == nil {
		return "nothing"
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// put stores a file as an object.
func put(t testing.TB, s *buckettest.Store, key, path string) int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s.Put(t, key, f, info.Size())
	return info.Size()
}

// here converts a core on this machine, and gives the dump's checksum.
func here(t testing.TB, core string, flags ...string) string {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "here.dmp")
	if got := commanded(t.Context(), append([]string{"convert", "-symbols", "none", core, dump}, flags...)...); got.code != exitDone {
		t.Fatalf("%s", got.errors)
	}
	f, err := os.Open(dump)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return hashOf(t, f)
}

// nothingLeft fails where an upload is unfinished.
func nothingLeft(t testing.TB, s *buckettest.Store) {
	t.Helper()
	if left := s.Uploads(t); len(left) > 0 {
		t.Errorf("unfinished uploads: %q", left)
	}
}

// largeELF is a small guest's core with so much noise above 4 GiB.
func largeELF(bytes int) synth.ELF {
	e := synth.Guest(synth.Options{Encoded: true}).ELF
	e.Loads = append(e.Loads, synth.Load{PA: 4 << 30, Data: synth.Noise(7, bytes)})
	return e
}

// largeGuest writes the core of a small guest with so much memory that a store copies
// most of it: 64 MiB of noise.
func largeGuest(t testing.TB) string { return guestFile(t, 64<<20) }

func guestFile(t testing.TB, bytes int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "large.elf")
	if err := os.WriteFile(path, synth.WriteELF(largeELF(bytes)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// windowsCores lists the cores of the corpus that are small enough, and the program's
// own.
func windowsCores(t *testing.T) map[string]string {
	t.Helper()
	cores := map[string]string{"demo": demoCoreFile(t), "large": largeGuest(t)}
	dir, ok := corpustest.Find(t, "windows")
	if !ok {
		return cores
	}
	list, err := filepath.Glob(filepath.Join(dir, "*", "*", "core.*.zst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range list {
		if part := filepath.Base(filepath.Dir(filepath.Dir(path))); part != "windows" && part != "bugcheck" {
			continue
		}
		if name := filepath.Base(filepath.Dir(path)); name != "05-hole3g" && name != "14-xnum-real" { // 4.8 GB, 400 MB
			cores[name] = corpustest.File(t, path).Name()
		}
	}
	return cores
}

// TestConvertInTheStore: each core becomes a dump in the bucket, the same bytes as
// here, while next to nothing of it crosses the wire.
func TestConvertInTheStore(t *testing.T) {
	s := objectStore(t)
	for name, core := range windowsCores(t) {
		t.Run(name, func(t *testing.T) {
			size := put(t, s, "in/"+name+".core", core)
			s.Reset()
			to := "out/" + name + ".dmp"
			got := commanded(t.Context(), "convert", "s3://cores/in/"+name+".core", "s3://cores/"+to)
			if got.code != exitDone {
				t.Fatalf("%s", got.errors)
			}
			up, down := s.Bytes()
			t.Logf("%d bytes: %d up, %d down, %d requests", size, up, down, len(s.Requests()))
			if up+down > wireLimit || size > 60<<20 && up+down > size/2 {
				t.Errorf("%d bytes crossed the wire for %d", up+down, size)
			}
			if !strings.Contains(got.out, "written: s3://cores/"+to+"\nchecksum: crc64nvme ") {
				t.Errorf("it says %q", got.out)
			}
			if there, want := hashOf(t, s.Get(t, to)), here(t, core); there != want {
				t.Errorf("the object is %s, the dump made here %s", there, want)
			}
			nothingLeft(t, s)
		})
	}
}

// TestKindsInTheStore: every kind of dump, of which the smaller ones are put in one
// request, and a packed core, of which nothing can be copied.
func TestKindsInTheStore(t *testing.T) {
	s := objectStore(t)
	core := largeGuest(t)
	put(t, s, "vm.core", core)
	for _, kind := range []string{"full", "bitmap", "kernel", "triage"} {
		t.Run(kind, func(t *testing.T) {
			got := commanded(t.Context(), "convert", "-type", kind, "s3://cores/vm.core", "s3://cores/"+kind+".dmp")
			if got.code != exitDone {
				t.Fatalf("%s", got.errors)
			}
			if there, want := hashOf(t, s.Get(t, kind+".dmp")), here(t, core, "-type", kind); there != want {
				t.Errorf("the object is %s, the dump made here %s", there, want)
			}
		})
	}
	packed := filepath.Join(t.TempDir(), "vm.kdump")
	if err := os.WriteFile(packed, largeELF(16<<20).KDump().Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, s, "vm.kdump", packed)
	s.Reset()
	if got := commanded(t.Context(), "convert", "s3://cores/vm.kdump", "s3://cores/kdump.dmp"); got.code != exitDone {
		t.Fatalf("%s", got.errors)
	}
	if n := s.Count("UploadPartCopy"); n != 0 {
		t.Errorf("%d parts of a packed core were copied", n)
	}
	if there, want := hashOf(t, s.Get(t, "kdump.dmp")), here(t, packed); there != want {
		t.Errorf("the object is %s, the dump made here %s", there, want)
	}
	nothingLeft(t, s)
}

// TestFromAndToTheStore: the other ways round.
func TestFromAndToTheStore(t *testing.T) {
	s := objectStore(t)
	core := largeGuest(t)
	want := here(t, core)
	put(t, s, "vm.core", core)
	file := filepath.Join(t.TempDir(), "vm.dmp")

	if got := commanded(t.Context(), "convert", core, "s3://cores/from-here.dmp"); got.code != exitDone {
		t.Fatalf("%s", got.errors)
	}
	if there := hashOf(t, s.Get(t, "from-here.dmp")); there != want {
		t.Errorf("from here: %s, want %s", there, want)
	}
	if got := commanded(t.Context(), "convert", "s3://cores/vm.core", file); got.code != exitDone {
		t.Fatalf("%s", got.errors)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read what nobody knows whether they may: %v, %v", info.Mode(), err)
	}
	if got := hashOf(t, f); got != want {
		t.Errorf("to here: %s, want %s", got, want)
	}
	got := commanded(t.Context(), "convert", "s3://cores/vm.core", "-")
	if got.code != exitDone || hashOf(t, strings.NewReader(got.out)) != want {
		t.Errorf("to a pipe: exit code %d, other bytes: %s", got.code, got.errors)
	}
	// A core behind another server than the store's: all of it goes through here.
	web := httpServer(t, core)
	got = commanded(t.Context(), "convert", web+"/vm.core", "s3://cores/from-elsewhere.dmp")
	if got.code != exitDone {
		t.Fatalf("%s", got.errors)
	}
	if there := hashOf(t, s.Get(t, "from-elsewhere.dmp")); there != want {
		t.Errorf("from elsewhere: %s, want %s", there, want)
	}
	nothingLeft(t, s)
}

// httpServer serves a file with ranges.
func httpServer(t testing.TB, path string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		http.ServeFile(w, r, path)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestObjectsThatAreThere: nothing is replaced unasked, and the core itself never.
func TestObjectsThatAreThere(t *testing.T) {
	s := objectStore(t)
	put(t, s, "vm.core", largeGuest(t))
	s.Put(t, "vm.dmp", strings.NewReader("something"), 9)
	got := commanded(t.Context(), "convert", "s3://cores/vm.core", "s3://cores/vm.dmp")
	if got.code != exitFailed || !strings.Contains(got.errors, string(fault.OutputExists)) {
		t.Errorf("%+v", got)
	}
	if p, _ := io.ReadAll(s.Get(t, "vm.dmp")); string(p) != "something" {
		t.Error("it was replaced")
	}
	if got := commanded(t.Context(), "convert", "-f", "s3://cores/vm.core", "s3://cores/vm.dmp"); got.code != exitDone {
		t.Errorf("%+v", got)
	}
	before := hashOf(t, s.Get(t, "vm.core"))
	for _, args := range [][]string{{"s3://cores/vm.core", "s3://cores/vm.core"}, {"-f", "s3://cores/vm.core", "s3://cores/vm.core"}} {
		if got := commanded(t.Context(), append([]string{"convert"}, args...)...); got.code == exitDone {
			t.Errorf("%q: %+v", args, got)
		}
	}
	if hashOf(t, s.Get(t, "vm.core")) != before {
		t.Error("the core was replaced")
	}
	nothingLeft(t, s)
}

// TestInfoDenied: what may not be read is not described.
func TestInfoDenied(t *testing.T) {
	s := objectStore(t)
	put(t, s, "vm.core", demoCoreFile(t))
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if got := commanded(t.Context(), "info", "s3://cores/vm.core"); got.code != exitFailed || got.out != "" || !strings.Contains(got.errors, string(fault.StoreDenied)) {
		t.Errorf("%+v", got)
	}
}

// TestTroubleInTheStore: whatever the store does, there is the right dump or none, and
// no upload is left.
func TestTroubleInTheStore(t *testing.T) {
	core := guestFile(t, 12<<20)
	want := here(t, core)
	other := slices.Repeat([]byte{0x55}, 1<<20)
	s := objectStore(t)
	size := put(t, s, "vm.core", core)

	operations := []string{"HeadObject", "GetObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "ListMultipartUploads"}
	faults := map[string]buckettest.Fault{
		"403":   {Status: 403, Code: "AccessDenied"},
		"404":   {Status: 404, Code: "NoSuchKey"},
		"416":   {Status: 416, Code: "InvalidRange"},
		"500":   {Status: 500, Code: "InternalError"},
		"501":   {Status: 501, Code: "NotImplemented"},
		"503":   {Status: 503, Code: "SlowDown"},
		"507":   {Status: 507, Code: "InsufficientStorage"},
		"token": {Status: 400, Code: "ExpiredToken"},
		"drop":  {Drop: true},
		"late":  {Late: true},
		"cut":   {Cut: 101},
		"etag":  {Header: http.Header{"Etag": {`"00000000000000000000000000000000"`}}},
		"size":  {Header: http.Header{"Content-Range": {"bytes 0-99/100"}}},
	}
	once := map[bool]string{true: "once", false: "from now on"}
	for _, operation := range operations {
		for what, f := range faults {
			for only, how := range once {
				if !only && what != "403" && what != "503" && what != "token" && what != "drop" {
					continue // the first time ends it, or it is as good as these
				}
				t.Run(operation+" "+what+" "+how, func(t *testing.T) {
					s.Reset()
					s.Remove(t, "vm.dmp")
					var hits atomic.Int64
					s.Act(func(_ int, r *http.Request) buckettest.Fault {
						// The second one of its kind: in the middle of it, where there are several.
						if buckettest.Name(r) != operation {
							return buckettest.Fault{}
						}
						if n := hits.Add(1); n == 1 && operation == "GetObject" || n > 2 && only {
							return buckettest.Fault{}
						}
						return f
					})
					got := commanded(t.Context(), "convert", "s3://cores/vm.core", "s3://cores/vm.dmp")
					s.Act(nil)
					there := hashOf(t, s.Get(t, "vm.dmp"))
					switch got.code {
					case exitDone:
						if there != want {
							t.Errorf("it says that it is done, and the object is %s, want %s", there, want)
						}
					case exitFailed:
						if there != "nothing" {
							t.Errorf("it failed, and left an object %s", there)
						}
						if !strings.Contains(got.errors, "[") || strings.Contains(got.errors, string(fault.Internal)) {
							t.Errorf("it failed with %q", got.errors)
						}
					default:
						t.Errorf("%+v", got)
					}
					if (what == "503" || what == "500" || what == "drop" || what == "late" || what == "cut") && only && got.code != exitDone {
						t.Errorf("what passes was noticed: %s", got.errors)
					}
					if operation == "CreateMultipartUpload" && (what == "late" || what == "cut") {
						s.End(t) // of these nobody but the store has ever heard
					}
					nothingLeft(t, s)
				})
			}
		}
	}

	t.Run("the core is replaced between two parts", func(t *testing.T) {
		s.Reset()
		s.Remove(t, "vm.dmp")
		var swap sync.Once
		s.Act(func(_ int, r *http.Request) buckettest.Fault {
			if buckettest.Name(r) == "UploadPartCopy" {
				swap.Do(func() { s.Put(t, "vm.core", bytes.NewReader(other), int64(len(other))) })
			}
			return buckettest.Fault{}
		})
		got := commanded(t.Context(), "convert", "s3://cores/vm.core", "s3://cores/vm.dmp")
		if got.code != exitFailed || !strings.Contains(got.errors, string(fault.FileChanged)) || s.Get(t, "vm.dmp") != nil {
			t.Errorf("%+v", got)
		}
		nothingLeft(t, s)
		if put(t, s, "vm.core", core) != size {
			t.Fatal("the core changed")
		}
	})
}

// TestWithoutPartCopy: a store that copies nothing gets the bytes from here, and that is
// said.
func TestWithoutPartCopy(t *testing.T) {
	s := objectStore(t)
	core := largeGuest(t)
	put(t, s, "vm.core", core)
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if buckettest.Name(r) == "UploadPartCopy" {
			return buckettest.Fault{Status: 501, Code: "NotImplemented"}
		}
		return buckettest.Fault{}
	})
	got := commanded(t.Context(), "convert", "s3://cores/vm.core", "s3://cores/vm.dmp")
	if got.code != exitDone || !strings.Contains(got.errors, string(fault.CopiedHere)) {
		t.Fatalf("%+v", got)
	}
	if there, want := hashOf(t, s.Get(t, "vm.dmp")), here(t, core); there != want {
		t.Errorf("%s, want %s", there, want)
	}
	nothingLeft(t, s)
}

// TestKilledInTheStore: a run that was killed leaves an upload, and the next one of the
// same dump removes it.
func TestKilledInTheStore(t *testing.T) {
	s := objectStore(t)
	core := largeGuest(t)
	put(t, s, "vm.core", core)
	binary := buildBinary(t)
	for _, at := range []string{"UploadPart", "UploadPartCopy", "CompleteMultipartUpload"} {
		t.Run(at, func(t *testing.T) {
			s.Reset()
			s.Remove(t, "vm.dmp")
			reached := make(chan struct{})
			var once sync.Once
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				if buckettest.Name(r) != at || r.URL.Query().Get("partNumber") == "10000" {
					return buckettest.Fault{}
				}
				once.Do(func() { close(reached) })
				return buckettest.Fault{Stall: true}
			})
			c := exec.Command(binary, "convert", "s3://cores/vm.core", "s3://cores/vm.dmp")
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			<-reached
			c.Process.Kill()
			c.Wait()
			s.Act(nil)
			if s.Get(t, "vm.dmp") != nil || len(s.Uploads(t)) != 1 {
				t.Fatalf("killed: uploads %q", s.Uploads(t))
			}
			if got := commanded(t.Context(), "convert", "s3://cores/vm.core", "s3://cores/vm.dmp"); got.code != exitDone {
				t.Fatalf("%+v", got)
			}
			if there, want := hashOf(t, s.Get(t, "vm.dmp")), here(t, core); there != want {
				t.Errorf("%s, want %s", there, want)
			}
			nothingLeft(t, s)
		})
	}
}

// TestInterruptedInTheStore: who is told to stop aborts its upload first.
func TestInterruptedInTheStore(t *testing.T) {
	s := objectStore(t)
	put(t, s, "vm.core", largeGuest(t))
	for _, at := range []string{"GetObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"} {
		t.Run(at, func(t *testing.T) {
			s.Reset()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				if buckettest.Name(r) == at {
					cancel()
				}
				return buckettest.Fault{}
			})
			got := commanded(ctx, "convert", "s3://cores/vm.core", "s3://cores/vm.dmp")
			if got.code != exitFailed || !strings.Contains(got.errors, string(fault.Cancelled)) || s.Get(t, "vm.dmp") != nil {
				t.Errorf("%+v", got)
			}
			nothingLeft(t, s)
		})
	}
}

// interruptedConversion begins one, and ends it amid its parts.
func interruptedConversion(t *testing.T, s *buckettest.Store) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if buckettest.Name(r) == "UploadPartCopy" {
			cancel()
		}
		return buckettest.Fault{}
	})
	defer s.Act(nil)
	if got := commanded(ctx, "convert", "s3://cores/in/vm.core", "s3://cores/out/interrupted.dmp"); got.code != exitFailed {
		t.Errorf("%+v", got)
	}
}

// TestLargeCoreInTheStore: what is said of 4.8 GB takes few journeys.
func TestLargeCoreInTheStore(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 4.8 GB")
	}
	core := unpackCore(t, "windows/05-hole3g/core.elf.zst")
	s := objectStore(t)
	if err := os.Rename(core, s.Path("vm.core")); err != nil {
		t.Skip("the store is on another disk than temporary files are")
	}
	got := commanded(t.Context(), "info", "s3://cores/vm.core")
	if got.code != exitDone || !strings.Contains(got.out, "Windows") {
		t.Fatalf("%+v", got)
	}
	up, down := s.Bytes()
	t.Logf("%d requests, %d bytes up, %d down", len(s.Requests()), up, down)
	if n := len(s.Requests()); n > 40 {
		t.Errorf("%d requests: %q", n, s.Requests())
	}
}

// TestEach: what has no dump gets one; what cannot have one is said, and is no failure.
func TestEach(t *testing.T) {
	s := objectStore(t)
	core := guestFile(t, 12<<20)
	put(t, s, "in/a.core", core)
	put(t, s, "in/deep/b c.elf", demoCoreFile(t))
	put(t, s, "in/has one.core", core)
	s.Put(t, "in/notes.txt", strings.NewReader("nothing of interest"), 19)
	s.Put(t, "out/has one.dmp", strings.NewReader("a dump"), 6)
	got := commanded(t.Context(), "convert", "-each", "-jobs", "2", "s3://cores/in/", "s3://cores/out/")
	if got.code != exitDone {
		t.Errorf("%+v", got)
	}
	outcomes := map[string]fleet.Outcome{}
	for line := range strings.Lines(got.out) {
		var r fleet.Result
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		outcomes[strings.TrimPrefix(r.Core, "s3://cores/in/")+" "+strings.TrimPrefix(r.Dump, "s3://cores/out/")] = r.Outcome
	}
	want := map[string]fleet.Outcome{
		"a.core a.dmp": fleet.Converted, "deep/b c.elf deep/b c.dmp": fleet.Converted,
		"has one.core has one.dmp": fleet.Exists, "notes.txt notes.txt.dmp": fleet.Refused,
	}
	if fmt.Sprint(outcomes) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", outcomes, want)
	}
	if there := hashOf(t, s.Get(t, "out/a.dmp")); there != here(t, core) {
		t.Errorf("other bytes")
	}
	if p, _ := io.ReadAll(s.Get(t, "out/has one.dmp")); string(p) != "a dump" {
		t.Error("a dump was replaced")
	}
	nothingLeft(t, s)
}

// TestEachNames: each core has a dump of its own, whatever their names, and what is no
// dump of the place where dumps go is a core.
func TestEachNames(t *testing.T) {
	s := objectStore(t)
	core := demoCoreFile(t)
	for _, key := range []string{"in/vm.core", "in/vm.raw", "in/vm.core.elf", "in/other", "in/renamed.dmp", "in/out/made.dmp"} {
		put(t, s, key, core)
	}
	store, err := (&storeFlags{}).store()
	if err != nil {
		t.Fatal(err)
	}
	in := bucket.Name{Bucket: s.Bucket, Key: "in/"}
	for _, row := range []struct {
		out  bucket.Name
		want []string
	}{
		{bucket.Name{Bucket: s.Bucket, Key: "in/out/"}, []string{"other.dmp", "renamed.dmp.dmp", "vm.core.dmp", "vm.core.elf.dmp", "vm.raw.dmp"}},
		{bucket.Name{Bucket: "dumps"}, []string{"other.dmp", "out/made.dmp.dmp", "renamed.dmp.dmp", "vm.core.dmp", "vm.core.elf.dmp", "vm.raw.dmp"}},
	} {
		jobs, err := coresBelow(t.Context(), store, in, row.out)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for j, err := range jobs {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.TrimPrefix(j.Dump, row.out.String()))
		}
		if slices.Sort(got); !slices.Equal(got, row.want) {
			t.Errorf("%s: %q, want %q", row.out, got, row.want)
		}
	}
}

// TestEachNobodyReads: where the lines cannot be written any more, what was begun is
// ended, and nothing is left of it.
func TestEachNobodyReads(t *testing.T) {
	s := objectStore(t)
	core := guestFile(t, 12<<20)
	put(t, s, "in/a.core", core)
	put(t, s, "in/b.core", core)
	begun := make(chan struct{})
	var looks atomic.Int64
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		switch name := buckettest.Name(r); {
		case name == "ListMultipartUploads" && r.URL.Query().Get("prefix") == "out/b.dmp":
			if looks.Add(1) == 2 { // the first is before b is begun
				close(begun)
				return buckettest.Fault{Stall: true}
			}
		case name == "CompleteMultipartUpload":
			return buckettest.Fault{Before: func() { <-begun }}
		}
		return buckettest.Fault{}
	})
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from.Close()
	var errs strings.Builder
	c := exec.Command(buildBinary(t), "convert", "-each", "s3://cores/in/", "s3://cores/out/")
	c.Stdout, c.Stderr = to, &errs
	err = c.Run()
	to.Close()
	if c.ProcessState.ExitCode() != exitFailed || !strings.Contains(errs.String(), string(fault.OutputFailed)) {
		t.Errorf("%v: %s", err, &errs)
	}
	s.Act(nil)
	if keys := s.Keys(t); !slices.Equal(keys, []string{"in/a.core", "in/b.core", "out/a.dmp"}) {
		t.Errorf("%q", keys)
	}
	nothingLeft(t, s)
}

// TestEachOfNothing: that a name has nothing below it is said: it may be mistyped.
func TestEachOfNothing(t *testing.T) {
	s := objectStore(t)
	s.Put(t, "in/old.dmp", strings.NewReader("a dump"), 6)
	for _, in := range []string{"s3://cores/inn/", "s3://cores/in/"} {
		got := commanded(t.Context(), "convert", "-each", in, "s3://cores/in/")
		if got.code != exitDone || got.out != "" || got.errors != "coredrop: there is nothing to convert below "+in+"\n" {
			t.Errorf("%s: %+v", in, got)
		}
	}
}

// TestEachTwice: two runs at once make each dump once.
func TestEachTwice(t *testing.T) {
	s := objectStore(t)
	core := guestFile(t, 12<<20)
	const n = 12
	for i := range n {
		put(t, s, fmt.Sprintf("in/%02d.core", i), core)
	}
	s.Reset()
	var both sync.WaitGroup
	lines := make([]string, 2)
	for i := range lines {
		both.Go(func() {
			got := commanded(t.Context(), "convert", "-each", "s3://cores/in/", "s3://cores/out/")
			if got.code != exitDone {
				t.Errorf("%+v", got)
			}
			lines[i] = got.out
		})
	}
	both.Wait()
	converted := strings.Count(lines[0]+lines[1], `"converted"`)
	if converted != n || strings.Count(lines[0], "\n") != n || strings.Count(lines[1], "\n") != n {
		t.Errorf("%d were converted, want %d:\n%s%s", converted, n, lines[0], lines[1])
	}
	if completed := s.Count("CompleteMultipartUpload"); completed > n+1 {
		t.Errorf("%d uploads were completed for %d dumps", completed, n)
	}
	want := here(t, core)
	for i := range n {
		if there := hashOf(t, s.Get(t, fmt.Sprintf("out/%02d.dmp", i))); there != want {
			t.Errorf("%02d: %s", i, there)
		}
	}
	nothingLeft(t, s)
}

// TestBucketMemory: whatever goes through here, little of it is held.
func TestBucketMemory(t *testing.T) {
	const most = 96 << 20
	s := objectStore(t)
	core := largeGuest(t)
	for i := range 4 {
		put(t, s, fmt.Sprintf("in/%d.core", i), core)
	}
	packed := filepath.Join(t.TempDir(), "vm.kdump")
	if err := os.WriteFile(packed, largeELF(64<<20).KDump().Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	put(t, s, "in/vm.kdump", packed)
	binary := buildBinary(t)
	for name, args := range map[string][]string{
		"each":           {"convert", "-each", "-jobs", "4", "s3://cores/in/", "s3://cores/out/"},
		"from here":      {"convert", core, "s3://cores/from-here.dmp"},
		"to here":        {"convert", "s3://cores/in/0.core", filepath.Join(t.TempDir(), "here.dmp")},
		"packed":         {"convert", "s3://cores/in/vm.kdump", "s3://cores/packed.dmp"},
		"info of many":   {"info", "s3://cores/in/0.core", "s3://cores/in/1.core", "s3://cores/in/vm.kdump"},
		"to a pipe":      {"convert", "s3://cores/in/0.core", "-"},
		"without copies": {"convert", "-f", httpServer(t, core) + "/vm.core", "s3://cores/web.dmp"},
	} {
		_, peak := measured(t, binary, args...)
		t.Logf("%s: %.1f MiB", name, float64(peak)/(1<<20))
		if peak > most {
			t.Errorf("%s: peak memory %d bytes, more than %d", name, peak, most)
		}
	}
}
