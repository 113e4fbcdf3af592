package main

import (
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"coredrop/core/demo"
	"coredrop/core/synth"
)

func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"coredrop": main, "peak": peakOf})
}

// tests are those of this process; the programs that it starts from itself are none.
type tests struct{ *testing.M }

// Run lets no test be slowed down by the memory that others took.
func (m tests) Run() int {
	limitMemory = func(int64) {}
	return m.M.Run()
}

// TestScripts runs whole programs: each file of testdata/script is a session.
// They find the demo core as demo.elf, its PDB in the symbol store "store"
// and as demo.pdb, the core of a crash as crash.elf, a saved state as libvirt
// writes it as vm.save, and a disk image with two snapshots as vm.qcow2. A server
// on this machine has their directory below $HTTP and, where the environment says
// which certificates are trusted, below $HTTPS; below $HTTP/whole it gives no
// ranges. Nothing else that they do may reach a network.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			core, err := demo.Core()
			if err != nil {
				return err
			}
			crash, err := demo.Crash.Core()
			if err != nil {
				return err
			}
			pdb, err := demo.PDB()
			if err != nil {
				return err
			}
			if err := scriptServers(e); err != nil {
				return err
			}
			e.Setenv("_NT_SYMBOL_PATH", "none")
			e.Setenv("HTTPS_PROXY", "http://127.0.0.1:1") // nobody listens there
			e.Setenv("KEY", demo.PDBKey)
			e.Setenv("LONG", strings.Repeat("n", 236)+".dmp")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			return errors.Join(
				putFile(e.WorkDir, "vm.save", savedState()),
				putFile(e.WorkDir, "vm.qcow2", snapshots()),
				putFile(e.WorkDir, "demo.elf", core),
				putFile(e.WorkDir, "crash.elf", crash),
				putFile(e.WorkDir, "demo.pdb", pdb),
				putFile(e.WorkDir, "store/"+demo.PDBKey, pdb),
			)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    scriptExits,
			"contains": scriptContains,
			"cut":      scriptCut,
			"append":   scriptAppend,
		},
	})
}

// scriptServers serves a script's directory to it, over http and https.
func scriptServers(e *testscript.Env) error {
	files := http.FileServer(http.Dir(e.WorkDir))
	mux := http.NewServeMux()
	mux.Handle("/", files)
	mux.HandleFunc("/whole/", func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Range")
		http.StripPrefix("/whole", files).ServeHTTP(w, r)
	})
	plain, secure := httptest.NewServer(mux), httptest.NewTLSServer(mux)
	e.Defer(plain.Close)
	e.Defer(secure.Close)
	e.Setenv("HTTP", plain.URL)
	e.Setenv("HTTPS", secure.URL)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	e.Setenv("SSL_CERT_FILE", filepath.Join(e.WorkDir, "server.pem")) // crypto/x509, on Unix but for macOS
	return putFile(e.WorkDir, "server.pem", certificate)
}

// savedState is a small guest's, its pages in place behind libvirt's header.
func savedState() []byte {
	head := synth.SavedHead("LibvirtQemudSave", binary.LittleEndian, 2, 6, "<domain><name>small</name></domain>", 1000)
	s := synth.Guest(synth.Options{Encoded: true}).ELF.SavedState()
	s.Mapped, s.Capabilities, s.Start = true, []string{"mapped-ram"}, len(head)
	data := s.Bytes()
	copy(data, head)
	return data
}

// snapshots is a disk image with two of a small guest, and one of its disk.
func snapshots() []byte {
	state := func(seed uint64) []byte {
		return synth.Guest(synth.Options{Encoded: true, Seed: seed}).ELF.SavedState().Bytes()
	}
	return synth.QCOW2{Disk: 1 << 30, Snapshots: []synth.QCOW2Snapshot{{ID: "1", Name: "before it", Seconds: 1e9, State: state(1)},
		{ID: "2", Name: "disk"}, {ID: "3", Name: "after", Seconds: 2e9, State: state(2)}}}.Bytes()
}

func putFile(dir, name string, data []byte) error {
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// scriptExits is "exits CODE PROGRAM [ARG...]": the program must end with that
// code.
func scriptExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptContains is "contains stdout|stderr TEXT": the last program printed the
// text, which is taken literally.
func scriptContains(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: [!] contains stdout|stderr TEXT")
	}
	if strings.Contains(ts.ReadFile(args[0]), args[1]) == neg {
		ts.Fatalf("%s: contains %q is %v", args[0], args[1], !neg)
	}
}

// scriptCut is "cut FILE BYTES": the file becomes that long.
func scriptCut(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: cut FILE BYTES")
	}
	n, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), n))
}

// scriptAppend is "append FILE TEXT": the text stands behind the file's end.
func scriptAppend(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: append FILE TEXT")
	}
	data := ts.ReadFile(args[0])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(data+args[1]), 0o644))
}

// TestHelpFitsOneScreen keeps each help text within 24 lines of 80 columns, but
// for the long lines that flag makes.
func TestHelpFitsOneScreen(t *testing.T) {
	screens := [][]string{{"-h"}}
	for _, c := range commands() {
		screens = append(screens, []string{c.name, "-h"})
	}
	for _, args := range screens {
		var out, errs strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), &out, &errs); code != exitDone {
			t.Errorf("%v: exit code %d", args, code)
		}
		if n := strings.Count(out.String(), "\n"); n < 4 || n > 36 {
			t.Errorf("%v: the help has %d lines", args, n)
		}
		if errs.Len() > 0 {
			t.Errorf("%v: help on stderr: %s", args, &errs)
		}
	}
	if len(screens) < 7 {
		t.Errorf("only %d commands", len(screens)-1)
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	var out strings.Builder
	if code := run(t.Context(), []string{"-version"}, nil, &out, &out); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	v, c := buildVersion()
	if want := fmt.Sprintf("coredrop %s (commit %s", v, c); v == "" || c == "" || !strings.HasPrefix(out.String(), want) {
		t.Errorf("%q does not begin with %q", out.String(), want)
	}
}
