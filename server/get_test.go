package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
)

const (
	demoGUID = "BB8FBA4DBDC8EAF74C4C44205044422E"
	dashed   = "{bb8fba4d-bdc8-eaf7-4c4c-44205044422e}"
)

// Every way to name a file that get knows, and what it says of the others.
func TestWaysToNameAFile(t *testing.T) {
	t.Chdir(t.TempDir()) // nothing has such a name here
	for _, c := range []struct{ arg, key, server string }{
		{demo.PDBKey, demo.PDBKey, ""},
		{strings.ToLower(demo.PDBKey), demo.PDBKey, ""},
		{"ntkrnlmp.pdb," + demoGUID + ",1", demo.PDBKey, ""},
		{"ntkrnlmp.pdb, " + dashed + ", 1", demo.PDBKey, ""},
		{"ntkrnlmp.pdb," + demoGUID + ",26", "ntkrnlmp.pdb/" + demoGUID + "1A/ntkrnlmp.pdb", ""},
		{"ntkrnlmp.pdb," + demoGUID + ",0x1a", "ntkrnlmp.pdb/" + demoGUID + "1A/ntkrnlmp.pdb", ""},
		{"ntkrnlmp.pdb," + demoGUID + "1,1", demo.PDBKey, ""}, // a manifest of symchk
		{"ntkrnlmp.pdb," + demoGUID + "1", demo.PDBKey, ""},
		{"https://sym.example/down/load/" + demo.PDBKey, demo.PDBKey, "https://sym.example/down/load"},
		{"https://sym.example:8443/" + demo.PDBKey, demo.PDBKey, "https://sym.example:8443"},
		{"http://127.0.0.1:8080/symbols/" + demo.PDBKey, demo.PDBKey, "http://127.0.0.1:8080/symbols"},
	} {
		w := (&wanter{}).one(t.Context(), c.arg)
		if w.err != nil || w.key.String() != c.key || w.server != c.server {
			t.Errorf("%s: %v at %q, %v", c.arg, w.key, w.server, w.err)
		}
	}
	for arg, code := range map[string]fault.Code{
		"ntkrnlmp.pdb," + demoGUID:          fault.BadOption, // no age
		"ntkrnlmp.pdb," + demoGUID + ",one": fault.BadOption,
		"ntkrnlmp.pdb,":                     fault.BadOption,
		",":                                 fault.BadOption,
		"a/../b":                            fault.BadOption,
		"https://sym.example/" + demo.PDBKey + "?sig=x":    fault.BadOption,
		"https://user:pass@sym.example/" + demo.PDBKey:     fault.BadOption,
		"https://sym.example/ntkrnlmp.pdb":                 fault.BadOption,
		"https:///" + demo.PDBKey:                          fault.BadOption,
		"ntkrnlmp.pdb/" + demoGUID + "1/other.pdb":         fault.BadOption,
		"there-is-no-such-file":                            fault.InputUnreadable,
		strings.Repeat("a", 5000) + "/" + demoGUID + "1/a": fault.InputUnreadable, // a name too long to look for
	} {
		if w := (&wanter{}).one(t.Context(), arg); !fault.Is(w.err, code) {
			t.Errorf("%.80s: %v at %q, %v", arg, w.key, w.server, w.err)
		}
	}
}

// A list has what the command line has, comments, and manifests; each file once.
func TestLists(t *testing.T) {
	t.Chdir(t.TempDir())
	other := "ntkrnlmp.pdb/" + demoGUID + "2/ntkrnlmp.pdb"
	sha := strings.Repeat("ab", 32)
	list := "\ufeff# a comment\r\n\r\n" + demo.PDBKey + "\r\n ntkrnlmp.pdb," + demoGUID + ",1 \n" + other + " 123 " + sha + "\nnonsense\n"
	wants := (&wanter{stdin: strings.NewReader(list)}).all(t.Context(), []string{demo.PDBKey, "-", other})
	if len(wants) != 3 {
		t.Fatalf("%d: %v", len(wants), wants)
	}
	if wants[0].key.String() != demo.PDBKey || wants[0].sum.known {
		t.Errorf("%+v", wants[0])
	}
	if s := wants[1].sum; wants[1].key.String() != other || !s.known || s.size != 123 || fmt.Sprintf("%x", s.sha256) != sha {
		t.Errorf("%+v", wants[1])
	}
	if wants[2].arg != "nonsense" || wants[2].err == nil {
		t.Errorf("%+v", wants[2])
	}
	for name, text := range map[string]string{
		"UTF-16":    "\xff\xfea\x00\n\x00",
		"no end":    strings.Repeat("a", 2*listLine),
		"NUL later": strings.Repeat("#\n", 600) + "a\x00b\n",
	} {
		wants := (&wanter{stdin: strings.NewReader(text)}).all(t.Context(), []string{"-"})
		if len(wants) != 1 || wants[0].err == nil {
			t.Errorf("%s: %v", name, wants)
		}
	}
}

