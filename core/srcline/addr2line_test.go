package srcline

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// program is the source of the test's programs: inlined functions, several deep,
// in two files and a header.
var program = map[string]string{
	"deep.h": `
static inline __attribute__((always_inline)) int deepest(int x)
{
	int y = x * 3;
	if (y & 1)
		y += x >> 2;
	return y ^ 0x55;
}
static inline __attribute__((always_inline)) int deeper(int x)
{
	int s = 0;
	for (int i = 0; i < x; i++)
		s += deepest(i + s);
	return s;
}
`,
	"main.c": `
#include "deep.h"
int other(int, int);
volatile int sink;
static int local(int a)
{
	return deeper(a) + deepest(a);
}
__attribute__((noinline)) int plain(int a, int b)
{
	sink = a;
	if (__builtin_expect(a > 1000, 0)) {
		sink = deeper(b);
		return local(b) * 7;
	}
	return a + b;
}
__attribute__((section(".text.elsewhere"), noinline)) int away(int a)
{
	return local(a) - 1;
}
int main(int argc, char **argv)
{
	int r = plain(argc, 2) + other(argc, 3) + away(argc);
	for (int i = 0; i < argc; i++)
		r += local(i);
	return r & 1;
}
`,
	"sub/other.c": `
#include "../deep.h"
extern volatile int sink;
static inline int helper(int a, int b)
{
	sink = deepest(a);
	return deeper(b) + a;
}
__attribute__((noinline)) int other(int a, int b)
{
	switch (a) {
	case 1: return helper(b, a);
	case 2: sink = b; return helper(a, b) + 1;
	case 7: return deepest(b);
	}
	return helper(a + 1, b + 2);
}
`,
}

// builds are the ways in which the programs are built; the first word of each is
// the compiler.
func builds() []string {
	var out []string
	for _, cc := range []string{"gcc", "clang"} {
		for _, flags := range []string{"-gdwarf-4 -O2", "-gdwarf-5 -O2", "-gdwarf-5 -O1", "-gdwarf-4 -O0", "-gdwarf-5 -O2 -gz=zlib", "-gdwarf-4 -O2 -gz=zlib",
			"-gdwarf-5 -O2 -ffunction-sections"} {
			out = append(out, cc+" "+flags)
		}
	}
	return append(out, "gcc -gdwarf-5 -O2 -flto", "gcc -gdwarf-5 -gdwarf64 -O2", "gcc -gdwarf-2 -O2", "gcc -gdwarf-3 -O2", "clang -gdwarf-5 -gdwarf64 -O2", "clang -gdwarf-5 -O2 -gdwarf-aranges")
}

