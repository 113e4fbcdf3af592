package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"coredrop/server/corpustest"
)

// corpus gives the path of something in the directory of real cores, or skips.
func corpus(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(corpustest.Dir(t, name), name)
}

// unpackCore unpacks a core of the corpus, with holes for zeros.
func unpackCore(t testing.TB, name string) string {
	t.Helper()
	return corpustest.File(t, corpus(t, name)).Name()
}

// buildBinary builds the program as it is shipped.
func buildBinary(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "coredrop")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// TestLargeCoreNeedsLittleMemoryAndDisk converts 4.8 GB of mostly zeros, also where
// they lie at a web server.
func TestLargeCoreNeedsLittleMemoryAndDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("unpacks 4.8 GB")
	}
	store := corpus(t, "symbols")
	core := unpackCore(t, "windows/05-hole3g/core.elf.zst")
	binary := buildBinary(t)
	var asked atomic.Int64
	files := http.FileServer(http.Dir(filepath.Dir(core)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	address := server.URL + "/" + filepath.Base(core)
	// Each request is a journey: with 30 ms each, these take well below a second.
	if code := run(t.Context(), []string{"info", address}, nil, io.Discard, io.Discard); code != exitDone || asked.Load() > 12 {
		t.Errorf("info: exit code %d after %d requests", code, asked.Load())
	}
	for name, args := range map[string][]string{
		"with the PDB":    {"-symbols", store, core},
		"without":         {"-symbols", "none", core},
		"at a web server": {"-symbols", "none", address},
	} {
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out.dmp")
			text, peak := measured(t, binary, append(append([]string{"convert", "-json"}, args...), out)...)
			var summary struct {
				Dump struct{ Bytes int64 }
			}
			if err := json.Unmarshal(text, &summary); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(out)
			if err != nil || info.Size() != summary.Dump.Bytes || info.Size() < 4<<30 {
				t.Errorf("the dump has %d bytes, the summary says %d: %v", info.Size(), summary.Dump.Bytes, err)
			}
			t.Logf("peak memory %.1f MiB", float64(peak)/(1<<20))
			if peak > 64<<20 {
				t.Errorf("peak memory %d bytes, more than 64 MiB", peak)
			}
			if in, got := used(t, core), used(t, out); got > in+in/4+1<<20 {
				t.Errorf("the dump takes %d bytes of disk, the core %d", got, in)
			}
		})
	}
}

// TestCorpusByCommandLine converts each real core and looks at what is said;
// the bytes of the dumps are compared in core.
func TestCorpusByCommandLine(t *testing.T) {
	store := corpus(t, "symbols")
	cases, err := filepath.Glob(filepath.Join(corpus(t, "windows"), "*", "core.elf.zst"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range cases {
		name := filepath.Base(filepath.Dir(path))
		if name == "05-hole3g" {
			continue // has a test of its own
		}
		t.Run(name, func(t *testing.T) {
			var truth struct {
				Expect struct {
					PDB struct {
						Key string `json:"symbol_key"`
					} `json:"pdb"`
					KernelBase any `json:"kernel_base"`
				} `json:"expect"`
			}
			raw, err := os.ReadFile(filepath.Join(filepath.Dir(path), "truth.json"))
			if err == nil {
				err = json.Unmarshal(raw, &truth)
			}
			if err != nil {
				t.Fatal(err)
			}
			core := unpackCore(t, "windows/"+name+"/core.elf.zst")
			out := filepath.Join(t.TempDir(), "out.dmp")
			var stdout, stderr strings.Builder
			if code := run(t.Context(), []string{"convert", "-json", "-v", "-symbols", store, core, out}, nil, &stdout, &stderr); code != exitDone {
				t.Fatalf("exit code %d\n%s", code, &stderr)
			}
			var summary struct {
				Symbols struct{ Status, Key string }
				Dump    struct {
					Bytes    int64
					Verified bool
				}
			}
			if err := json.Unmarshal([]byte(stdout.String()), &summary); err != nil {
				t.Fatal(err)
			}
			if summary.Symbols.Status != "found" || !strings.Contains(strings.ToUpper(summary.Symbols.Key), strings.ToUpper(truth.Expect.PDB.Key)) {
				t.Errorf("symbols %+v, want %s", summary.Symbols, truth.Expect.PDB.Key)
			}
			info, err := os.Stat(out)
			if err != nil || info.Size() != summary.Dump.Bytes {
				t.Errorf("the file is not as long as the summary says (%d): %v", summary.Dump.Bytes, err)
			}
			if !summary.Dump.Verified {
				t.Errorf("not verified:\n%s", &stderr)
			}
		})
	}
}
