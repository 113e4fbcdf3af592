package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/progress"
)

// demoStoreDir makes a symbol store with the demo's PDB.
func demoStoreDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := putFile(dir, "store/"+demo.PDBKey, data); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Paths that cannot be right are said, and where it is plain what was meant, the
// PDB is found all the same.
func TestSymbolPathsThatCannotBeRight(t *testing.T) {
	dir := demoStoreDir(t)
	store := filepath.Join(dir, "store")
	other := t.TempDir()
	t.Setenv("HOME", dir)
	t.Setenv("SYMS", store)
	name, id, _ := strings.Cut(demo.PDBKey, "/")
	id, _, _ = strings.Cut(id, "/")
	for _, c := range []struct {
		path  string
		found bool
		say   string // in a warning; "": there is none
		unix  bool
	}{
		{path: store, found: true},
		{path: dir, found: true, say: "is no symbol store; the PDB was found in " + store},
		{path: filepath.Join(store, name), found: true, say: "was found in " + store},
		{path: filepath.Join(store, name, id), found: true},
		{path: filepath.Join(dir, "nowhere"), say: "nowhere is not there"},
		{path: `"` + store + `"`, found: true, say: "quotes were left out"},
		{path: "'" + store + "'", found: true, say: "quotes were left out"},
		{path: "~/store", found: true, say: "~/store was taken for " + store},
		{path: "srv*~/store", found: true, say: "~/store was taken for " + store},
		{path: "%SYMS%", found: true},
		{path: "%NO_SUCH_THING%", say: "there is no such variable"},
		{path: `C:\symbols`, say: "a path of Windows", unix: true},
		{path: `srv*C:\symbols*` + store, found: true, say: "a path of Windows", unix: true},
		{path: other + ":" + store, found: true, say: "separated by ; and not by :", unix: true},
	} {
		if c.unix && runtime.GOOS == "windows" {
			continue
		}
		r := newResolver(c.path, nil, progress.Sink{})
		f, _, err := r.find(t.Context(), demoKey(t))
		if err == nil {
			f.Close()
		}
		if (err == nil) != c.found || err != nil && !fault.Is(err, fault.SymbolsNotFound) {
			t.Errorf("%s: %v", c.path, err)
		}
		text := ""
		for _, w := range r.allWarnings() {
			text += w.Text + "\n"
			if w.Code != fault.SymbolPath {
				t.Errorf("%s: %v", c.path, w)
			}
		}
		if !strings.Contains(text, c.say) || c.say == "" && text != "" {
			t.Errorf("%s: warnings %q", c.path, text)
		}
	}
	// A store that is filled is made, and not complained of.
	r := newResolver("srv*"+filepath.Join(dir, "cache")+"*"+store, nil, progress.Sink{})
	f, _, err := r.find(t.Context(), demoKey(t))
	if err != nil || len(r.allWarnings()) > 0 {
		t.Fatal(err, r.allWarnings())
	}
	f.Close()
	if _, err := os.Stat(filepath.Join(dir, "cache", demo.PDBKey)); err != nil {
		t.Error(err)
	}
	for _, none := range []string{"none", "NONE", " None "} {
		if !isNoSymbols(none) {
			t.Errorf("%q is not none", none)
		}
	}
}

// What a near directory holds under the key's name is verified like the rest.
func TestANearbyFileIsVerified(t *testing.T) {
	dir := t.TempDir()
	if err := putFile(dir, "store/"+demo.PDBKey, []byte("<html>not a PDB</html>")); err != nil {
		t.Fatal(err)
	}
	r := newResolver(dir, nil, progress.Sink{})
	if _, _, err := r.find(t.Context(), demoKey(t)); !fault.Is(err, fault.SymbolsNotAPDB) {
		t.Error(err)
	}
}

func TestAKeyWithoutItsAge(t *testing.T) {
	w := &wanter{}
	err := w.one(t.Context(), "ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E/ntkrnlmp.pdb").err
	if !fault.Is(err, fault.BadOption) || !strings.Contains(err.Error(), "no age") || !strings.Contains(strings.Join(fault.As(err).Remedy(), ""), demo.PDBKey) {
		t.Error(err)
	}
	if x := w.one(t.Context(), demo.PDBKey); x.err != nil || x.key.String() != demo.PDBKey {
		t.Error(x)
	}
}

// Our own server over http serves our own convert, info and get; another
// machine's is refused with one sentence, by each of them, and nobody is asked.
func TestOnePlainHTTPRuleForEveryCommand(t *testing.T) {
	dir := demoStoreDir(t)
	url, stop := start(t, "serve", "-addr", "127.0.0.1:0", "-upstream", "none", "-store", filepath.Join(dir, "store"))
	defer stop()
	core := demoCoreFile(t)
	for _, server := range []string{url + "symbols", "srv*" + url + "symbols", strings.Replace(url, "127.0.0.1", "localhost", 1) + "symbols"} {
		for _, args := range [][]string{
			{"convert", "-symbols", server, core, filepath.Join(t.TempDir(), "out.dmp")},
			{"info", "-symbols", server, core},
			{"get", "-symbols", server, "-o", t.TempDir(), demo.PDBKey},
		} {
			var out, errs strings.Builder
			if code := run(t.Context(), args, nil, &out, &errs); code != exitDone || errs.Len() > 0 {
				t.Errorf("%v: exit %d: %s", args, code, &errs)
			}
			if !strings.Contains(out.String(), server[strings.LastIndex(server, "http"):]) {
				t.Errorf("%v: not from the server: %s", args, &out)
			}
		}
	}
	for _, args := range [][]string{
		{"convert", "-compat", "elf2dmp", "-symbols", "http://sym.example/s", core, filepath.Join(t.TempDir(), "out.dmp")},
		{"info", "-symbols", "http://sym.example/s", core},
		{"get", "-symbols", "http://sym.example/s", "-o", t.TempDir(), demo.PDBKey},
	} {
		var out, errs strings.Builder
		run(t.Context(), args, nil, &out, &errs)
		if n := strings.Count(errs.String(), "plain http lets anybody"); n != 1 || !strings.Contains(errs.String(), "-allow-http sym.example") || !strings.Contains(errs.String(), "[plain-http]") {
			t.Errorf("%v: %s", args, &errs)
		}
		if strings.Contains(errs.String(), "not an https URL") || strings.Contains(errs.String(), "without encryption") {
			t.Errorf("%v: it says two things: %s", args, &errs)
		}
	}
	if r := newResolver("http://sym.example/s", nil, progress.Sink{}); r.chain.Links[0].URL != "" {
		t.Error("a server that is not allowed would be asked")
	}
	r := newResolver("http://sym.example/s", []string{"sym.example"}, progress.Sink{})
	if len(r.allWarnings()) != 0 || r.chain.Links[0].URL != "http://sym.example/s" {
		t.Errorf("where it is allowed: %v %+v", r.allWarnings(), r.chain.Links)
	}
}
