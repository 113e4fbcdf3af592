package stacks_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pdb/pdbtest"
	"coredrop/core/pe"
	"coredrop/core/synth"
	"coredrop/core/windows/stacks"
)

// sleeper lays out a thread of Registry that was switched out, alone in its
// process's list; its id is 24.
func (s *scene) sleeper(state byte) (saved uint64) {
	const limit = 0xffff8d4000000000
	process := s.Truth.Processes[1].VA
	saved = limit + 0x5f00
	s.thread(sleeperAt, process, state, limit, limit+0x6000, saved)
	s.Write64(saved+0x30, 0x1122334455667788)
	s.Write64(saved+0x38, s.kernel+0x1420)
	s.Write64(saved+0x68, s.kernel+0x1820)
	s.Write64(saved+0x98, 0)
	s.Write(s.kernel+0x1420-5, append([]byte{0xe8}, le.AppendUint32(nil, 0x200)...))
	for _, at := range []uint64{process + 0x30, process + 0x38} {
		s.Write64(at, sleeperAt+0x2f8)
	}
	s.Write64(sleeperAt+0x2f8, process+0x30)
	s.Write64(sleeperAt+0x300, process+0x30)
	s.Write64(sleeperAt+0x478, 0x6c)
	s.Write64(sleeperAt+0x480, 24)
	s.frames()
	s.stand(s.kernel+0x1820, s.sp)
	return saved
}

const sleeperAt = 0xffff8d3000000000

// TestSleepers switches threads out in ways that differ.
func TestSleepers(t *testing.T) {
	for _, c := range []struct {
		name  string
		dress func(s *scene)
		want  string
		why   string
	}{
		{"waiting", func(s *scene) { s.sleeper(5) }, "nt!KiSwapContext+0x20 nt+0x1820 | thread-start", ""},
		{"running, and no processor's", func(s *scene) { s.sleeper(2) }, " | ", "stale"},
		{"the switch frame of another build", func(s *scene) {
			saved := s.sleeper(5)
			s.Write64(saved+0x38, 0x77)
			s.Write64(saved+0x50, s.kernel+0x1420)
			s.Write64(saved+0x58+0x28, s.kernel+0x1820)
			s.Write64(saved+0x58+0x58, 0)
		}, "nt!KiSwapContext+0x20? nt+0x1820? | thread-start", ""},
		{"no return address at all", func(s *scene) { s.Write64(s.sleeper(5)+0x38, 0x77); s.Write64(0xffff8d4000005f68, 0) }, " | unreadable", "does not say where it goes on"},
		{"swapped out", func(s *scene) { s.sleeper(5); s.Unmap(0xffff8d4000005000) }, " | unreadable", "swapped out"},
		{"page tables of its process that lead nowhere", func(s *scene) {
			s.sleeper(5)
			s.Write64(s.Truth.Processes[1].VA+0x28, 0x123000)
		}, "nt!KiSwapContext+0x20 nt+0x1820 | thread-start", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := build(t, synth.Options{}, c.dress)
			list, err := stacks.New(context.Background(), k, nil).Threads()
			i := slices.IndexFunc(list, func(th *stacks.Thread) bool { return th.VA == sleeperAt })
			if err != nil || i < 0 {
				t.Fatal(list, err)
			}
			if got := addresses(&list[i].Stack); got != c.want || !strings.Contains(list[i].Stack.Why, c.why) {
				t.Errorf("%s (%s), want %s (%s)", got, list[i].Stack.Why, c.want, c.why)
			}
			if list[i].TID != 24 || !list[i].HasID {
				t.Errorf("id %d", list[i].TID)
			}
		})
	}
}

// TestUnknownIDs has a build whose ids are elsewhere: they are found beside
// those of the process, each a different one, or not at all.
func TestUnknownIDs(t *testing.T) {
	const second = sleeperAt + 0x800
	dress := func(distinct bool) func(s *scene) {
		return func(s *scene) {
			s.sleeper(5)
			process := s.Truth.Processes[1].VA
			s.thread(second, process, 5, 0xffff8d4000000000, 0xffff8d4000006000, 0xffff8d4000005f00)
			ring := []uint64{process + 0x30, sleeperAt + 0x2f8, second + 0x2f8}
			for i, at := range ring {
				s.Write64(at, ring[(i+1)%3])
				s.Write64(at+8, ring[(i+2)%3])
			}
			for i, at := range []uint64{sleeperAt, second} {
				s.Write64(at+0x478, 0)
				// A pair that is the same in both, and one that tells them apart.
				s.Write64(at+0x410, 0x6c)
				s.Write64(at+0x418, 0x1000)
				if distinct {
					s.Write64(at+0x450, 0x6c)
					s.Write64(at+0x458, uint64(0x2000+4*i))
				}
			}
		}
	}
	for _, distinct := range []bool{true, false} {
		k := build(t, synth.Options{}, dress(distinct))
		list, err := stacks.New(context.Background(), k, nil).Threads()
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range []uint64{sleeperAt, second} {
			n := slices.IndexFunc(list, func(th *stacks.Thread) bool { return uint64(th.VA) == at })
			if got := list[n]; got.HasID != distinct || distinct && got.TID != uint64(0x2000+4*i) {
				t.Errorf("distinct %v: thread %d has id %#x, %v", distinct, i, got.TID, got.HasID)
			}
		}
	}
}

