package elfcore_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/synth"
)

var le = binary.LittleEndian

// tiny is a real core of QEMU 7.2: notes, one load, the section names at its end.
func tiny(t *testing.T) []byte {
	t.Helper()
	data, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// older makes of it what QEMU before 7.2 wrote: no sections.
func older(data []byte) []byte {
	out := bytes.Clone(data[:len(data)-11])
	clear(out[0x28:0x30])
	clear(out[0x3a:0x40])
	return out
}

func TestDamagedCopiesAreNamed(t *testing.T) {
	whole := tiny(t)
	half := len(whole) / 2
	zeros := bytes.Clone(whole)
	clear(zeros[half:])
	otherEnd := bytes.Clone(whole)
	copy(otherEnd[len(otherEnd)-11:], "something el")
	crlf := func(p []byte) []byte { return bytes.ReplaceAll(p, []byte("\n"), []byte("\r\n")) }
	lf := func(p []byte) []byte { return bytes.ReplaceAll(p, []byte("\r\n"), []byte("\n")) }
	// Ten headers: the line feed is in the ELF header, and what follows moves.
	ten := synth.ELF{CPUs: cpus(1)}
	for i := range 9 {
		ten.Loads = append(ten.Loads, pages(mem.PA(0x10000*(i+1)), 2))
	}
	if data := synth.WriteELF(ten); le.Uint16(data[0x38:]) != 10 {
		t.Fatalf("%d headers", le.Uint16(data[0x38:]))
	}
	for _, c := range []struct {
		name string
		data []byte
		text string
	}{
		{"line feeds grew", crlf(whole), "every line feed has a carriage return"},
		{"line feeds grew, older QEMU", crlf(older(whole)), "every line feed has a carriage return"},
		{"line feeds grew in the header", crlf(synth.WriteELF(ten)), "every line feed has a carriage return"},
		{"carriage returns gone", lf(whole), "2 bytes are gone in between"},
		{"carriage returns gone, older QEMU", bytes.ReplaceAll(older(whole), []byte("\r"), nil), "no carriage return in it"},
		{"bytes added", append(bytes.Clone(whole[:half]), append([]byte("12345"), whole[half:]...)...), "5 bytes were added in between"},
	} {
		_, err := open(c.data)
		if !fault.Is(err, fault.DamagedCopy) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if steps := strings.Join(fault.As(err).Remedy(), "\n"); !strings.Contains(steps, "binary mode") || strings.Contains(steps, "dump-guest-memory") {
			t.Errorf("%s: %s", c.name, steps)
		}
	}
	for _, c := range []struct {
		name  string
		data  []byte
		codes string
		text  string
	}{
		{"whole", whole, "", ""},
		{"whole, older QEMU", older(whole), "", ""},
		{"padded behind its end", append(bytes.Clone(whole), make([]byte, 5000)...), "", ""},
		{"zeros from the middle on", zeros, "damaged-copy", "it is zeros to its end"},
		{"another end", otherEnd, "damaged-copy", "not the one that QEMU wrote"},
		{"cut off", whole[:half], "truncated", "bytes of memory are missing, 50 %"},
	} {
		m, err := open(c.data)
		if err != nil || codes(m) != c.codes {
			t.Errorf("%s: %+v %v", c.name, m, err)
			continue
		}
		if c.codes != "" && !strings.Contains(m.Warnings[0].Text, c.text) {
			t.Errorf("%s: %s", c.name, m.Warnings[0].Text)
		}
	}
}

// Where the zeros begin is found to within what is sampled.
func TestWhereZerosBegin(t *testing.T) {
	const page = mem.PageSize
	rom := synth.Load{PA: 1<<32 - 16*page, Data: synth.Noise(1, 16*page)}
	e := synth.ELF{CPUs: cpus(1), Loads: []synth.Load{pages(0x1000, 1000), rom}}
	data := synth.WriteELF(e)
	if m, err := open(data); err != nil || codes(m) != "" {
		t.Fatal(m, err)
	}
	at := 600 * page
	clear(data[at:])
	m, err := open(data)
	if err != nil || codes(m) != "damaged-copy" {
		t.Fatalf("%+v %v", m, err)
	}
	if !strings.Contains(m.Warnings[0].Text, "full length") || !strings.Contains(m.Warnings[0].Text, "41 %") {
		t.Error(m.Warnings[0].Text)
	}
	// Zeros at the end of a core without firmware are a guest's idle memory.
	idle := synth.WriteELF(synth.ELF{CPUs: cpus(1), Loads: []synth.Load{pages(0x1000, 2), {PA: 0x100000, Data: make([]byte, 100*page)}}})
	if m, err := open(idle); err != nil || codes(m) != "" {
		t.Errorf("%+v %v", m, err)
	}
}

func TestHeadersThatNameAPartOnly(t *testing.T) {
	whole := tiny(t)
	load := whole[0xc0+0x38:] // the second program header
	le.PutUint64(load[0x20:], mem.PageSize)
	le.PutUint64(load[0x28:], mem.PageSize)
	m, err := open(whole)
	if err != nil || codes(m) != "paging-core" {
		t.Fatalf("%+v %v", m, err)
	}
	if text := m.Warnings[0].Text; !strings.Contains(text, "0.033 %") || !strings.Contains(text, "12578816 bytes") {
		t.Error(text)
	}
	if steps := strings.Join(fault.New(fault.PagingCore, "").Remedy(), "\n"); !strings.Contains(steps, "without paging") {
		t.Error(steps)
	}
}

func TestNotesAndStatusesThatDiffer(t *testing.T) {
	list := cpus(3)
	raw := join(records(list), synth.Note("QEMU", 0, make([]byte, 440)))
	m := mustOpen(t, withNotes(raw))
	if codes(m) != "notes-differ" || !strings.Contains(m.Warnings[0].Text, "4 QEMU CPU notes and 3 status notes") || len(m.CPUs) != 4 {
		t.Errorf("%+v", m)
	}
}

// x86Core makes the core of a guest whose CPU 0 was not in long mode, of either
// class, from QEMU's notes of 440 bytes.
func x86Core(class byte, states ...[]byte) []byte {
	var notes []byte
	for i := range states {
		status := make([]byte, 144)
		le.PutUint32(status[24:], uint32(i+1))
		for r := range 17 {
			le.PutUint32(status[72+4*r:], uint32(0x1000*(i+1)+r))
		}
		notes = append(notes, synth.Note("CORE", 1, status)...)
	}
	for _, s := range states {
		notes = append(notes, synth.Note("QEMU", 0, s)...)
	}
	head := make([]byte, 64+2*56)
	word, put := 8, func(off int, v uint64) { le.PutUint64(head[off:], v) }
	if class == 1 {
		head = make([]byte, 52+2*32)
		word, put = 4, func(off int, v uint64) { le.PutUint32(head[off:], uint32(v)) }
	}
	copy(head, "\x7fELF")
	head[4], head[5], head[6], head[0x10], head[0x12] = class, 1, 1, 4, 3
	ehdr, phdr, phoff, phsize := 64, 56, 0x20, 0x36
	fields := []int{8, 24, 32, 40} // offset, paddr, filesz, memsz
	if word == 4 {
		ehdr, phdr, phoff, phsize, fields = 52, 32, 0x1c, 0x2a, []int{4, 12, 16, 20}
	}
	put(phoff, uint64(ehdr))
	le.PutUint16(head[phsize:], uint16(phdr))
	le.PutUint16(head[phsize+2:], 2)
	entry := func(i int, kind uint32, values ...uint64) {
		at := ehdr + i*phdr
		le.PutUint32(head[at:], kind)
		for k, v := range values {
			put(at+fields[k], v)
		}
	}
	memory := synth.Noise(7, 4*mem.PageSize)
	entry(0, 4, uint64(len(head)), 0, uint64(len(notes)), uint64(len(notes)))
	entry(1, 1, uint64(len(head)+len(notes)), 0x100000, uint64(len(memory)), uint64(len(memory)))
	return join(head, notes, memory)
}

// state is a QEMU note: its fields are those that decide about long mode.
func state(set func(word func(off int, v uint64))) []byte {
	p := make([]byte, 440)
	le.PutUint32(p, 1)
	le.PutUint32(p[4:], 440)
	set(func(off int, v uint64) { le.PutUint64(p[off:], v) })
	return p
}

func TestCPU0OutsideLongModeIsNot32Bit(t *testing.T) {
	reset := state(func(word func(int, uint64)) { word(0x088, 0xfff0); word(0x188, 0x60000010) })
	longCode := state(func(word func(int, uint64)) { word(0x0a0, 1<<21) }) // CS flags, bit L
	highTable := state(func(word func(int, uint64)) { word(0x180, 0xfffff80212345000) })
	protected := state(func(word func(int, uint64)) { word(0x088, 0x80123456); word(0x188, 0x80000011); word(0x1a0, 0x185000) })
	for _, c := range []struct {
		name   string
		data   []byte
		doubt  bool
		cpus   int
		checks uint64 // RIP of CPU 0
	}{
		{"CPU 1 runs 64-bit code", x86Core(2, reset, longCode), false, 2, 0xfff0},
		{"CPU 1 has its tables high", x86Core(2, reset, highTable), false, 2, 0xfff0},
		{"just after a reset", x86Core(2, reset, reset), true, 2, 0xfff0},
		{"protected mode", x86Core(2, protected), true, 1, 0x80123456},
		{"ELF32, CPU 1 runs 64-bit code", x86Core(1, reset, longCode), false, 2, 0xfff0},
		{"ELF32, just after a reset", x86Core(1, reset), true, 1, 0xfff0},
	} {
		m, err := open(c.data)
		if err != nil || (m.Doubt != nil) != c.doubt || len(m.CPUs) != c.cpus || m.Arch != cpu.X64 || codes(m) != "" {
			t.Errorf("%s: %+v %v", c.name, m, err)
			continue
		}
		if m.CPUs[0].State.Get(cpu.RIP) != c.checks || m.CPUs[c.cpus-1].PID != uint32(c.cpus) || m.CPUs[0].State.Get(cpu.OrigAX) != 0x100b {
			t.Errorf("%s: %+v", c.name, m.CPUs[0])
		}
		if c.doubt && (m.Doubt.Code != fault.UnsupportedCPU || !strings.Contains(m.Doubt.Text, "firmware")) {
			t.Errorf("%s: %v", c.name, m.Doubt)
		}
		holds(t, m, 0x100000, synth.Noise(7, 4*mem.PageSize))
	}
	// Without QEMU's notes the status has the general registers.
	bare := x86Core(2)
	raw := join(synth.Note("CORE", 1, append(make([]byte, 72), bytes.Repeat([]byte{1, 2, 3, 4}, 18)...)))
	e := synth.ELF{Machine: 3, Loads: []synth.Load{pages(0x1000, 1)}, RawNotes: raw}
	if m, err := open(synth.WriteELF(e)); err != nil || codes(m) != "no-qemu-notes" || m.CPUs[0].State.Get(cpu.RIP) != 0x04030201 {
		t.Errorf("%+v %v", m, err)
	}
	if _, err := open(bare); err != nil {
		t.Error(err)
	}
}

// What another tool's ELF file is, the opener says through identify.
func TestOtherELFFilesAreRefusedByWhatTheyAre(t *testing.T) {
	d := make([]byte, 136)
	copy(d[40:], "qemu-system-x86")
	data := synth.WriteELF(synth.ELF{Loads: []synth.Load{{PA: 0, Data: make([]byte, 4096)}}, RawNotes: synth.Note("CORE", 3, d)})
	if _, err := open(data); !fault.Is(err, fault.ProcessCore) || !strings.Contains(err.Error(), "qemu-system-x86") {
		t.Error(err)
	}
	if elfcore.Format != "elf" {
		t.Error(elfcore.Format)
	}
}
