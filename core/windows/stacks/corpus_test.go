package stacks_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/pdb"
	"coredrop/core/pe"
	"coredrop/core/source"
	"coredrop/core/windows"
	"coredrop/core/windows/find"
	"coredrop/core/windows/stacks"
	"coredrop/core/windows/unwind"
	"coredrop/server/corpustest"
)

// hexNumber is a number written as "0x…"; null is 0.
type hexNumber uint64

func (h *hexNumber) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	n, err := strconv.ParseUint(strings.Trim(string(b), `"`), 0, 64)
	*h = hexNumber(n)
	return err
}

// stackTruth is a stack as the guest's own functions logged it.
type stackTruth struct {
	What    string // processor, thread; "" in the older form
	Start   string // live, record
	CPU     *int
	Thread  hexNumber
	Process string
	TID     hexNumber
	Ends    string
	Certain *int `json:"certain_frames"`
	Frames  []struct {
		RIP, RSP hexNumber
		Kind     string
		Image    *string
		Module   string
		Symbol   string
		ByExport string `json:"by_export"`
		WithPDB  string `json:"with_pdb"`
	}
}

type caseTruth struct {
	Crasher *int
	Stacks  []stackTruth
}

// stores gives the PDBs of symbol stores in directories, unless they are
// refused by name.
type stores struct {
	t    testing.TB
	dirs []string
	but  string // a PDB that is answered with another build's
}

func (s *stores) PDB(_ context.Context, cv pe.CodeView) (*pdb.File, pdb.Origin, error) {
	for _, dir := range s.dirs {
		key := cv.Key()
		if s.but == cv.Name {
			other, err := filepath.Glob(filepath.Join(dir, cv.Name, "*"))
			if err != nil {
				s.t.Fatal(err)
			}
			other = slices.DeleteFunc(other, func(p string) bool { return filepath.Base(p) == key })
			if len(other) == 0 {
				continue
			}
			key = filepath.Base(other[0])
		}
		f, err := os.Open(filepath.Join(dir, cv.Name, key, cv.Name))
		if err != nil {
			continue
		}
		s.t.Cleanup(func() { f.Close() })
		info, err := f.Stat()
		if err != nil {
			s.t.Fatal(err)
		}
		file, err := pdb.Open(f, info.Size())
		return file, pdb.Origin{Kind: pdb.FromStore, Name: dir}, err
	}
	return nil, pdb.Origin{}, fault.New(fault.SymbolsNotFound, "no symbol store has %s", cv.Key())
}

// open finds the kernel of a core.
func open(t testing.TB, path string) *windows.Kernel {
	t.Helper()
	f := corpustest.File(t, path)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return locate(t, f, info.Size())
}

