package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// webCores are what the test's web server has, by path.
func webCores(t *testing.T) map[string][]byte {
	t.Helper()
	core, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	crash, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(crash)
	z.Close()
	return map[string][]byte{
		"demo.elf": core, "crash.elf": crash, "crash.elf.gz": packed.Bytes(), "races.log": demo.RaceLog, "vm.save": savedState(), "vm.qcow2": snapshots(),
	}
}

// webHost serves files by ranges, each in one version, and counts requests. fault
// answers in its place where it gives true, by the number of the request from 0 on.
type webHost struct {
	files map[string][]byte
	fault func(w http.ResponseWriter, r *http.Request, i int64) bool
	tag   atomic.Int64
	count atomic.Int64
}

func (h *webHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i := h.count.Add(1) - 1; h.fault != nil && h.fault(w, r, i) {
		return
	}
	data, ok := h.files[filepath.Base(r.URL.Path)]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, h.tag.Load()))
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// serveCores gives the server, and an address of one of its files as it may not be
// shown: with a login and a signature.
func serveCores(t *testing.T, h *webHost) (address func(name string) string) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return func(name string) string {
		return "http://user:SECRET@" + strings.TrimPrefix(s.URL, "http://") + "/cores/" + name + "?X-Amz-Signature=SECRET#SECRET"
	}
}

// runs runs a command; nothing that it says may hold what is secret.
func runs(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	if all := out.String() + errs.String(); strings.Contains(all, "SECRET") {
		t.Errorf("%v shows what is secret: %s", args, all)
	}
	return code, out.String(), errs.String()
}

