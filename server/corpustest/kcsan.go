package corpustest

import (
	"io"
	"path/filepath"
	"sync"
	"testing"
)

// KCSANCores are the cases of the corpus's kcsan directory that have a core of a
// kernel up to 6.12 and a truth.json of crash, drgn and gdb.
var KCSANCores = []string{
	"a-live", "b-live-la57", "c-live", "d-live", "a-novmci", "a-panic",
	"a-inflight-signal", "a-inflight-pending", "a-inflight-unknown",
	"b-inflight-verbose-la57", "b-inflight-filtered-la57", "d-inflight-signal",
}

// KCSANNewest are the cases with a core of a newer kernel, 7.3.
var KCSANNewest = []string{"e-inflight", "f-heap-inflight", "g-static-inflight"}

// KCSAN gives the directory of the KCSAN cases, or skips the test.
func KCSAN(t testing.TB) string {
	t.Helper()
	return filepath.Join(Dir(t, "kcsan"), "kcsan")
}

var (
	coresMu sync.Mutex
	cores   = map[string]*sparse{}
)

// KCSANCore gives a case's core and its size. It is unpacked once for all tests
// of a package.
func KCSANCore(t testing.TB, name string) (io.ReaderAt, int64) {
	t.Helper()
	coresMu.Lock()
	defer coresMu.Unlock()
	s := cores[name]
	if s == nil {
		s = &sparse{blocks: map[int64][]byte{}}
		s.size = unpack(t, filepath.Join(KCSAN(t), name, "core.elf.zst"), s)
		cores[name] = s
	}
	return s, s.size
}