// locate finds the kernel of a core.
func locate(t testing.TB, r io.ReaderAt, size int64) *windows.Kernel {
	t.Helper()
	m, err := elfcore.Open(context.Background(), source.Source{ReaderAt: r, Size: size, Name: "core.elf"}, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	k, err := find.Locate(context.Background(), m, find.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// crash finds the kernel of the built-in crash, which is 33-tiny-bugcheck.
func crash(t testing.TB) *windows.Kernel {
	t.Helper()
	core, err := demo.Crash.Core()
	if err != nil {
		t.Fatal(err)
	}
	return locate(t, bytes.NewReader(core), int64(len(core)))
}

// cases lists the corpus's cores with known stacks.
func cases(t *testing.T) []string {
	var list []string
	for _, part := range []string{"unwind/cores", "bugcheck"} {
		dir := corpustest.Dir(t, part)
		found, err := filepath.Glob(filepath.Join(dir, part, "*", "truth.json"))
		if err != nil || len(found) == 0 {
			t.Fatal(part, err)
		}
		for _, f := range found {
			list = append(list, filepath.Dir(f))
		}
	}
	return list
}

// whole is what every stack of a case should be, by who stands on it.
func whole(p []*stacks.Processor, th []*stacks.Thread, s stackTruth) (*stacks.Stack, string) {
	if s.CPU != nil && s.What != "thread" {
		for i := range p {
			if p[i].CPU != *s.CPU {
				continue
			}
			switch {
			case s.Start == "record":
				return p[i].Stack, "record"
			case p[i].Live != nil:
				return p[i].Live, "live"
			}
			return p[i].Stack, "live"
		}
	}
	for i := range th {
		if uint64(th[i].VA) == uint64(s.Thread) {
			return &th[i].Stack, "thread"
		}
	}
	return nil, ""
}

// kinds translates the older form's.
var kinds = map[string]string{"cpu": stacks.KindLive, "call": stacks.KindReturn, "interrupted": stacks.KindMachineFrame, "switch": stacks.KindReturn}

// compare compares a stack with its truth; pdbs says whether every module's PDB
// was there that has one.
func compare(t *testing.T, who string, got *stacks.Stack, want stackTruth, pdbs bool) {
	t.Helper()
	if got == nil {
		t.Errorf("%s: no stack", who)
		return
	}
	certain := len(want.Frames)
	if want.Certain != nil {
		certain = *want.Certain
	}
	n := len(slices.DeleteFunc(slices.Clone(got.Frames), func(f stacks.Frame) bool { return f.Guessed }))
	if n != certain {
		t.Errorf("%s: %d certain frames, want %d; it ends: %s", who, n, certain, got.Why)
	}
	for i, f := range got.Frames {
		if i >= len(want.Frames) {
			if !f.Guessed {
				t.Errorf("%s: frame %d is one too many: %v", who, i, f)
			}
			break
		}
		w := want.Frames[i]
		if f.Guessed && i >= certain {
			continue // what is marked may be wrong
		}
		kind := w.Kind
		if k, ok := kinds[kind]; ok {
			kind = k
		}
		if f.Address != uint64(w.RIP) || f.StackPointer != uint64(w.RSP) || f.Kind != kind {
			t.Errorf("%s: frame %d is %#x at %#x (%s), want %#x at %#x (%s)", who, i, f.Address, f.StackPointer, f.Kind, uint64(w.RIP), uint64(w.RSP), kind)
			continue
		}
		name := w.ByExport
		switch {
		case pdbs && w.Symbol != "":
			name = w.Symbol // of the modules that have one
		case pdbs:
			name = w.WithPDB
		}
		name = strings.TrimSuffix(name, "+0x0")
		if want.Certain != nil && i == certain-1 && name != f.Name.String() && f.Symbol == "" {
			// Its exception data is what is missing: no export can name it.
			name = fmt.Sprintf("%s+%#x", f.Module, f.Offset)
		}
		if f.Name.String() != name {
			t.Errorf("%s: frame %d is %q, want %q", who, i, f.Name, name)
		}
		if strings.Contains(name, "!") && f.From != stacks.FromExport && !(pdbs && f.From == stacks.FromPDB) {
			t.Errorf("%s: %q is from %q", who, f.Name, f.From)
		}
	}
	if certain == len(want.Frames) {
		end := unwind.ThreadStart
		if want.Ends == "user mode" {
			end = unwind.UserMode
		}
		if got.End != end || !got.Whole() {
			t.Errorf("%s ends with %s (%s), want %s", who, got.End, got.Why, end)
		}
	} else if got.Why == "" {
		t.Errorf("%s: no reason for its end", who)
	}
}

// TestCores compares every stack of the cores with what the guest itself logged:
// with the PDBs, by exports, and with PDBs of another build, which are not used.
func TestCores(t *testing.T) {
	for _, dir := range cases(t) {
		corpus := corpustest.Dir(t, "")
		truth := corpustest.ReadJSON[caseTruth](t, filepath.Join(dir, "truth.json"))
		dirs := []string{filepath.Join(corpus, "symbols"), filepath.Join(corpus, "unwind", "symbols")}
		for name, symbols := range map[string]windows.Symbols{
			"pdb": &stores{t: t, dirs: dirs}, "exports": nil, "other build": &stores{t: t, dirs: dirs, but: "ntkrnlmp.pdb"},
		} {
			if name == "other build" && !strings.Contains(dir, "bugcheck") {
				continue
			}
			t.Run(filepath.Base(dir)+"/"+name, func(t *testing.T) {
				k := open(t, filepath.Join(dir, "core.elf.zst"))
				r := stacks.New(context.Background(), k, symbols)
				processors := r.Processors()
				threads, err := r.Threads()
				if err != nil {
					t.Error(err)
				}
				if truth.Crasher != nil && (processors[0].CPU != *truth.Crasher || !processors[0].Crasher || processors[1].Crasher) {
					t.Errorf("the crasher is not first: %v", processors[0].Line())
				}
				for i, s := range truth.Stacks {
					got, what := whole(processors, threads, s)
					compare(t, fmt.Sprintf("stack %d (%s)", i, what), got, s, name == "pdb")
				}
				if name == "other build" && !slices.ContainsFunc(r.Warnings(), func(w fault.Warning) bool { return w.Code == fault.SymbolsMismatch }) {
					t.Errorf("no word of the PDB of another build: %v", r.Warnings())
				}
				for _, p := range processors {
					t.Log(p.Line())
				}
			})
		}
	}
}

// TestNoExceptionData reads cores whose images have no exception data: one frame
// each, and the reason.
func TestNoExceptionData(t *testing.T) {
	corpus := corpustest.Dir(t, "unwind/minint.json")
	type truth struct {
		CPU    int
		Frames []struct {
			RIP, RSP hexNumber
			WithPDB  string `json:"with_pdb"`
		}
	}
	all := corpustest.ReadJSON[map[string][]truth](t, filepath.Join(corpus, "unwind", "minint.json"))
	(*all)["11-cpu16"] = nil
	for name, list := range *all {
		t.Run(name, func(t *testing.T) {
			k := open(t, filepath.Join(corpus, "windows", name, "core.elf.zst"))
			r := stacks.New(context.Background(), k, &stores{t: t, dirs: []string{filepath.Join(corpus, "symbols")}})
			processors := r.Processors()
			for _, p := range processors {
				if p.Stack == nil || len(p.Stack.Frames) != 1 || p.Stack.Why == "" {
					t.Errorf("processor %d: %+v", p.Number, p.Stack)
				}
				t.Log(p.Line(), p.Stack)
			}
			for _, want := range list {
				i := slices.IndexFunc(processors, func(p *stacks.Processor) bool { return p.CPU == want.CPU })
				f := processors[i].Stack.Frames[0]
				if f.Address != uint64(want.Frames[0].RIP) || f.StackPointer != uint64(want.Frames[0].RSP) || f.Name.String() != want.Frames[0].WithPDB {
					t.Errorf("CPU %d: %v, want %+v", want.CPU, f, want.Frames[0])
				}
			}
			threads, err := r.Threads()
			t.Log(len(threads), err)
		})
	}
}

// TestFirstAid reads what 33-tiny-bugcheck proves.
func TestFirstAid(t *testing.T) {
	k := crash(t)
	r := stacks.New(context.Background(), k, nil)
	p, b := r.Processors(), r.BugCheck()
	if b.Name != "DRIVER_IRQL_NOT_LESS_OR_EQUAL" || b.Parameters[0].Meaning != "address touched" || b.Parameters[0].At.Module != "" {
		t.Errorf("bug check %+v", b)
	}
	if got := b.Parameters[3].At.String(); got != "minidrv+0x1319" {
		t.Errorf("the faulting address is %q", got)
	}
	a := r.FirstAid(p, b)
	if a.Crasher != 2 || a.Faulting.Module != "minidrv" || a.FaultedBy != "parameter 4 and the crasher's stack" {
		t.Errorf("first aid %+v", a)
	}
	if want := []string{"System (4)", "smss.exe (420)"}; !slices.Equal(a.Processes, want) {
		t.Errorf("processes %q", a.Processes)
	}
	want := []string{
		"processor 2: called KeBugCheckEx, at minidrv+0x1319, process System",
		"processor 0: idle, at hal!HalProcessorIdle+0x2",
		"processor 1: in a DPC of minidrv, at minidrv+0x1202, process System",
		"processor 3: user mode, at 0x7ff63c3b1040, process smss.exe",
	}
	if !slices.Equal(a.Lines, want) {
		t.Errorf("lines %q", a.Lines)
	}
	if a.Uptime <= 0 {
		t.Error("no uptime")
	}
}

// TestText compares the text of 33-tiny-bugcheck, by exports and with threads,
// with what it should be.
func TestText(t *testing.T) {
	k := crash(t)
	rep, err := stacks.Read(context.Background(), k, nil, true)
	if err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/33-tiny-bugcheck.txt"
	got := rep.Text()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the text is not as in %s (-update rewrites it):\n%s", golden, got)
	}
}

var update = flag.Bool("update", false, "rewrite the text that is compared with")

// TestStackNames names the stacks of 01-stacks that processors change to.
func TestStackNames(t *testing.T) {
	k := open(t, filepath.Join(corpustest.Dir(t, "unwind/cores/01-stacks"), "unwind", "cores", "01-stacks", "core.elf.zst"))
	got := map[int][]string{}
	for _, p := range stacks.New(context.Background(), k, nil).Processors() {
		for _, f := range p.Stack.Frames {
			if f.On != "" {
				got[p.Number] = append(got[p.Number], f.On)
			}
		}
	}
	if want := (map[int][]string{2: {"DPC stack", "thread stack"}, 3: {"NMI stack", "thread stack"}}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
