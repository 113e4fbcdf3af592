package linuxtest_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/linux/linuxtest"
)

var update = flag.Bool("update", false, "write the core of the guest without KCSAN anew")

// TestPlainFixture: the core that the browsers' tests open is the guest's. Its
// recipe is this test with -update.
func TestPlainFixture(t *testing.T) {
	path := filepath.Join("testdata", "plain.core.gz")
	core := linuxtest.PlainCores()["qemu"]
	if *update {
		var b bytes.Buffer
		z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := z.Write(core); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, core) {
		t.Error("testdata/plain.core.gz is another guest's: go test ./core/linux/linuxtest -update")
	}
}
