//go:build !lean

package core

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

// dumped is the SHA-256 of the dump of a file.
func dumped(t *testing.T, s source.Source, o Options) (string, *summary.Summary) {
	t.Helper()
	im, sum, err := Convert(context.Background(), s, o)
	if err != nil {
		t.Fatal(s.Name, err)
	}
	h := sha256.New()
	err = im.Scan(context.Background(), 0, im.Size(), make([]byte, 1<<20), func(p []byte) error { h.Write(p); return nil })
	if err != nil {
		t.Fatal(s.Name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), sum
}

// TestSnapshots: each snapshot gives the dump of its own state, and the summary
// lists all of them.
func TestSnapshots(t *testing.T) {
	calm, crashed := guest(nil), guest(func(o *synth.Options) {
		o.BugCheck = &synth.BugCheck{Code: 0xd1, Parameters: [4]uint64{1, 2, 3, 4}}
		o.Seed = 8
	})
	states := map[string][]byte{"calm": calm.ELF.SavedState().Bytes(), "after the crash": crashed.ELF.SavedState().Bytes()}
	for _, bits := range []uint{9, 16, 21} {
		image := synth.Source(synth.QCOW2{ClusterBits: bits, Disk: 5 << 20, Snapshots: []synth.QCOW2Snapshot{
			{ID: "1", Name: "calm", Seconds: 86400, State: states["calm"]}, {ID: "2", Name: "disk"},
			{ID: "3", Name: "after the crash", Seconds: 2 * 86400, State: states["after the crash"]}}}.Bytes())
		for name, state := range states {
			want, plain := dumped(t, synth.Source(state), Options{})
			got, sum := dumped(t, image, Options{Snapshot: name})
			if got != want {
				t.Errorf("clusters of 2^%d, %s: another dump than the state's", bits, name)
			}
			if sum.File.Format != "qcow2" || plain.File.Format != "savevm" || sum.Memory.Bytes != plain.Memory.Bytes {
				t.Errorf("%+v", sum.File)
			}
			if want := []summary.Snapshot{
				{ID: "1", Name: "calm", Taken: "1970-01-02T00:00:00Z", Bytes: uint64(len(states["calm"])), Opened: name == "calm"},
				{ID: "3", Name: "after the crash", Taken: "1970-01-03T00:00:00Z", Bytes: uint64(len(states["after the crash"])), Opened: name != "calm"},
			}; !slices.Equal(sum.File.Snapshots, want) {
				t.Errorf("%+v", sum.File.Snapshots)
			}
		}
		sum, err := Inspect(context.Background(), image, Options{})
		if !fault.Is(err, fault.SnapshotChoice) || len(sum.File.Snapshots) != 2 || sum.File.Format != "qcow2" || sum.Convert.Possible {
			t.Error(err, sum.File)
		}
	}
	only := synth.Source(synth.QCOW2{Snapshots: []synth.QCOW2Snapshot{{ID: "1", Name: "only", State: states["calm"]}}}.Bytes())
	if _, sum := dumped(t, only, Options{}); len(sum.File.Snapshots) != 1 || !sum.File.Snapshots[0].Opened {
		t.Error(sum.File)
	}
	if _, err := Inspect(context.Background(), synth.Source(states["calm"]), Options{Snapshot: "calm"}); !fault.Is(err, fault.BadOption) {
		t.Error(err)
	}
}

// TestCorpusSnapshots: QEMU's own image gives the dump of the core that was taken
// of the same stopped guest.
func TestCorpusSnapshots(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm", "q35-cpu4")
	open := func(name string) source.Source {
		f := corpustest.File(t, filepath.Join(dir, name))
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return source.Source{ReaderAt: f, Size: info.Size(), Name: name}
	}
	want, _ := dumped(t, open("state.qevm.zst"), Options{})
	disk := open("disk.qcow2.zst")
	for _, name := range []string{"before", "second"} {
		if got, _ := dumped(t, disk, Options{Snapshot: name}); got != want {
			t.Errorf("%s: another dump than the state's", name)
		}
	}
}
