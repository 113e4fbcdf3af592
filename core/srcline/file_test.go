package srcline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coredrop/core/fault"
)

var objects = []string{"gcc5.o", "gcc4z.o", "clang5.o"}

func object(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openBytes(t testing.TB, b []byte) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestRelocatable: in a relocatable file, whose sections all begin at 0, functions
// are found by name and their lines through the relocations.
func TestRelocatable(t *testing.T) {
	for _, name := range objects {
		f := openBytes(t, object(t, name))
		if !f.Relocatable() {
			t.Errorf("%s is not relocatable", name)
		}
		seen := map[string]bool{}
		for _, fn := range []string{"outer", "second"} {
			places, err := f.Places(fn)
			if err != nil || len(places) != 1 || places[0].Size == 0 {
				t.Fatalf("%s: %s at %+v, %v", name, fn, places, err)
			}
			for off := range places[0].Size {
				frames, err := f.Frames(context.Background(), places[0].Addr+off)
				if err != nil || len(frames) == 0 || frames[len(frames)-1].Func != fn || frames[len(frames)-1].Inline {
					t.Fatalf("%s: %s+%d is %+v, %v", name, fn, off, frames, err)
				}
				var chain []string
				for _, fr := range frames {
					if fr.File != "/src/line.c" {
						t.Errorf("%s: %+v", name, fr)
					}
					chain = append(chain, fr.Func)
				}
				seen[strings.Join(chain, "<")] = true
			}
		}
		for _, want := range []string{"outer", "inner<middle<outer", "inner<second"} {
			if !seen[want] {
				t.Errorf("%s: %s was not seen: %v", name, want, seen)
			}
		}
		if p, err := f.Places("nobody"); err != nil || len(p) != 0 {
			t.Errorf("%+v %v", p, err)
		}
	}
}

// TestRelocatableAddr2line compares every byte of a relocatable file's functions
// with addr2line.
func TestRelocatableAddr2line(t *testing.T) {
	if _, err := exec.LookPath("addr2line"); err != nil {
		t.Skip("addr2line is not here")
	}
	path := filepath.Join("testdata", "gcc5.o")
	f := openFile(t, path)
	for fn, section := range map[string]string{"outer": ".text", "second": ".text.second"} {
		p, err := f.Places(fn)
		if err != nil || len(p) != 1 {
			t.Fatal(p, err)
		}
		for off := range p[0].Size {
			out, err := exec.Command("addr2line", "-f", "-i", "-j", section, "-e", path, fmt.Sprintf("%#x", off)).Output()
			if err != nil {
				t.Fatal(err)
			}
			frames, err := f.Frames(context.Background(), p[0].Addr+off)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, fr := range frames {
				fmt.Fprintf(&got, "%s\n%s:%d\n", fr.Func, fr.File, fr.Line)
			}
			want := strings.TrimSpace(string(out))
			for i := range 9 {
				want = strings.ReplaceAll(want, fmt.Sprintf(" (discriminator %d)", i), "")
			}
			if strings.TrimSpace(got.String()) != want {
				t.Errorf("%s+%d:\n%s\nwant\n%s", fn, off, got.String(), want)
			}
		}
	}
}

// TestCompressed: sections that are too large to be held unpacked, or that were
// compressed in the older way, give the same lines.
func TestCompressed(t *testing.T) {
	for _, flags := range []string{"--compress-debug-sections=zlib", "--compress-debug-sections=zlib-gnu", "--compress-debug-sections=zstd"} {
		if _, err := exec.LookPath("objcopy"); err != nil {
			t.Skip("objcopy is not here")
		}
		out := filepath.Join(t.TempDir(), "packed.o")
		if b, err := exec.Command("objcopy", flags, filepath.Join("testdata", "gcc5.o"), out).CombinedOutput(); err != nil {
			t.Logf("%s: %s", flags, b) // a binutils without it
			continue
		}
		packed, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		plain := openBytes(t, object(t, "gcc5.o"))
		for _, held := range []int64{maxAllHeld, 0} {
			f, err := open(bytes.NewReader(packed), int64(len(packed)), held)
			if err != nil {
				t.Fatalf("%s: %v", flags, err)
			}
			for _, fn := range []string{"second", "outer"} {
				a, err1 := plain.Places(fn)
				b, err2 := f.Places(fn)
				if err1 != nil || err2 != nil || len(b) != 1 {
					t.Fatal(err1, err2)
				}
				for off := range a[0].Size {
					want, err1 := plain.Frames(context.Background(), a[0].Addr+off)
					got, err2 := f.Frames(context.Background(), b[0].Addr+off)
					if err1 != nil || err2 != nil || len(want) == 0 || fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("%s, %d held: %+v %v, want %+v %v", flags, held, got, err2, want, err1)
					}
				}
			}
		}
	}
}