// Every command says of what lies at a web server what it says of the file, and
// makes the same dump of it.
func TestCommandsReadTheWeb(t *testing.T) {
	t.Setenv("_NT_SYMBOL_PATH", "none")
	h := &webHost{files: webCores(t)}
	address := serveCores(t, h)
	here := t.TempDir()
	for name, data := range h.files {
		if err := putFile(here, name, data); err != nil {
			t.Fatal(err)
		}
	}
	out := filepath.Join(here, "out.dmp")
	for _, args := range [][]string{
		{"info", "demo.elf"},
		{"info", "-json", "demo.elf"},
		{"info", "-v", "crash.elf"},
		{"info", "crash.elf", "demo.elf"},
		{"info", "crash.elf.gz"},
		{"info", "-unpack", "crash.elf.gz"},
		{"info", "vm.qcow2"},
		{"info", "-json", "-snapshot", "after", "vm.qcow2"},
		{"info", "vm.save"},
		{"stacks", "-threads", "crash.elf"},
		{"stacks", "-json", "crash.elf"},
		{"kcsan", "-quiet", "races.log"},
		{"kcsan", "-log", "races.log"},
		{"kcsan", "-what", "ffff888003a4c240", "races.log"},
		{"kcsan", "demo.elf"},
		{"kcsan", "-vmlinux", "demo.elf", "races.log"},
		{"get", "-manifest", "-", "demo.elf"},
		{"convert", "-json", "demo.elf", out},
		{"convert", "-v", "crash.elf", out},
		{"convert", "-unpack", "crash.elf.gz", out},
		{"convert", "-snapshot", "after", "vm.qcow2", out},
		{"convert", "vm.save", out},
		{"convert", "-type", "triage", "crash.elf", out},
		{"convert", "crash.elf", "-"},
		{"convert", "crash.elf.gz", out},
		{"convert", "races.log", out},
		{"convert", "crash.elf"},
		{"crash.elf"},
		{"crash.elf", out},
	} {
		local, remote := slices.Clone(args), slices.Clone(args)
		for i, a := range args {
			if _, ok := h.files[a]; ok {
				local[i], remote[i] = filepath.Join(here, a), address(a)
			}
		}
		type result struct {
			code           int
			stdout, stderr string
			dump           []byte
		}
		do := func(args []string) (r result) {
			r.code, r.stdout, r.stderr = runs(t, args...)
			r.dump, _ = os.ReadFile(out) // else there is none
			os.Remove(out)
			// A name stands for both.
			for _, word := range strings.Fields(r.stdout + r.stderr) {
				if base := filepath.Base(word); base != word && h.files[base] != nil {
					r.stdout, r.stderr = strings.ReplaceAll(r.stdout, word, base), strings.ReplaceAll(r.stderr, word, base)
				}
			}
			r.stdout = strings.ReplaceAll(strings.ReplaceAll(r.stdout, here+"/", ""), here+`\`, "")
			r.stderr = strings.ReplaceAll(strings.ReplaceAll(r.stderr, here+"/", ""), here+`\`, "")
			return r
		}
		want, before := do(local), h.count.Load()
		got := do(remote)
		if got.code != want.code || got.stdout != want.stdout || got.stderr != want.stderr {
			t.Errorf("%v: %d, want %d\n%s\nwant\n%s\nand\n%s\nwant\n%s", args, got.code, want.code, got.stdout, want.stdout, got.stderr, want.stderr)
		}
		if !bytes.Equal(got.dump, want.dump) {
			t.Errorf("%v: another dump, of %d bytes, want %d", args, len(got.dump), len(want.dump))
		}
		if want.code != exitUsage && h.count.Load() == before {
			t.Errorf("%v asked nobody", args)
		}
	}
}

// What is wrong at the server's end has its code, and leaves nothing behind.
func TestCommandsAndWebTrouble(t *testing.T) {
	t.Setenv("_NT_SYMBOL_PATH", "none")
	files := webCores(t)
	status := func(code int) func(http.ResponseWriter, *http.Request, int64) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
			http.Error(w, "SECRET", code)
			return true
		}
	}
	for name, c := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request, int64) bool
		code  fault.Code
	}{
		"not there": {status(404), fault.InputUnreadable},
		"forbidden": {status(403), fault.NoPermission},
		"whole": {func(w http.ResponseWriter, _ *http.Request, _ int64) bool {
			w.Write(files["crash.elf"])
			return true
		}, fault.NoRanges},
		"refused later": {func(w http.ResponseWriter, _ *http.Request, i int64) bool {
			if i > 0 {
				w.WriteHeader(http.StatusForbidden)
			}
			return i > 0
		}, fault.NoPermission},
		"replaced": {func(w http.ResponseWriter, r *http.Request, i int64) bool {
			if i > 0 {
				w.WriteHeader(http.StatusPreconditionFailed)
			}
			return i > 0
		}, fault.FileChanged},
		"elsewhere": {func(w http.ResponseWriter, r *http.Request, _ int64) bool {
			http.Redirect(w, r, "http://elsewhere.invalid/?SECRET", http.StatusFound)
			return true
		}, fault.InputUnreadable},
	} {
		h := &webHost{files: files, fault: c.fault}
		address := serveCores(t, h)
		out := filepath.Join(t.TempDir(), "out.dmp")
		for _, args := range [][]string{
			{"info", address("crash.elf")},
			{"info", "-json", "-v", address("crash.elf")},
			{"stacks", address("crash.elf")},
			{"stacks", "-json", address("crash.elf")},
			{"kcsan", address("crash.elf")},
			{"kcsan", "-json", address("crash.elf")},
			{"kcsan", "-log", address("crash.elf")},
			{"get", "-manifest", "-", address("crash.elf")},
			{"convert", address("crash.elf"), out},
			{"convert", "-json", "-v", "-unpack", address("crash.elf.gz"), out},
			{address("crash.elf"), out},
		} {
			h.count.Store(0)
			code, stdout, stderr := runs(t, args...)
			if code != exitFailed || !strings.Contains(stderr+stdout, string(c.code)) || !strings.Contains(stderr, "crash.elf") {
				t.Errorf("%s, %v: %d, %s%s", name, args, code, stdout, stderr)
			}
			if list := names(t, filepath.Dir(out)); len(list) > 0 {
				t.Errorf("%s, %v left %v", name, args, list)
			}
		}
	}
	// What was not written before the object changed never gets the dump's name.
	h := &webHost{files: files}
	address := serveCores(t, h)
	out := filepath.Join(t.TempDir(), "out.dmp")
	if code, _, errs := runs(t, "convert", address("crash.elf"), out); code != exitDone {
		t.Fatal(errs)
	}
	before, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	all := h.count.Load()
	for at := int64(1); at < all; at++ {
		h.count.Store(0)
		h.fault = func(_ http.ResponseWriter, _ *http.Request, i int64) bool {
			if i == at {
				h.tag.Add(1)
			}
			return false
		}
		code, _, errs := runs(t, "convert", address("crash.elf"), out)
		if code != exitFailed || !strings.Contains(errs, "[file-changed]") {
			t.Errorf("replaced before request %d of %d: %d, %s", at, all, code, errs)
		}
		if now, err := os.ReadFile(out); err != nil || !bytes.Equal(now, before) || len(names(t, filepath.Dir(out))) != 1 {
			t.Errorf("replaced before request %d: the old dump is another one, %v", at, err)
		}
	}
}

// Addresses that are refused before anybody is asked, and paths that look like some.
func TestAddressesAndPaths(t *testing.T) {
	t.Setenv("_NT_SYMBOL_PATH", "none")
	t.Chdir(t.TempDir())
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"info", "http://elsewhere.invalid/vm.core?SECRET"}, exitFailed, "the server http://elsewhere.invalid is not asked: plain http"},
		{[]string{"convert", "HTTP://elsewhere.invalid/vm.core?SECRET", "out.dmp"}, exitFailed, "-allow-http elsewhere.invalid"},
		{[]string{"info", "https://host:port/vm.core?SECRET"}, exitFailed, "[bad-option]"},
		{[]string{"info", "https:///vm.core?SECRET"}, exitFailed, "[bad-option]"},
		{[]string{"convert", "https://host.invalid/a/vm.core?SECRET"}, exitUsage, "coredrop convert https://host.invalid/a/vm.core vm.dmp"},
		{[]string{"info", "ftp://host.invalid/vm.core"}, exitFailed, "[input-unreadable]"},
		{[]string{"convert", "x.elf", "https://host.invalid/out.dmp?SECRET"}, exitFailed, "could not write https://host.invalid/out.dmp: no server is written to"},
		{[]string{"get", "-manifest", "-", "https://host.invalid/store/a.pdb/0123/a.pdb?SECRET"}, exitFailed, `"https://host.invalid/store/a.pdb/0123/a.pdb" is not the address of a symbol file`},
		{[]string{"get", "-manifest", "-", "ftp://host.invalid/vm.core?SECRET"}, exitFailed, `"ftp://host.invalid/vm.core" is not the address`},
		{[]string{"ftp://host.invalid/vm.core?SECRET"}, exitUsage, `no command "ftp://host.invalid/vm.core"`},
	} {
		if err := putFile(".", "x.elf", savedState()); err != nil {
			t.Fatal(err)
		}
		code, _, errs := runs(t, c.args...)
		if code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("%v: %d, %s", c.args, code, errs)
		}
	}
	for name, want := range map[string]struct {
		remote      bool
		name, shown string
	}{
		"vm.core":                        {false, "vm.core", "vm.core"},
		"dir/vm.core?x":                  {false, "vm.core?x", "dir/vm.core?x"},
		"./https:/host/vm.core":          {false, "vm.core", "./https:/host/vm.core"},
		"https:/host/vm.core":            {false, "vm.core", "https:/host/vm.core"},
		"s3:":                            {false, "s3:", "s3:"},
		"c://vm.core":                    {false, "vm.core", "c://vm.core"},
		"https://u:p@h:1/a%20b.core?q#f": {true, "a b.core", "https://h:1/a%20b.core"},
		"HttpS://h":                      {true, "h", "https://h"},
		"https://h/%zz?SECRET":           {true, "file", "https://..."},
	} {
		if _, remote := schemeOf(name); remote != want.remote || nameOf(name) != want.name || shown(name) != want.shown {
			t.Errorf("%s: %v, %q, %q", name, remote, nameOf(name), shown(name))
		}
	}
	if _, remote := schemeOf(`C:\vm.core`); remote {
		t.Error("a drive's letter is a scheme")
	}
	// The path is read, and nobody asked.
	if err := putFile(".", "https:/host.invalid/vm.core", savedState()); err == nil {
		if code, out, errs := runs(t, "info", "./https://host.invalid/vm.core"); code != exitDone || !strings.Contains(out, "file: vm.core") {
			t.Errorf("%d, %s%s", code, out, errs)
		}
	}
}

// The way to the core is no place for what is unpacked, and is not named as one.
func TestRemoteCoresAreUnpackedElsewhere(t *testing.T) {
	address := serveCores(t, &webHost{files: webCores(t)})
	nowhere := filepath.Join(t.TempDir(), "nowhere")
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, nowhere)
	}
	if _, out, errs := runs(t, "info", "-unpack", address("crash.elf.gz")); !strings.Contains(out, "could not write "+nowhere) {
		t.Errorf("%s%s", out, errs)
	}
}

// What is read from its beginning to its end is read by a stream, which ends with it.
func TestInOrderReadsTheStream(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 1<<16)
	ended := make(chan error, 1)
	s := source.Source{ReaderAt: strings.NewReader("another way"), Size: int64(len(data)), Name: "vm.core"}
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		err := source.Source{ReaderAt: bytes.NewReader(data)}.Scan(off, n, buf, visit)
		ended <- err
		return err
	}
	r := inOrder(s)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) || <-ended != nil {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	r = inOrder(s)
	if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := <-ended; err != io.ErrClosedPipe {
		t.Errorf("closed: %v", err)
	}
	s.Stream = func(int64, int64, []byte, func([]byte) error) error { return fault.New(fault.FileChanged, "") }
	if _, err := io.ReadAll(inOrder(s)); !fault.Is(err, fault.FileChanged) {
		t.Errorf("failed: %v", err)
	}
}

// journeys is an input where each block that was not announced costs one.
type journeys struct {
	data      []byte
	announced map[int64]bool // blocks
	calls     int
	journeys  int
	streamed  int64
}

const journeyBlock = 1 << 10

func (j *journeys) ReadAt(p []byte, off int64) (int, error) {
	for b := off / journeyBlock; b*journeyBlock < off+int64(len(p)); b++ {
		if !j.announced[b] {
			j.journeys++
		}
	}
	return bytes.NewReader(j.data).ReadAt(p, off)
}

func (j *journeys) source() source.Source {
	s := source.Source{ReaderAt: j, Size: int64(len(j.data)), Name: "vm.core", Block: journeyBlock}
	s.Prefetch = func(list []source.Range) {
		j.announced = map[int64]bool{} // there is room for these only
		j.calls++
		for _, r := range list {
			for b := r.Off / journeyBlock; b*journeyBlock < r.End() && len(j.announced) < announcedBlocks; b++ {
				j.announced[b] = true
			}
		}
	}
	s.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
		if n <= journeyBlock { // as ranged does
			p := buf[:n]
			if _, err := j.ReadAt(p, off); err != nil {
				return err
			}
			return visit(p)
		}
		j.streamed += n
		return source.Source{ReaderAt: bytes.NewReader(j.data), Size: s.Size}.Scan(off, n, buf, visit)
	}
	return s
}

// A dump of thousands of small pieces costs few journeys: they are announced, a few
// blocks at a time. A large piece is read in order, and its zeros stay holes.
func TestRemotePiecesAreAnnounced(t *testing.T) {
	j := &journeys{data: make([]byte, 400*journeyBlock)}
	for i := range j.data {
		j.data[i] = byte(i*7 + i>>9)
	}
	clear(j.data[200*journeyBlock : 350*journeyBlock])
	image := &fakeImage{}
	piece := func(off, n int) {
		image.add(dmp.Part{Kind: dmp.Copy, Off: int64(off), Bytes: int64(n)}, j.data[off:off+n])
	}
	piece(3*journeyBlock, 100)
	for i := range 60 { // three in each block, and some over its end
		for k := range 3 {
			piece(i*journeyBlock+k*400, 300)
		}
		if i%10 == 0 {
			image.add(dmp.Part{Kind: dmp.Literal, Bytes: 4, Literal: []byte("here")}, []byte("here"))
			image.add(dmp.Part{Kind: dmp.Zero, Bytes: 40}, make([]byte, 40))
		}
	}
	piece(100*journeyBlock, 300*journeyBlock)
	piece(0, 10)
	path := filepath.Join(t.TempDir(), "out.dmp")
	o, err := newOutput(path, nil, replacing{})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.write(t.Context(), image, inputs{j.source()}, never, progress.Sink{}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, image.whole) {
		t.Fatalf("another dump: %v", err)
	}
	// The last piece has nothing beside it: it is not worth an announcement.
	if j.journeys != 1 || j.calls > 60/announcedBlocks+2 || j.streamed != 300*journeyBlock {
		t.Errorf("%d journeys, %d announcements, %d bytes streamed", j.journeys, j.calls, j.streamed)
	}
}
