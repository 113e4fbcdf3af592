package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

// symbolServer is an https server that answers for the demo's key, and a
// resolver whose clients trust it.
func symbolServer(t *testing.T, path func(url string) string, answer http.HandlerFunc) (*resolver, string, *int) {
	t.Helper()
	asked := new(int)
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked++
		if r.URL.Path != "/s/"+demo.PDBKey {
			http.NotFound(w, r)
			return
		}
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	url := s.URL + "/s"
	r := newResolver(path(url), nil, progress.Sink{})
	r.client = func(u string) *upstream.Client {
		return &upstream.Client{URL: u, UserAgent: userAgent(), Transport: s.Client().Transport}
	}
	return r, url, asked
}

func servePDB(t *testing.T) http.HandlerFunc {
	t.Helper()
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.UserAgent(), "coredrop/") {
			t.Errorf("User-Agent %q", r.UserAgent())
		}
		w.Write(data)
	}
}

func demoKey(t *testing.T) symstore.Key {
	t.Helper()
	key, err := symstore.ParseKey(demo.PDBKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestFetchedPDBIsKeptAndNotFetchedAgain(t *testing.T) {
	near, far := filepath.Join(t.TempDir(), "near"), t.TempDir()
	r, url, asked := symbolServer(t, func(u string) string { return "srv*" + near + "*" + far + "*" + u }, servePDB(t))
	f, from, err := r.find(t.Context(), demoKey(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if from.Name != url || *asked != 1 {
		t.Errorf("from %s after %d requests", from, *asked)
	}
	f, from, err = r.find(t.Context(), demoKey(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if from.Name != near || *asked != 1 {
		t.Errorf("the second time from %s after %d requests", from, *asked)
	}
	if len(r.allWarnings()) > 0 {
		t.Errorf("warnings: %v", r.allWarnings())
	}
}

func TestStoreOfAnotherIsCopiedToTheLeft(t *testing.T) {
	near, far := filepath.Join(t.TempDir(), "near"), t.TempDir()
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := putFile(far, demo.PDBKey, data); err != nil {
		t.Fatal(err)
	}
	r, _, asked := symbolServer(t, func(u string) string { return "srv*" + near + "*" + far + "*" + u }, servePDB(t))
	f, from, err := r.find(t.Context(), demoKey(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if from.Name != far || *asked != 0 {
		t.Errorf("from %s after %d requests", from, *asked)
	}
	if _, err := os.Stat(filepath.Join(near, demo.PDBKey)); err != nil {
		t.Errorf("not copied to the left: %v", err)
	}
}

func TestUnwritableStoreDoesNotKeepThePDBFromBeingUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// A directory cannot be made below a file, whoever asks.
	r, url, _ := symbolServer(t, func(u string) string { return "srv*" + filepath.Join(file, "store") + "*" + u }, servePDB(t))
	f, from, err := r.find(t.Context(), demoKey(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if from.Name != url {
		t.Errorf("from %s", from)
	}
	if w := r.allWarnings(); len(w) != 1 || w[0].Code != fault.SymbolsUnreadable {
		t.Errorf("warnings: %v", r.allWarnings())
	}
}

func TestBadAnswersAreNotKept(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		code   fault.Code
	}{
		"web page": {func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("<!DOCTYPE html>" + strings.Repeat(" ", 100)))
		}, fault.SymbolsNotAPDB},
		"busy":      {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(503) }, fault.ServerBusy},
		"not found": {http.NotFound, fault.SymbolsNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			store := filepath.Join(t.TempDir(), "store")
			r, url, _ := symbolServer(t, func(u string) string { return "srv*" + store + "*" + u }, c.answer)
			_, _, err := r.find(t.Context(), demoKey(t))
			if !fault.Is(err, c.code) {
				t.Fatalf("got %v, want %s", err, c.code)
			}
			if c.code == fault.SymbolsNotFound && !strings.Contains(strings.Join(fault.As(err).Remedy(), "\n"), url) {
				t.Errorf("who was asked is not said: %v", fault.As(err).Remedy())
			}
			if list, err := os.ReadDir(store); err == nil && len(list) > 0 {
				t.Errorf("the store holds %v", list)
			}
		})
	}
}

func TestLaterElementHelpsWhereAnEarlierOneIsWrong(t *testing.T) {
	liar := t.TempDir()
	if err := putFile(liar, demo.PDBKey, []byte("not a PDB at all")); err != nil {
		t.Fatal(err)
	}
	r, url, _ := symbolServer(t, func(u string) string { return liar + ";" + u }, servePDB(t))
	f, from, err := r.find(t.Context(), demoKey(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if from.Name != url {
		t.Errorf("from %s", from)
	}
}

func TestDefaultSymbolPath(t *testing.T) {
	t.Setenv("_NT_SYMBOL_PATH", "somewhere")
	if p := defaultSymbolPath(); p != "somewhere" {
		t.Errorf("with _NT_SYMBOL_PATH: %s", p)
	}
	t.Setenv("_NT_SYMBOL_PATH", "")
	p := defaultSymbolPath()
	if !strings.HasPrefix(p, "srv*") || !strings.HasSuffix(p, "*https://msdl.microsoft.com/download/symbols") {
		t.Errorf("without: %s", p)
	}
	path, warnings := symstore.ParsePath(p)
	if len(warnings) > 0 || len(path.Elements) != 1 || path.Elements[0].URL != upstream.Microsoft || len(path.Elements[0].Stores) != 1 {
		t.Errorf("it reads as %+v with %v", path, warnings)
	}
}
