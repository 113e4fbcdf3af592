package qcow2

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"

	"coredrop/core/machine"
	"coredrop/server/corpustest"
)

// Both snapshots of QEMU's own image hold, byte for byte, the stream that migrate
// wrote of the same stopped guest.
func TestCorpus(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm", "q35-cpu4")
	unpack := func(name string) []byte {
		packed, err := os.ReadFile(filepath.Join(dir, name+".zst"))
		if err != nil {
			t.Fatal(err)
		}
		d, err := zstd.NewReader(nil)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		data, err := d.DecodeAll(packed, nil)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	image, stream := unpack("disk.qcow2"), unpack("state.qevm")
	for _, name := range []string{"before", "second"} {
		s, m, err := opened(image, name)
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Snapshots) != 2 || m.Snapshots[0].Name != "before" || m.Snapshots[1].Name != "second" {
			t.Errorf("%+v", m.Snapshots)
		}
		got := all(t, s)
		if !bytes.Equal(got, stream) {
			t.Errorf("%s: %d bytes that are not migrate's %d", name, len(got), len(stream))
		}
		var in seen
		if _, err := Opener(in.open)(context.Background(), streamed(inMemory(image)), machine.Options{Snapshot: name}); err != nil || !bytes.Equal(scanned(t, in.source, 0, s.Size), got) {
			t.Error("streamed: other bytes", err)
		}
	}
}