// Several files are fetched at once, never more than eight, and reported in the
// order in which they were asked for.
func TestFetchesInParallel(t *testing.T) {
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var running, most int
	full := make(chan bool)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		running++
		if most = max(most, running); most == parallel {
			select {
			case <-full:
			default:
				close(full)
			}
		}
		mu.Unlock()
		<-full // nobody is answered before eight are there
		mu.Lock()
		running--
		mu.Unlock()
		if r.URL.Path != "/"+demo.PDBKey {
			http.NotFound(w, r)
			return
		}
		w.Write(pdb)
	}))
	defer up.Close()
	store := filepath.Join(t.TempDir(), "store")
	args := []string{"get", "-o", store, "-symbols", "srv*" + t.TempDir() + "*" + up.URL}
	for age := 2; age < 22; age++ {
		args = append(args, fmt.Sprintf("ntkrnlmp.pdb,%s,%d", demoGUID, age))
	}
	args = append(args, demo.PDBKey)
	var out, complaints strings.Builder
	if code := run(t.Context(), args, nil, &out, &complaints); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if most != parallel {
		t.Errorf("%d at once", most)
	}
	if !strings.Contains(out.String(), demo.PDBKey+" from "+up.URL) || strings.Count(complaints.String(), "[symbols-not-found]") != 20 {
		t.Errorf("%s%s", &out, &complaints)
	}
	at := 0
	for age := 2; age < 22; age++ {
		next := strings.Index(complaints.String()[at:], fmt.Sprintf("%s%X/ntkrnlmp.pdb", demoGUID, age))
		if next < 0 {
			t.Fatalf("age %d is not in its place: %s", age, &complaints)
		}
		at += next
	}
	if kept, err := os.ReadFile(filepath.Join(store, demo.PDBKey)); err != nil || !bytes.Equal(kept, pdb) {
		t.Errorf("%d bytes, %v", len(kept), err)
	}
}

// An address is asked where it leads, over plain http only by the one rule.
func TestGetByAddress(t *testing.T) {
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pdb) }))
	defer up.Close()
	store := filepath.Join(t.TempDir(), "store")
	var out, complaints strings.Builder
	if code := run(t.Context(), []string{"get", "-o", store, "-symbols", t.TempDir(), up.URL + "/a/" + demo.PDBKey}, nil, &out, &complaints); code != exitDone {
		t.Errorf("exit %d: %s", code, &complaints)
	}
	if kept, err := os.ReadFile(filepath.Join(store, demo.PDBKey)); err != nil || !bytes.Equal(kept, pdb) {
		t.Errorf("%d bytes, %v", len(kept), err)
	}
	complaints.Reset()
	if code := run(t.Context(), []string{"get", "-o", t.TempDir(), "-symbols", t.TempDir(), "http://sym.example/" + demo.PDBKey}, nil, &out, &complaints); code != exitFailed || !strings.Contains(complaints.String(), "[plain-http]") {
		t.Errorf("exit %d: %s", code, &complaints)
	}
}

// What ends get while it fetches leaves no half of a file.
func TestGetIsInterrupted(t *testing.T) {
	up, asked, _ := stalling(t)
	store, near := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "near")
	ended := make(chan int, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var complaints strings.Builder
	go func() {
		ended <- run(ctx, []string{"get", "-o", store, "-symbols", "srv*" + near + "*" + up, demo.PDBKey, "ntkrnlmp.pdb," + demoGUID + ",2"}, nil, io.Discard, &complaints)
	}()
	<-asked
	cancel()
	if code := <-ended; code != exitFailed || strings.Count(complaints.String(), "[cancelled]") != 1 {
		t.Errorf("exit %d: %s", code, &complaints)
	}
	for _, dir := range []string{store, near} {
		if list, err := os.ReadDir(dir); err == nil && len(list) > 0 {
			t.Errorf("left behind: %v", list)
		}
	}
}
