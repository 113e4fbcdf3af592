package owner_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/linux"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/owner"
	"coredrop/core/source"
	"coredrop/server/corpustest"
)

// address is a number as a truth has it.
type address uint64

func (a *address) UnmarshalJSON(p []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(p), `"`), 0, 64)
	*a = address(n)
	return err
}

// race is what the truth of a core with deliberate races says of one.
type race struct {
	Kind, Type, Member, Cache, Kallsyms, Module string
	Address, Base                               address
	Size, Offset                                uint64
	CPU                                         *int
	Users                                       int    `json:"cache_users"`
	From                                        string `json:"type_from"` // "": no type can be known
	Task                                        *struct {
		PID  int
		Comm string
	}
	ObjectBase  address `json:"object_base"`
	AllocatedBy string  `json:"allocated_by"`
	Element     *int
	Slab        address
	KmemCache   address `json:"kmem_cache"`
}

func open(t *testing.T, name string, o linux.Options) *linux.Kernel {
	t.Helper()
	r, size := corpustest.KCSANCore(t, name)
	m, err := machine.Open(t.Context(), source.Source{ReaderAt: r, Size: size, Name: name}, machine.Options{}, elfcore.Open)
	if err != nil {
		t.Fatal(err)
	}
	k, err := linux.Locate(t.Context(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestRaces: the owner of every address that the guests raced on, with and without
// VMCOREINFO; a type where the truth says that it can be known, and only there.
func TestRaces(t *testing.T) {
	for _, name := range []string{"f-heap-inflight", "g-static-inflight"} {
		for _, o := range []linux.Options{{}, {IgnoreInfo: true}} {
			t.Run(fmt.Sprintf("%s/without info %v", name, o.IgnoreInfo), func(t *testing.T) {
				text, err := os.ReadFile(filepath.Join(corpustest.KCSAN(t), name, "truth.json"))
				if err != nil {
					t.Skip(err)
				}
				var truth struct{ Races map[string]race }
				if err := json.Unmarshal(text, &truth); err != nil {
					t.Fatal(err)
				}
				if len(truth.Races) != 24 {
					t.Fatal(len(truth.Races), "races")
				}
				f := owner.New(open(t, name, o))
				for id, r := range truth.Races {
					check(t, id, r, f.At(uint64(r.Address), r.Size))
				}
			})
		}
	}
}

// check holds an answer against the truth.
func check(t *testing.T, id string, r race, got owner.Object) {
	t.Helper()
	name := r.Cache
	if symbol, _, ok := strings.Cut(r.Kallsyms, "+"); ok {
		name = symbol
	}
	name = cmp.Or(name, r.AllocatedBy)
	if got.Kind != r.Kind || got.Offset != r.Offset || got.Base != uint64(r.ObjectBase) || got.Module != r.Module || name != "" && got.Name != name {
		t.Errorf("%s: %+v\nwant %+v", id, got, r)
	}
	if r.CPU != nil && got.CPU != *r.CPU || r.Users > 0 && got.Users != r.Users {
		t.Errorf("%s: CPU %d, users %d; want %+v", id, got.CPU, got.Users, r)
	}
	if r.Task != nil && (got.Task == nil || got.Task.PID != r.Task.PID || got.Task.Comm != r.Task.Comm) {
		t.Errorf("%s: task %+v", id, got.Task)
	}
	switch {
	case r.From == "" && got.Type != "":
		t.Errorf("%s: %s is claimed, which cannot be known", id, got.Type)
	case r.From != "" && (got.Type != r.Type || r.Member != "" && got.Member != r.Member):
		t.Errorf("%s: %q %q, want %q %q (by %s)", id, got.Type, got.Member, r.Type, r.Member, r.From)
	}
	if r.Element != nil && r.From != "" && got.Member != fmt.Sprintf("[%d]", *r.Element) {
		t.Errorf("%s: element %q", id, got.Member)
	}
}

// TestOlder: cores from which the pages that would tell are left out say so, and name
// static data all the same. In e, which is whole, tasks come out by content.
func TestOlder(t *testing.T) {
	for _, name := range []string{"a-live", "b-live-la57", "c-live", "d-live", "e-inflight"} {
		t.Run(name, func(t *testing.T) {
			k := open(t, name, linux.Options{})
			f := owner.New(k)
			for cpu := range k.Machine.CPUs {
				task, ok := k.Current(cpu)
				if !ok || task.PID == 0 || task.Addr == 0 {
					continue
				}
				o := f.At(task.Addr+64, 8)
				switch {
				case name != "e-inflight" && o.Kind != owner.Absent:
					t.Errorf("CPU %d: %+v", cpu, o)
				case name == "e-inflight" && (o.Kind != owner.Slab || o.Name != "task_struct" || o.Base != task.Addr || o.Size != 5448 || o.Type != ""):
					t.Errorf("CPU %d: %+v", cpu, o)
				}
			}
			at, ok := k.Symbols.Lookup("jiffies")
			if !ok {
				t.Skip("no data symbols")
			}
			if o := f.At(at, 8); o.Kind != owner.Static || o.Base != at {
				t.Errorf("jiffies: %+v", o)
			}
		})
	}
}

// counted counts the bytes that are read.
type counted struct {
	mem.Physical
	n int64
}

func (c *counted) ReadAt(p []byte, pa mem.PA) error {
	c.n += int64(len(p))
	return c.Physical.ReadAt(p, pa)
}

// TestReads: the owners of all of a core's races cost no more than two megabytes.
func TestReads(t *testing.T) {
	truth := readTruth(t, "f-heap-inflight")
	k := open(t, "f-heap-inflight", linux.Options{})
	c := &counted{Physical: k.Space.Phys}
	k.Space.Phys = c
	f := owner.New(k)
	for _, r := range truth.Races {
		f.At(uint64(r.Address), r.Size)
	}
	t.Logf("%d bytes", c.n)
	if c.n > 2<<20 {
		t.Errorf("%d bytes were read", c.n)
	}
}