// TestNotOurs: other files are refused by name.
func TestNotOurs(t *testing.T) {
	elf32 := append([]byte("\x7fELF\x01\x01\x01"), make([]byte, 64)...)
	for name, b := range map[string][]byte{"empty": nil, "text": []byte(strings.Repeat("text ", 20)), "ELF32": elf32} {
		if _, err := Open(bytes.NewReader(b), int64(len(b))); err != ErrNotELF {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := bytes.Clone(object(t, "gcc5.o"))
	b[16] = 4 // ET_CORE
	if _, err := Open(bytes.NewReader(b), int64(len(b))); !fault.Is(err, fault.NoDebugInfo) {
		t.Errorf("a core: %v", err)
	}
	b = object(t, "gcc5.o")
	// Its sections of debugging information under other names.
	b = bytes.ReplaceAll(b, []byte(".debug_info"), []byte(".nobug_info"))
	if _, err := Open(bytes.NewReader(b), int64(len(b))); !fault.Is(err, fault.NoDebugInfo) {
		t.Errorf("no debugging information: %v", err)
	}
	if _, err := Open(failing{}, 1<<20); !fault.Is(err, fault.InputUnreadable) {
		t.Errorf("unreadable: %v", err)
	}
}

type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// TestDamaged: cut short or with any byte changed, a file gives frames or an
// error with a code, and never hangs or grows.
func TestDamaged(t *testing.T) {
	for _, name := range objects {
		whole := object(t, name)
		look := func(b []byte) {
			f, err := Open(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				if err != ErrNotELF && fault.As(err).Code == fault.Internal {
					t.Errorf("%s: %v", name, err)
				}
				return
			}
			places, _ := f.Places("outer")
			addrs := []uint64{0, sectionBase(1), sectionBase(2) + 8}
			for _, p := range places {
				addrs = append(addrs, p.Addr+p.Size/2)
			}
			for _, a := range addrs {
				if _, err := f.Frames(context.Background(), a); err != nil && fault.As(err).Code == fault.Internal {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for n := 0; n < len(whole); n += 97 {
			look(whole[:n])
		}
		rnd := rand.New(rand.NewPCG(3, 4))
		for range 2000 {
			b := bytes.Clone(whole)
			for range 1 + rnd.IntN(3) {
				b[rnd.IntN(len(b))] = byte(rnd.Uint32())
			}
			look(b)
		}
	}
}

// TestCancelled: a cancelled context ends a look-up.
func TestCancelled(t *testing.T) {
	f := openBytes(t, object(t, "gcc5.o"))
	p, err := f.Places("outer")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Frames(ctx, p[0].Addr); !fault.Is(err, fault.Cancelled) {
		t.Errorf("%v", err)
	}
}

// TestOriginLoops: a function whose name refers to itself has a line and no name.
func TestOriginLoops(t *testing.T) {
	f := openBytes(t, object(t, "gcc5.o"))
	p, err := f.Places("second")
	if err != nil {
		t.Fatal(err)
	}
	off, _, err := f.unitOf(context.Background(), p[0].Addr)
	if err != nil {
		t.Fatal(err)
	}
	u, err := f.unit(context.Background(), off)
	if err != nil {
		t.Fatal(err)
	}
	for i, fn := range u.funcs {
		if fn.inlined {
			// What it refers to is what it is asked through: as deep as it goes.
			if name, err := f.nameOf(context.Background(), u, int64(fn.entry), 1); err == nil {
				t.Errorf("function %d has the name %q at depth 1", i, name)
			}
		}
	}
	if _, err := f.nameOf(context.Background(), u, 1<<40, maxOrigins); !fault.Is(err, fault.DebugDamaged) {
		t.Errorf("%v", err)
	}
}

// TestVMLinux looks 1,000 random addresses of a distribution's vmlinux up and
// compares them with LLVM's addr2line. COREDROP_VMLINUX names the file; memory is
// measured as it goes.
func TestVMLinux(t *testing.T) {
	path := os.Getenv("COREDROP_VMLINUX")
	if path == "" {
		t.Skip("COREDROP_VMLINUX is not set")
	}
	addrs := addresses(t, path, 1000)
	f := openFile(t, path)
	runtime.GC()
	peak := uint64(0)
	for i, a := range addrs {
		if _, err := f.Frames(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			t.Logf("the first address took %d bytes read", f.BytesRead())
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.Sys-m.HeapReleased)
	}
	t.Logf("peak memory %d MiB, %d bytes read", peak>>20, f.BytesRead())
	if peak >= 128<<20 {
		t.Errorf("peak memory %d MiB", peak>>20)
	}
	compare(t, "llvm-addr2line", path, addrs)
}

func FuzzFrames(f *testing.F) {
	for _, name := range objects {
		f.Add(object(f, name), uint64(8))
	}
	f.Fuzz(func(t *testing.T, b []byte, off uint64) {
		d, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		places, err := d.Places("outer")
		if err != nil && fault.As(err).Code == fault.Internal {
			t.Error(err)
		}
		for _, p := range append(places, Place{Addr: off}, Place{Addr: sectionBase(1)}) {
			frames, err := d.Frames(context.Background(), p.Addr+off)
			if err != nil && fault.As(err).Code == fault.Internal {
				t.Error(err)
			}
			if len(frames) > maxFunctions {
				t.Errorf("%d frames", len(frames))
			}
		}
	})
}
