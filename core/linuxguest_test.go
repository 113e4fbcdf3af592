package core

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/core/synth"
)

// memorySource is a file in memory.
func memorySource(name string, b []byte) source.Source {
	return source.Source{ReaderAt: bytes.NewReader(b), Size: int64(len(b)), Name: name}
}

// TestPlainLinux: a core of any Linux guest tells its release, uptime, panic, oops,
// the CPUs' tasks and stacks, modules, tasks and log, whoever wrote it.
func TestPlainLinux(t *testing.T) {
	for name, core := range linuxtest.PlainCores() {
		c, err := Open(context.Background(), memorySource("core", core), Options{})
		if !fault.Is(err, fault.IsLinux) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := c.Look(context.Background()); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s := c.Summary()
		l := s.Linux
		if l == nil || l.Release != "6.8.0-plain" || l.Panic != "Fatal exception" || s.Guest.UptimeSeconds != 7.25 || len(l.Troubles) != 2 {
			t.Errorf("%s: %+v, up %v", name, l, s.Guest.UptimeSeconds)
			continue
		}
		if o := l.Troubles[0]; o.Kind != "oops" || o.Where != "sysrq_handle_crash+0x8/0x50" || o.Seconds != 7 || o.Caller != "T3" {
			t.Errorf("%s: %+v", name, o)
		}
		if d := l.Detail; len(d.Modules) != 1 || d.Modules[0].Name != "virtio_net" || len(d.Tasks) != 4 || !d.TasksWhole || d.LogRecords != 4 || d.KCSAN != nil {
			t.Errorf("%s: %+v", name, d)
		}
		var stacks []string
		for _, cpu := range s.CPUs {
			task := "?"
			if cpu.Process != nil {
				task = cpu.Process.Name
			}
			for _, f := range cpu.Stack {
				task += " " + f.Symbol
				if f.Module != "" {
					task += "[" + f.Module + "]"
				}
			}
			stacks = append(stacks, task)
		}
		if want := []string{"bash default_idle", "sleep panic sysrq_handle_crash virtio_net_work[virtio_net]"}; !slices.Equal(stacks, want) {
			t.Errorf("%s: %q, want %q", name, stacks, want)
		}
		text, err := c.Log(context.Background())
		if err != nil || !strings.HasSuffix(text, "[    7.250000] Kernel panic - not syncing: Fatal exception\n") {
			t.Errorf("%s: %q, %v", name, text, err)
		}
		r, err := c.Races(context.Background())
		if err != nil || len(r.Reports) != 0 || !slices.ContainsFunc(r.Warnings, func(w fault.Warning) bool { return w.Code == fault.NoKCSAN }) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if s := c.Summary(); s.Linux.Panic == "" || len(s.Linux.Detail.Tasks) != 4 {
			t.Errorf("%s: what was known is gone: %+v", name, s.Linux)
		}
	}
}

const linedBanner = "Linux version 6.8.0 (me@here) (cc 1) #1 SMP today"

// lined is a program linked at kernel addresses, whose functions a guest has.
const lined = `
volatile int shared;
const char linux_banner[] = "` + linedBanner + `\n";
static inline __attribute__((always_inline)) int bump(int by)
{
	shared += by;
	return shared * by;
}
__attribute__((noinline)) int alpha(int x)
{
	int y = bump(x);
	if (y > 3)
		shared = y;
	return y;
}
__attribute__((noinline)) int beta(int x)
{
	return bump(x + 2) + alpha(x);
}
int thread(int x)
{
	return alpha(x) + beta(x) * 3;
}
`

