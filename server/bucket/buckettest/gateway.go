// Package buckettest runs a real object store for tests: a gateway that keeps
// objects as files, behind a proxy that counts what crosses the wire and does to
// it what a test wants. It knows nothing of the project's own client.
package buckettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The keys of the store's only user, and its region.
const (
	AccessKey = "tester"
	SecretKey = "not-a-secret"
	Region    = "us-east-1"
)

// Store is a running object store.
type Store struct {
	*Proxy
	// Bucket is there from the beginning.
	Bucket string

	root   string // the directory with the buckets
	direct string // a way past the proxy
}

// Start runs a store until the test ends, and sets the environment in which every
// client finds its keys.
func Start(t testing.TB) *Store {
	t.Helper()
	hurry()
	dir, err := os.MkdirTemp("", "bucket") // short: a socket's path has little room
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &Store{Bucket: "cores", root: filepath.Join(dir, "buckets")}
	socket, sidecar := filepath.Join(dir, "s"), filepath.Join(dir, "meta")
	for _, d := range []string{filepath.Join(s.root, s.Bucket), sidecar} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	said := &bytes.Buffer{}
	c := exec.Command(gateway(t), "--port", socket, "--access", AccessKey, "--secret", SecretKey,
		"--region", Region, "--quiet", "--keep-alive", "--health", "/health",
		"posix", "--sidecar", sidecar, "--default-etag", "as-it-lies", s.root)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	c.Dir, c.Stdout, c.Stderr = dir, said, said
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() {
		c.Process.Kill()
		<-ended
	})
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}
	s.Proxy = newProxy(t, dial)
	s.direct = strings.TrimPrefix(newProxy(t, dial).URL, "http://")
	for answers := false; !answers; {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the gateway ended: %v\n%s", err, said)
		case <-t.Context().Done():
			t.Fatal("the gateway does not answer")
		case <-time.After(10 * time.Millisecond):
		}
		r, err := http.Get(s.URL + "/health")
		if err == nil {
			answers = r.StatusCode == http.StatusOK
			r.Body.Close()
		}
	}
	s.Reset()
	Environment(t)
	return s
}

// hurry lets no client of the library wait long for another attempt.
var hurry = sync.OnceFunc(func() { minio.DefaultRetryUnit, minio.DefaultRetryCap = time.Millisecond, time.Millisecond })

// Environment sets what a client needs to know of the user, and keeps it from what
// this machine has of its own.
func Environment(t testing.TB) {
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_ACCESS_KEY_ID", AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", SecretKey)
	t.Setenv("AWS_REGION", Region)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
}

// Path is where a key's object lies.
func (s *Store) Path(key string) string {
	return filepath.Join(s.root, s.Bucket, filepath.FromSlash(key))
}

// client is one that goes past the proxy's faults and counts.
func (s *Store) client(t testing.TB) *minio.Core {
	t.Helper()
	c, err := minio.NewCore(s.direct, &minio.Options{Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: Region})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Put stores an object.
func (s *Store) Put(t testing.TB, key string, r io.Reader, size int64) {
	t.Helper()
	if _, err := s.client(t).Client.PutObject(t.Context(), s.Bucket, key, r, size, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Download writes an object to a file, as the client library does it.
func (s *Store) Download(t testing.TB, key, path string) {
	t.Helper()
	if err := s.client(t).FGetObject(t.Context(), s.Bucket, key, path, minio.GetObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Get opens an object; nil where there is none.
func (s *Store) Get(t testing.TB, key string) io.Reader {
	t.Helper()
	o, _, _, err := s.client(t).GetObject(t.Context(), s.Bucket, key, minio.GetObjectOptions{})
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.Close() })
	return o
}

// Remove removes an object.
func (s *Store) Remove(t testing.TB, key string) {
	t.Helper()
	if err := s.client(t).RemoveObject(t.Context(), s.Bucket, key, minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// Begin begins an upload as any tool may, and leaves it.
func (s *Store) Begin(t testing.TB, key string) {
	t.Helper()
	if _, err := s.client(t).NewMultipartUpload(t.Context(), s.Bucket, key, minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
}

// End aborts all unfinished uploads.
func (s *Store) End(t testing.TB) {
	t.Helper()
	c := s.client(t)
	all, err := c.ListMultipartUploads(t.Context(), s.Bucket, "", "", "", "", 1000)
	for _, u := range all.Uploads {
		err = errors.Join(err, c.AbortMultipartUpload(t.Context(), s.Bucket, u.Key, u.UploadID))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Age makes all parts of unfinished uploads older.
func (s *Store) Age(t testing.TB, by time.Duration) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(s.root, s.Bucket, ".sgwtmp", "multipart"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		at := time.Now().Add(-by)
		return os.Chtimes(path, at, at)
	})
	if err != nil || n == 0 {
		t.Fatalf("%d parts were made older: %v", n, err)
	}
}

// Keys lists the objects there are.
func (s *Store) Keys(t testing.TB) (list []string) {
	t.Helper()
	for o := range s.client(t).Client.ListObjects(t.Context(), s.Bucket, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		list = append(list, o.Key)
	}
	return list
}

// Uploads lists the keys of uploads that were begun and not ended.
func (s *Store) Uploads(t testing.TB) (list []string) {
	t.Helper()
	all, err := s.client(t).ListMultipartUploads(t.Context(), s.Bucket, "", "", "", "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range all.Uploads {
		list = append(list, u.Key)
	}
	return list
}

// gateway builds the store's program, once for all tests of this machine: the
// build cache has it after that.
var gateway = func() func(testing.TB) string {
	var once sync.Once
	var path string
	var failed error
	return func(t testing.TB) string {
		t.Helper()
		once.Do(func() { path, failed = build() })
		if failed != nil {
			t.Fatal(failed)
		}
		return path
	}
}()

// build asks the go command where it keeps the program, which it builds if need be.
func build() (string, error) {
	module, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", err
	}
	tools := filepath.Join(filepath.Dir(string(bytes.TrimSpace(module))), ".ci", "tools", "go.mod")
	said := &bytes.Buffer{}
	c := exec.Command("go", "tool", "-modfile="+tools, "-n", "versitygw")
	c.Stderr = said
	out, err := c.Output()
	if err != nil {
		return "", fmt.Errorf("the object store for tests could not be built: %w\n%s", err, said)
	}
	return string(bytes.TrimSpace(out)), nil
}