// compile builds the program; it skips the test without the compiler, or where it
// does not know a flag.
func compile(t testing.TB, build string, more ...string) string {
	t.Helper()
	words := strings.Fields(build)
	if _, err := exec.LookPath(words[0]); err != nil {
		t.Skipf("%s is not here", words[0])
	}
	dir := t.TempDir()
	for name, text := range program {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	args := append(append(words[1:], "-Wl,--build-id", "-o", "prog", "main.c", "sub/other.c"), more...)
	cmd := exec.Command(words[0], args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "unknown argument") || strings.Contains(string(out), "unrecognized") {
			t.Skipf("%s: %s", build, out)
		}
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	return filepath.Join(dir, "prog")
}

// openFile opens a file of the test.
func openFile(t testing.TB, path string) *File {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	st, err := r.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open(r, st.Size())
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return f
}

// addresses are n random addresses in a file's functions: between them, in their
// padding, addr2line takes names from the symbol table.
func addresses(t testing.TB, path string, n int) []uint64 {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	var code []elf.Symbol
	total := uint64(0)
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC && s.Size > 0 {
			code = append(code, s)
			total += s.Size
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	out := make([]uint64, n)
	for i := range out {
		at := rnd.Uint64N(total)
		for _, s := range code {
			if at < s.Size {
				out[i] = s.Value + at
				break
			}
			at -= s.Size
		}
	}
	return out
}

// addr2line gives what a tool, binutils' addr2line or LLVM's, says of addresses:
// lines "function at file:line", the innermost first.
func addr2line(t testing.TB, tool, path string, addrs []uint64) [][]string {
	t.Helper()
	if _, err := exec.LookPath(tool); err != nil {
		t.Skipf("%s is not here", tool)
	}
	var in bytes.Buffer
	for _, a := range addrs {
		fmt.Fprintf(&in, "%#x\n", a)
	}
	cmd := exec.Command(tool, "-a", "-f", "-i", "-e", path)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for i := 0; i < len(lines); {
		if strings.HasPrefix(lines[i], "0x") {
			all = append(all, nil)
			i++
			continue
		}
		where, _, _ := strings.Cut(lines[i+1], " (discriminator")
		if file, ok := strings.CutSuffix(where, ":0"); ok { // LLVM's spelling
			where = file + ":?"
		}
		all[len(all)-1] = append(all[len(all)-1], lines[i]+" at "+where)
		i += 2
	}
	return all
}

// spelled spells frames as addr2line does.
func spelled(frames []Frame) []string {
	var out []string
	for _, f := range frames {
		line := "?"
		if f.Line != 0 {
			line = strconv.Itoa(f.Line)
		}
		name, file := f.Func, f.File
		if name == "" {
			name = "??"
		}
		if file == "" {
			file, line = "??", "?"
		}
		out = append(out, name+" at "+file+":"+line)
	}
	if len(out) == 0 {
		out = []string{"?? at ??:?"}
	}
	return out
}

// compare looks addresses up in both ways.
func compare(t *testing.T, tool, path string, addrs []uint64) {
	t.Helper()
	f := openFile(t, path)
	want := addr2line(t, tool, path, addrs)
	if len(want) != len(addrs) {
		t.Fatalf("addr2line gave %d answers for %d addresses", len(want), len(addrs))
	}
	wrong, known, inlined := 0, 0, 0
	for i, a := range addrs {
		frames, err := f.Frames(context.Background(), a)
		if err != nil {
			t.Fatalf("%#x: %v", a, err)
		}
		got := spelled(frames)
		if len(frames) > 0 {
			known++
		}
		if len(frames) > 1 {
			inlined++
		}
		if !same(got, want[i]) {
			if wrong++; wrong < 10 {
				t.Errorf("%#x:\ngot  %q\nwant %q", a, got, want[i])
			}
		}
	}
	t.Logf("%d addresses, %d known, %d inlined, %d wrong, %d bytes read", len(addrs), known, inlined, wrong, f.BytesRead())
}

// same compares answers. Where a function has no debugging information addr2line
// takes its name from the symbol table, and ours has none.
func same(got, want []string) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		g, w := got[i], want[i]
		if strings.HasPrefix(g, "?? at ??:") && (strings.Contains(w, " at ??:") || strings.HasSuffix(w, ":?")) {
			continue
		}
		gf, gw, _ := strings.Cut(g, " at ")
		wf, ww, _ := strings.Cut(w, " at ")
		wf, _, _ = strings.Cut(wf, ".") // a clone's name in the symbol table
		if gf != wf || filepath.Clean(gw) != filepath.Clean(ww) {
			return false
		}
	}
	return true
}

// TestAddr2line: file, line and inlined functions of 1,000 random addresses of
// programs of two compilers, three versions of DWARF, compressed and not, equal
// addr2line's.
func TestAddr2line(t *testing.T) {
	for _, build := range builds() {
		t.Run(build, func(t *testing.T) {
			path := compile(t, build)
			tool := "addr2line"
			if strings.HasPrefix(build, "clang") || strings.Contains(build, "-flto") || strings.Contains(build, "-gdwarf64") || strings.Contains(build, "-gdwarf-2") {
				// binutils 2.40 passes over what clang writes for version 5,
				// lists of ranges by index, does not read 64-bit DWARF,
				// miscounts the files of a unit of link-time optimisation, and
				// misses some rows of version 2.
				tool = "llvm-addr2line"
			}
			compare(t, tool, path, addresses(t, path, 1000))
		})
	}
}

// TestBuildID: the build ID is readelf's.
func TestBuildID(t *testing.T) {
	path := compile(t, "gcc -g", "-Wl,--build-id=0x0123456789abcdef")
	if id := openFile(t, path).BuildID(); id != "0123456789abcdef" {
		t.Errorf("build ID %q", id)
	}
}