// linkedProgram builds it and gives its path, functions and build ID.
func linkedProgram(t *testing.T) (path string, functions map[string]elf.Symbol, text uint64, code []byte, id string) {
	t.Helper()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not here")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lined.c"), []byte(lined), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("gcc", "-g", "-O2", "-mcmodel=kernel", "-fno-pic", "-no-pie", "-nostdlib", "-static", "-fcf-protection=none",
		"-Wl,-Ttext=0xffffffff81080000", "-Wl,-e,thread", "-Wl,--build-id=sha1", "-o", "vmlinux", "lined.c")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	path = filepath.Join(dir, "vmlinux")
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.Symbols()
	if err != nil {
		t.Fatal(err)
	}
	functions = map[string]elf.Symbol{}
	for _, s := range symbols {
		if elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			functions[s.Name] = s
		}
	}
	note, err := f.Section(".note.gnu.build-id").Data()
	if err != nil {
		t.Fatal(err)
	}
	section := f.Section(".text")
	if code, err = section.Data(); err != nil {
		t.Fatal(err)
	}
	return path, functions, section.Addr, code, hex.EncodeToString(note[len(note)-20:])
}

// addr2line gives "function file:line" for an address, the innermost first.
func addr2line(t *testing.T, path string, addr uint64) []string {
	t.Helper()
	out, err := exec.Command("addr2line", "-f", "-i", "-e", path, fmt.Sprintf("%#x", addr)).Output()
	if err != nil {
		t.Skipf("addr2line: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var all []string
	for i := 0; i+1 < len(lines); i += 2 {
		where, _, _ := strings.Cut(lines[i+1], " (")
		all = append(all, lines[i]+" "+where)
	}
	return all
}

// spelled gives a stack's frames as addr2line has them, and inlined ones marked.
func spelled(frames []summary.Frame) (out []string) {
	for _, f := range frames {
		out = append(out, fmt.Sprintf("%s %s:%d", f.Symbol, f.File, f.Line))
	}
	return out
}

// TestSourceLines: the stack of a CPU and a report in the log get the source lines of
// the vmlinux that the core's build ID names, inlined functions included, and no
// other's; KASLR has moved the kernel.
func TestSourceLines(t *testing.T) {
	path, functions, text, code, id := linkedProgram(t)
	const slide = 0x1400000
	guest := func(id string) []byte {
		g := linuxtest.New(linuxtest.Config{Release: "6.8.0", Slide: slide, Note: true, DataSymbols: true, Table: linuxtest.OrderLast, Plain: true})
		g.Poke(text+slide, code)
		end := uint64(0)
		for name, s := range functions {
			g.Symbol(name, 't', s.Value+slide)
			end = max(end, s.Value+s.Size)
		}
		g.Symbol("behind", 't', (end+15)&^15+slide)
		g.Key("BUILD-ID=%s", id)
		at := func(name string, off uint64) uint64 { return functions[name].Value + off + slide }
		entry := func(name string, off uint64) string {
			size := (functions[name].Size + 15) &^ 15
			return fmt.Sprintf(" %s+%#x/%#x", name, off, size)
		}
		report := kcsan.Separator + "\nBUG: KCSAN: data-race in alpha / beta\n\n" +
			"write to 0xffffffff82000000 of 4 bytes by task 3 on cpu 0:\n" + entry("alpha", 9) + "\n" + entry("thread", 9) + "\n\n" +
			"read to 0xffffffff82000000 of 4 bytes by task 4 on cpu 1:\n" + entry("beta", 9) + "\n" + entry("thread", 18) + "\n\n" +
			"Reported by Kernel Concurrency Sanitizer on:\nCPU: 1 PID: 4 Comm: x Not tainted 6.8.0 #1 \n" + kcsan.Separator
		var records []linuxtest.Record
		for i, line := range strings.Split(report, "\n") {
			records = append(records, linuxtest.Record{Seq: uint64(i), Time: 1e9, Caller: 4, Text: line})
		}
		g.Log(records)
		stack := g.Heap(4096)
		g.Poke64(stack+0x100, 0)
		g.Poke64(stack+0x108, at("thread", 9))
		g.CPU(cpu.Values{cpu.RIP: at("alpha", 4), cpu.RSP: stack, cpu.RBP: stack + 0x100})
		m := g.Machine()
		return synth.WriteELF(synth.ELF{Loads: []synth.Load{{Data: g.Memory()}}, CPUs: m.CPUs, Guest: m.Guest})
	}
	vmlinux, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := func(name string, off uint64) []string { return addr2line(t, path, functions[name].Value+off) }

	c, _ := Open(context.Background(), memorySource("core", guest(id)), Options{})
	if _, err := c.Races(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := c.Debug(context.Background(), memorySource("vmlinux", vmlinux)); err != nil {
		t.Fatal(err)
	}
	s := c.Summary()
	if d := s.Linux.Debug; len(d) != 1 || d[0].BuildID != id || d[0].Module != "" || d[0].BytesRead == 0 {
		t.Errorf("%+v, warnings %v", d, s.Warnings)
	}
	// The CPU's own address is exact, the others stand behind their calls.
	if got, want := spelled(s.CPUs[0].Stack), append(want("alpha", 4), want("thread", 8)...); !slices.Equal(got, want) {
		t.Errorf("stack %q, want %q", got, want)
	}
	if len(s.Reports) != 1 || len(s.Reports[0].Accesses) != 2 {
		t.Fatalf("%+v", s.Reports)
	}
	inlined := 0
	for i, want := range [][]string{append(want("alpha", 8), want("thread", 8)...), append(want("beta", 8), want("thread", 17)...)} {
		if got := spelled(s.Reports[0].Accesses[i].Stack); !slices.Equal(got, want) {
			t.Errorf("access %d: %q, want %q", i, got, want)
		}
		for _, f := range s.Reports[0].Accesses[i].Stack {
			if f.Inline {
				inlined++
			}
		}
	}
	if inlined == 0 {
		t.Error("the test's program has nothing inlined there")
	}
	r, err := c.Races(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	annotated := r.Lines.Annotate(r.Reports[0].Text)
	if !strings.Contains(annotated, "lined.c:6 [inline]\n alpha+0x9/0x") || strings.Contains(r.Reports[0].Text, "lined.c") {
		t.Errorf("%s", annotated)
	}
	if races.Lines(nil).Annotate("x\n y\n") != "x\n y\n" {
		t.Error("no lines change a text")
	}

	// Another build's is named and not used; nor is what is no vmlinux at all.
	other := strings.Repeat("ab", 20)
	c, _ = Open(context.Background(), memorySource("core", guest(other)), Options{})
	for _, f := range []source.Source{memorySource("vmlinux", vmlinux), memorySource("notes.txt", []byte(lined))} {
		if err := c.Debug(context.Background(), f); err != nil {
			t.Fatal(err)
		}
	}
	s = c.Summary()
	var codes []fault.Code
	for _, w := range s.Warnings {
		codes = append(codes, w.Code)
		if w.Code == fault.DebugMismatch && (!strings.Contains(w.Text, id) || !strings.Contains(w.Text, other)) {
			t.Errorf("%q", w.Text)
		}
	}
	if !slices.Contains(codes, fault.DebugMismatch) || !slices.Contains(codes, fault.NoDebugInfo) || s.CPUs[0].Stack[0].File != "" || len(s.Linux.Debug) != 0 {
		t.Errorf("warnings %v, %+v", s.Warnings, s.CPUs[0].Stack)
	}
}

// TestModuleLines: a module's debugging information is a relocatable file; its
// build ID is in the module's memory, and its functions are where it was loaded.
func TestModuleLines(t *testing.T) {
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("gcc is not here")
	}
	dir := t.TempDir()
	const text = "static inline __attribute__((always_inline)) int deep(int x)\n{\n\treturn x * x;\n}\nint other(int x)\n{\n\treturn x - 1;\n}\nint my_mod_work(int x)\n{\n\treturn deep(x) + 3;\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "mod.c"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"gcc", "-g", "-O2", "-fcf-protection=none", "-c", "mod.c"}, {"ld", "-r", "--build-id=sha1", "-o", "mod.ko", "mod.o"}} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	ko, err := os.ReadFile(filepath.Join(dir, "mod.ko"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(ko))
	if err != nil {
		t.Fatal(err)
	}
	note, err := f.Section(".note.gnu.build-id").Data()
	if err != nil {
		t.Fatal(err)
	}
	g := linuxtest.New(linuxtest.Config{Release: "6.8.0", Note: true, DataSymbols: true})
	mod := g.Modules(linuxtest.ModuleForms()[3], [6]byte{}, "my_mod")[0]
	g.Poke(mod.Text+0x800, note)
	g.CPU(cpu.Values{cpu.RIP: mod.Function + 2, cpu.RSP: g.Heap(4096)})
	m := g.Machine()
	core := synth.WriteELF(synth.ELF{Loads: []synth.Load{{Data: g.Memory()}}, CPUs: m.CPUs, Guest: m.Guest})
	c, _ := Open(context.Background(), memorySource("core", core), Options{})
	if err := c.Debug(context.Background(), memorySource("my_mod.ko.debug", ko)); err != nil {
		t.Fatal(err)
	}
	s := c.Summary()
	want := []string{"deep " + dir + "/mod.c:3", "my_mod_work " + dir + "/mod.c:11"}
	if got := spelled(s.CPUs[0].Stack); len(s.Linux.Debug) != 1 || s.Linux.Debug[0].Module != "my_mod" || len(got) < 2 || !slices.Equal(got[:2], want) {
		t.Errorf("%q, want %q; %+v, warnings %v", got, want, s.Linux.Debug, s.Warnings)
	}
}

// TestLogLines: the reports of a log get the source lines of the vmlinux whose
// build ID they show, or whose first line the log has; of no other.
func TestLogLines(t *testing.T) {
	path, functions, _, _, id := linkedProgram(t)
	vmlinux, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	entry := func(name string, off uint64) string {
		return fmt.Sprintf(" %s+%#x/%#x", name, off, (functions[name].Size+15)&^15)
	}
	log := func(before, tail string) string {
		return before + kcsan.Separator + "\nBUG: KCSAN: data-race in alpha / beta\n\n" +
			"write to 0xffffffff82000000 of 4 bytes by task 3 on cpu 0:\n" + entry("alpha", 9) + "\n\n" +
			"read to 0xffffffff82000000 of 4 bytes by task 4 on cpu 1:\n" + entry("beta", 9) + "\n\n" +
			"Reported by Kernel Concurrency Sanitizer on:\nCPU: 1 PID: 4 Comm: x Not tainted 6.8.0 #1 " + tail + "\n" + kcsan.Separator + "\n"
	}
	other := strings.Repeat("ab", 20)
	for name, c := range map[string]struct {
		log  string
		used bool
	}{
		"build ID":       {log("", " "+id), true},
		"another's":      {log(linedBanner+"\n", " "+other), false},
		"first line":     {log("[    0.000000] "+linedBanner+"\n", ""), true},
		"another build":  {log("[    0.000000] "+strings.Replace(linedBanner, "#1", "#2", 1)+"\n", ""), false},
		"nothing tells":  {log("", ""), false},
		"caller's stamp": {log("[    0.000000][    T0] "+linedBanner+"\r\n", ""), true},
	} {
		k, _ := Open(context.Background(), memorySource("dmesg.txt", []byte(c.log)), Options{})
		r, err := k.Races(context.Background())
		if err != nil || len(r.Reports) != 1 {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		if err := k.Debug(context.Background(), memorySource("vmlinux", vmlinux)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := k.Summary()
		refused := slices.ContainsFunc(s.Warnings, func(w fault.Warning) bool { return w.Code == fault.DebugMismatch })
		if refused == c.used || (len(s.Linux.Debug) == 1) != c.used {
			t.Errorf("%s: %+v, warnings %v", name, s.Linux.Debug, s.Warnings)
		}
		if !c.used {
			continue
		}
		for i, fn := range []string{"alpha", "beta"} {
			if got, want := spelled(s.Reports[0].Accesses[i].Stack), addr2line(t, path, functions[fn].Value+8); !slices.Equal(got, want) {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
	}
}