// TestHeaderMissing takes the driver's header away: the loader's entry still
// has its exception directory.
func TestHeaderMissing(t *testing.T) {
	k := build(t, synth.Options{}, func(s *scene) {
		s.frames(driver+0x1130, s.kernel+0x1820)
		s.stand(driver+0x1020, s.sp)
		s.Unmap(driver)
	})
	s, _ := stackOf(t, k)
	if got := addresses(s); got != "driver+0x1020 | unreadable" {
		t.Errorf("without a word of the loader: %s (%s)", got, s.Why)
	}
	for i := range k.Modules {
		if k.Modules[i].Base == driver {
			k.Modules[i].Exceptions, k.Modules[i].ExceptionBytes = driver+driverPdata, 36
		}
	}
	s, _ = stackOf(t, k)
	if got := addresses(s); got != "driver+0x1020 driver+0x1130 nt+0x1820 | thread-start" {
		t.Errorf("with it: %s (%s)", got, s.Why)
	}
}

// TestDPC has a DPC on top of the idle thread: the processor is not idle.
func TestDPC(t *testing.T) {
	const top = 0xffff8d5000006000 - 0x50
	for _, dpc := range []bool{false, true} {
		k := build(t, synth.Options{}, func(s *scene) {
			s.Write64(s.Truth.PRCB[0]+0x18, thread) // its current thread is the idle one
			s.Write64(s.Truth.PRCB[0]+0x3110, top)  // KPRCB.DpcStack of 19041
			for page := uint64(0xffff8d5000000000); page < 0xffff8d5000006000; page += 0x1000 {
				s.Map(page)
			}
			s.frames()
			s.stand(s.kernel+0x1820, s.sp)
			if dpc {
				s.Write64(top-0x100+0x28, driver+0x1130)
				s.Write64(top-0x100+0x58, 0)
				s.stand(s.kernel+0x1320, top-0x100)
			}
		})
		p := stacks.New(context.Background(), k, nil).Processors()[0]
		if p.Idle == dpc || p.DPC != dpc {
			t.Errorf("DPC %v: %+v", dpc, p)
		}
		if want := map[bool]string{true: "in a DPC of driver", false: "idle"}[dpc]; p.Doing() != want {
			t.Errorf("DPC %v: %q", dpc, p.Doing())
		}
		if on := p.Stack.Frames[0].On; (on == "DPC stack") != dpc {
			t.Errorf("DPC %v: on %q", dpc, on)
		}
	}
}

// TestExceptionStack goes on from the registers that parameters lead to.
func TestExceptionStack(t *testing.T) {
	const record = 0xffff8d6000000100
	for _, c := range []struct {
		name string
		b    synth.BugCheck
		from string
		fill func(s *scene)
	}{
		{"context", synth.BugCheck{Code: 0x7e, Parameters: [4]uint64{0xc0000005, driver + 0x1020, 0, record}}, "context record", func(s *scene) {
			s.Write(record, make([]byte, 0x4d0))
			s.Write32(record+0x30, 0x10001f)
			s.Write64(record+0x98, s.sp)
			s.Write64(record+0xf8, driver+0x1020)
		}},
		{"context without registers", synth.BugCheck{Code: 0x3b, Parameters: [4]uint64{0xc0000005, driver + 0x1020, record}}, "", func(s *scene) {
			s.Write(record, make([]byte, 0x4d0))
		}},
		{"trap frame", synth.BugCheck{Code: 0x139, Parameters: [4]uint64{3, record}}, "trap frame", func(s *scene) {
			s.Write(record, make([]byte, 0x190))
			s.Write64(record+0x168, driver+0x1020)
			s.Write64(record+0x170, 0x10)
			s.Write64(record+0x180, s.sp)
		}},
		{"none", synth.BugCheck{Code: 0xe2}, "", func(*scene) {}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := build(t, synth.Options{BugCheck: &c.b}, func(s *scene) {
				s.frames(driver+0x1130, s.kernel+0x1820)
				c.fill(s)
			})
			b := stacks.New(context.Background(), k, nil).BugCheck()
			if b.From != c.from || (b.Stack != nil) != (c.from != "") {
				t.Fatalf("%+v", b)
			}
			if b.Stack == nil {
				return
			}
			if got := addresses(b.Stack); got != "driver+0x1020 driver+0x1130 nt+0x1820 | thread-start" {
				t.Errorf("%s (%s)", got, b.Stack.Why)
			}
		})
	}
}

// onePDB gives one PDB for every image.
type onePDB struct {
	file *pdb.File
	err  error
}

func (o onePDB) PDB(context.Context, pe.CodeView) (*pdb.File, pdb.Origin, error) {
	return o.file, pdb.Origin{Kind: pdb.FromFile, Name: "test"}, o.err
}

// TestStrippedStatic has a PDB that lacks some functions: the nearest symbol of
// another function is not taken for them.
func TestStrippedStatic(t *testing.T) {
	k := build(t, synth.Options{}, func(s *scene) {
		s.frames(s.kernel+0x1620, s.kernel+0x1820) // 0x1600 has no symbol, 0x1300 and 0x1800 do
		s.stand(s.kernel+0x1320, s.sp)
	})
	data := pdbtest.New(pdbtest.Spec{GUID: k.PDB.GUID, Age: k.PDB.Age, Sections: []uint32{0x1000},
		Publics: []pdbtest.Public{{Name: "KeBugCheckEx", Segment: 1, Offset: 0x300}, {Name: "KxStart", Segment: 1, Offset: 0x800}}})
	f, err := pdb.Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	r := stacks.New(context.Background(), k, onePDB{f, nil})
	s := r.Processors()[0].Stack
	if got := addresses(s); !strings.HasPrefix(got, "nt!KeBugCheckEx+0x20 nt+0x1620 ") {
		t.Errorf("%s (%s)", got, s.Why)
	}
	broken := stacks.New(context.Background(), k, onePDB{nil, fault.New(fault.PDBDamaged, "it is damaged")})
	broken.Processors()
	if w := broken.Warnings(); len(w) != 1 || w[0].Code != fault.PDBDamaged {
		t.Errorf("warnings %v", w)
	}
}
