package elfcore_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/machine"
	"coredrop/core/synth"
)

func withNotes(raw []byte) synth.ELF {
	return synth.ELF{Loads: []synth.Load{pages(0x1000, 1)}, RawNotes: raw}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// records gives the notes of a core with these CPUs.
func records(list []machine.CPU) []byte {
	data := synth.WriteELF(synth.ELF{CPUs: list})
	return data[64+2*64+56:] // behind ELF header, two section headers, one program header
}

func TestOlderStatesHaveNoKernelGS(t *testing.T) {
	want := cpus(2)
	for name, e := range map[string]synth.ELF{
		"shorter record":     {OldState: true},
		"smaller size field": {StateSize: map[int]uint32{0: 0x1b0, 1: 0x1b0}},
	} {
		e.CPUs, e.Loads = cpus(2), []synth.Load{pages(0x1000, 1)}
		m := mustOpen(t, e)
		for i := range want {
			w := *want[i].State
			w.Forget(cpu.KernelGSBase)
			if *m.CPUs[i].State != w {
				t.Errorf("%s: %+v", name, *m.CPUs[i].State)
			}
		}
	}
	// A size field that promises more than the record holds does not count.
	m := mustOpen(t, synth.ELF{OldState: true, StateSize: map[int]uint32{0: 0x1b8}, CPUs: cpus(1), Loads: []synth.Load{pages(0x1000, 1)}})
	if m.CPUs[0].State.Known(cpu.KernelGSBase) {
		t.Error("KERNEL_GS_BASE out of nothing")
	}
}

func TestStatusesAndStatesArePairedByPosition(t *testing.T) {
	all := []synth.Load{pages(0x1000, 1)}
	m := mustOpen(t, synth.ELF{CPUs: cpus(2), Loads: all, NoState: true})
	if codes(m) != "no-qemu-notes" || len(m.CPUs) != 2 {
		t.Fatalf("%+v", m)
	}
	got, full := m.CPUs[1], cpus(2)[1]
	// The general registers, the selectors and two bases; nothing else is known.
	want := cpu.New(cpu.X64)
	for _, r := range append(cpu.General, cpu.RIP, cpu.RFLAGS, cpu.OrigAX, cpu.CS, cpu.DS, cpu.ES, cpu.FS, cpu.GS, cpu.SS, cpu.FSBase, cpu.GSBase) {
		want.Set(r, full.State.Get(r))
	}
	if got.PID != 2 || *got.State != *want || got.State.System() {
		t.Errorf("%+v", got.State)
	}
	m = mustOpen(t, synth.ELF{CPUs: cpus(2), Loads: all, NoStatus: true})
	if codes(m) != "" || m.CPUs[1].PID != 0 || m.CPUs[1].State.Get(cpu.CR3) != full.State.Get(cpu.CR3) || m.CPUs[1].Index != 1 {
		t.Errorf("%+v", m.CPUs[1])
	}
	m = mustOpen(t, synth.ELF{Loads: all, NoNote: true})
	if codes(m) != "no-qemu-notes" || len(m.CPUs) != 0 {
		t.Errorf("%+v", m)
	}
}

func TestGuestNotesAreKept(t *testing.T) {
	info := machine.Note{Name: "VMCOREINFO", Type: 0, Desc: synth.Noise(5, 8192)}
	m := mustOpen(t, synth.ELF{CPUs: cpus(1), Guest: []machine.Note{info, {Name: "other", Type: 7, Desc: []byte{}}}, Loads: []synth.Load{pages(0x1000, 1)}})
	if len(m.Guest) != 2 || !reflect.DeepEqual(m.Guest[0], info) || m.Guest[1].Type != 7 || codes(m) != "" {
		t.Fatalf("%+v", m.Guest)
	}
}

func TestDamagedNotes(t *testing.T) {
	two := records(cpus(2))
	info := synth.Note("VMCOREINFO", 0, []byte("x"))
	huge := func(at int) []byte { p := bytes.Clone(info); copy(p[at:], "\xff\xff\xff\xff"); return p }
	for _, c := range []struct {
		name        string
		raw         []byte
		cpus, guest int
		damaged     bool
		text        string
	}{
		{"whole", join(two, info), 2, 1, false, ""},
		{"padding behind", join(two, info, make([]byte, 40)), 2, 1, false, ""},
		{"incomplete header", join(two, []byte{1, 2, 3}), 2, 0, true, "incomplete"},
		{"name too long", join(two, huge(0), info), 2, 0, true, "longer than what is left"},
		{"descriptor too long", join(two, huge(4), info), 2, 0, true, "longer than what is left"},
		{"guest note too long", join(two, synth.Note("VMCOREINFO", 0, make([]byte, 70_000)), info), 2, 1, true, "too long"},
		{"too many guest notes", join(two, bytes.Repeat(info, 100)), 2, 64, true, "too many"},
		{"short state", join(two, synth.Note("QEMU", 0, make([]byte, 0x1af))), 3, 0, true, "too short"},
		{"short status", join(synth.Note("CORE", 1, make([]byte, 300)), two), 3, 0, true, "too short"},
		{"other register sets", join(synth.Note("CORE", 2, make([]byte, 512)), two, synth.Note("LINUX", 0x202, nil)), 2, 0, false, ""},
		{"five thousand CPUs", bytes.Repeat(synth.Note("QEMU", 0, make([]byte, 0x1b8)), 5000), 4096, 0, true, "more CPUs"},
		{"five thousand statuses", bytes.Repeat(synth.Note("CORE", 1, make([]byte, 336)), 5000), 4096, 0, true, "more CPUs"},
	} {
		m := mustOpen(t, withNotes(c.raw))
		if len(m.CPUs) != c.cpus || len(m.Guest) != c.guest || strings.Contains(codes(m), "note-damaged") != c.damaged {
			t.Errorf("%s: %d CPUs, %d guest notes, %s", c.name, len(m.CPUs), len(m.Guest), codes(m))
		}
		if c.damaged && !strings.Contains(m.Warnings[0].Text, c.text) {
			t.Errorf("%s: %s", c.name, m.Warnings[0].Text)
		}
	}
}

func TestEveryTruncationOfTheNotes(t *testing.T) {
	whole := join(records(cpus(2)), synth.Note("VMCOREINFO", 0, []byte("OSRELEASE=6.1\n")))
	full := mustOpen(t, withNotes(whole))
	for n := range whole {
		m := mustOpen(t, withNotes(whole[:n:n]))
		if len(m.CPUs) > 2 || len(m.Guest) > 1 {
			t.Fatalf("%d bytes: %+v", n, m)
		}
		for i, c := range m.CPUs {
			if c.State.System() && *c.State != *full.CPUs[i].State {
				t.Fatalf("%d bytes: CPU %d differs", n, i)
			}
		}
	}
	// A note segment that reaches beyond the file.
	e := withNotes(whole)
	data := synth.WriteELF(e)
	data[64+128+0x20+7] = 0x7f // p_filesz
	m, err := open(data)
	if err != nil || !strings.Contains(codes(m), "note-damaged") || len(m.CPUs) != 2 {
		t.Error(m, err)
	}
}
