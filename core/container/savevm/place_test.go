package savevm

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
)

// large is a state whose blocks are of sizes that matter; their pages are not
// sent, but for the first of each, so that the file stays small.
func large(board string, blocks map[string]uint64, devices ...synth.SavedDevice) []byte {
	names := make([]string, 0, len(blocks))
	for name := range blocks {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { // by size, as QEMU lists them
		if blocks[a] != blocks[b] {
			return int(min(max(int64(blocks[b])-int64(blocks[a]), -1), 1))
		}
		return strings.Compare(a, b)
	})
	var p []byte
	p = append(p, "QEVM\x00\x00\x00\x03"...)
	if board != "" {
		p = append(p, 7)
		p = be.AppendUint32(p, uint32(len(board)))
		p = append(p, board...)
	}
	p = append(p, "\x01\x00\x00\x00\x01\x03ram\x00\x00\x00\x00\x00\x00\x00\x04"...)
	total := uint64(0)
	for _, n := range blocks {
		total += n
	}
	p = be.AppendUint64(p, total|flagMemSize)
	for _, name := range names {
		p = append(append(p, byte(len(name))), name...)
		p = be.AppendUint64(p, blocks[name])
	}
	p = be.AppendUint64(p, flagEOS)
	p = append(p, "\x03\x00\x00\x00\x01"...)
	for _, name := range names {
		for at := uint64(0); at < blocks[name]; at += max(1<<30, blocks[name]/4) &^ 0xfff {
			p = be.AppendUint64(p, at|flagZero)
			p = append(append(p, byte(len(name))), name...)
			p = append(p, 1+byte(at>>30))
		}
	}
	p = be.AppendUint64(p, flagEOS)
	tail := synth.SavedState{Devices: devices, NoFooters: true}.Bytes()
	// What stands behind the memory's end in a state without blocks.
	mark := []byte("\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x10")
	return append(p, tail[strings.Index(string(tail), string(mark))+len(mark):]...)
}

// TestWhereMemoryLies: what the places are, by the first page of each.
func TestWhereMemoryLies(t *testing.T) {
	const m, g = 1 << 20, 1 << 30
	clock := synth.SavedClock
	dimm := `<domain><devices><memory model='dimm'><alias name='dimm0'/><address type='dimm' slot='0' base='0x240000000'/></memory>` +
		`<memory model='dimm'><address type='dimm' slot='3' base='0x280000000'/></memory><memory model='nvdimm'><address type='dimm' slot='5' base='0x1'/></memory></devices></domain>`
	for _, c := range []struct {
		name    string
		board   string
		blocks  map[string]uint64
		devices []synth.SavedDevice
		xml     string
		want    string // start and pages of the extents' memory, by block
		warned  fault.Code
	}{
		{"all below", "pc-q35-7.2", map[string]uint64{"pc.ram": 64 * m}, []synth.SavedDevice{clock(64*m, 0)}, "", "pc.ram 0x0+0x4000000", ""},
		{"a split that no rule knows", "pc-i440fx-7.2", map[string]uint64{"pc.ram": 1536 * m}, []synth.SavedDevice{clock(g, 512*m)}, "", "pc.ram 0x0+0x40000000 0x100000000+0x20000000", ""},
		{"less than 16 MiB", "", map[string]uint64{"pc.ram": 8 * m}, []synth.SavedDevice{clock(8*m, 0)}, "", "pc.ram 0x0+0x800000", ""},
		{"no clock, small", "pc-q35-7.2", map[string]uint64{"pc.ram": 2 * g}, nil, "", "pc.ram 0x0+0x80000000", ""},
		{"no clock, q35", "pc-q35-7.2", map[string]uint64{"pc.ram": 3 * g}, nil, "", "pc.ram 0x0+0x80000000 0x100000000+0x40000000", fault.MemoryUnplaced},
		{"no clock, i440fx", "pc-i440fx-9.0+pve0", map[string]uint64{"pc.ram": 4 * g}, nil, "", "pc.ram 0x0+0xc0000000 0x100000000+0x40000000", fault.MemoryUnplaced},
		{"no clock, an old machine", "pc-i440fx-1.7", map[string]uint64{"pc.ram": 4 * g}, nil, "", "pc.ram 0x0+0xe0000000 0x100000000+0x20000000", fault.MemoryUnplaced},
		{"no clock, microvm", "microvm", map[string]uint64{"microvm.ram": 4 * g}, nil, "", "microvm.ram 0x0+0xc0000000 0x100000000+0x40000000", fault.MemoryUnplaced},
		{"a clock of another machine", "pc-q35-7.2", map[string]uint64{"pc.ram": 3 * g}, []synth.SavedDevice{clock(64*m, 0)}, "", "pc.ram 0x0+0x80000000 0x100000000+0x40000000", fault.MemoryUnplaced},
		{"NUMA", "pc-q35-10.0", map[string]uint64{"ram-node10": g, "ram-node0": g, "ram-node2": 2 * g}, []synth.SavedDevice{clock(2*g, 2*g)}, "",
			"ram-node0 0x0+0x40000000 ram-node10 0x140000000+0x40000000 ram-node2 0x40000000+0x40000000 0x100000000+0x40000000", ""},
		{"one backend of any name", "pc-q35-10.0", map[string]uint64{"mem": 3 * g}, []synth.SavedDevice{clock(2*g, g)}, "", "mem 0x0+0x80000000 0x100000000+0x40000000", ""},
		{"several of any name, one of them fits", "pc-q35-10.0", map[string]uint64{"hot": g, "base": 3 * g}, []synth.SavedDevice{clock(2*g, g)}, "", "base 0x0+0x80000000 0x100000000+0x40000000", fault.MemoryUnplaced},
		{"several of any name, none fits", "pc-q35-10.0", map[string]uint64{"hot": g, "base": 3 * g}, []synth.SavedDevice{clock(2*g, 3*g)}, "", "", fault.SavevmImage},
		{"several of any name, no clock", "pc-q35-10.0", map[string]uint64{"a": g, "b": 3 * g}, nil, "", "", fault.SavevmImage},
		{"equal ones of any name", "pc-q35-10.0", map[string]uint64{"m2": g, "m10": g}, []synth.SavedDevice{clock(2*g, 0)}, "", "m10 0x40000000+0x40000000 m2 0x0+0x40000000", fault.MemoryUnplaced},
		{"DIMMs of libvirt", "pc-q35-10.0", map[string]uint64{"pc.ram": 4 * g, "memdimm0": g, "memdimm3": 2 * g}, []synth.SavedDevice{clock(2*g, 2*g)}, dimm,
			"memdimm0 0x240000000+0x40000000 memdimm3 0x280000000+0x80000000 pc.ram 0x0+0x80000000 0x100000000+0x80000000", ""},
		{"DIMMs, no XML", "pc-q35-10.0", map[string]uint64{"pc.ram": 4 * g, "memdimm0": g}, []synth.SavedDevice{clock(2*g, 2*g)}, "<domain", "pc.ram 0x0+0x80000000 0x100000000+0x80000000", fault.MemoryUnplaced},
		{"a DIMM of QEMU's", "pc-q35-10.0", map[string]uint64{"pc.ram": 4 * g, "mem1": g}, []synth.SavedDevice{clock(2*g, 2*g)}, "", "pc.ram 0x0+0x80000000 0x100000000+0x80000000", fault.MemoryUnplaced},
		{"DIMMs that overlap", "pc-q35-10.0", map[string]uint64{"pc.ram": 4 * g, "memdimm0": g}, []synth.SavedDevice{clock(2*g, 2*g)}, strings.ReplaceAll(dimm, "0x240000000", "0x140000000"), "", fault.DamagedHeader},
		{"more than 1 TiB", "pc-q35-10.0", map[string]uint64{"pc.ram": 1<<40 + 3*g}, []synth.SavedDevice{clock(2*g, (1<<40+g)&(1<<40-1))}, "", "pc.ram 0x0+0x80000000 0x100000000+0x10040000000", fault.MemoryUnplaced},
		{"ARM64", "virt-10.0", map[string]uint64{"mach-virt.ram": g, "virt.flash0": 64 * m}, nil, "", "mach-virt.ram 0x40000000+0x40000000", fault.UnsupportedCPU},
		{"another processor", "pseries-9.0", map[string]uint64{"ppc_spapr.ram": g}, nil, "", "", fault.UnsupportedCPU},
		{"firmware only", "pc-q35-7.2", map[string]uint64{"pc.bios": m, "0000:00:01.0/vga.vram": 16 * m}, nil, "", "", fault.NoMemory},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := large(c.board, c.blocks, c.devices...)
			st := &state{source: named(data), machine: &machine.Machine{}, wrapping: Wrapping{XML: c.xml}}
			if err := st.read(context.Background()); err != nil {
				t.Fatal(err)
			}
			err := st.open(context.Background())
			codes := []fault.Code{}
			for _, w := range st.machine.Warnings {
				codes = append(codes, w.Code)
			}
			if err != nil {
				codes = append(codes, fault.As(err).Code)
			}
			if c.warned != "" && !slices.Contains(codes, c.warned) || c.warned == "" && slices.Contains(codes, fault.MemoryUnplaced) {
				t.Errorf("said %v, want %s (%v, %v)", codes, c.warned, err, st.machine.Warnings)
			}
			places, perr := st.place(context.Background())
			if got := placesText(st, places); got != c.want && (perr == nil || c.want != "") {
				t.Errorf("memory at %s (%v)\nwant %s", got, perr, c.want)
			}
		})
	}
}

// placesText lists the places of blocks, those that follow one another joined.
func placesText(st *state, places []place) string {
	var list []string
	for _, b := range st.ram.blocks {
		text := ""
		var from, to mem.PA
		put := func() {
			if to > from {
				text += fmt.Sprintf(" %#x+%#x", uint64(from), uint64(to-from))
			}
		}
		for _, p := range places {
			if uint64(p.first) < uint64(b.first) || uint64(p.first) >= uint64(b.first)+b.bytes/page || b.name == blockBIOS {
				continue
			}
			if p.start != to || to == 0 {
				put()
				from = p.start
			}
			to = p.start + mem.PA(p.pages*page)
		}
		if put(); text != "" {
			list = append(list, b.name+text)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// TestFirstMiB: what is read there is memory or ROM, as the bridge's registers
// say; a card's memory is left out.
func TestFirstMiB(t *testing.T) {
	pam := synth.AllRAM
	pam[0] = 0    // 0xf0000: ROM
	pam[1] = 0x32 // 0xc0000: written to memory, read from ROM
	pam[3] = 0x03 // 0xd4000: ROM
	s := made(func(s *synth.SavedState) {
		for i := range s.Devices {
			if strings.HasSuffix(s.Devices[i].Name, "/mch") {
				s.Devices[i] = synth.SavedBridge(pam)
			}
		}
		s.Blocks[1].Data = content(2, 64) // only its end is read below 1 MiB
		s.Blocks = append(s.Blocks, synth.SavedBlock{Name: "0000:00:02.0/vga.vram", Data: content(9, 16)})
	})
	m, err := openBytes(s.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	ram, bios, rom := s.Blocks[0].Data, s.Blocks[1].Data, s.Blocks[2].Data
	hold(t, m.Mem, 0, ram[:0xa0000])
	if err := m.Mem.ReadAt(make([]byte, 1), 0xa0000); err == nil {
		t.Error("a card's memory is taken for the machine's")
	}
	hold(t, m.Mem, 0xc0000, rom[:0x4000])
	hold(t, m.Mem, 0xc4000, ram[0xc4000:0xd4000])
	hold(t, m.Mem, 0xd4000, rom[0x14000:0x18000])
	hold(t, m.Mem, 0xd8000, ram[0xd8000:0xf0000])
	hold(t, m.Mem, 0xf0000, bios[0x30000:])
	hold(t, m.Mem, 0x100000, ram[0x100000:])
}

// TestOrderByTheTables: blocks of free names lie as the processors' page tables
// want it; what they do not tell is said.
func TestOrderByTheTables(t *testing.T) {
	e := synth.Guest(synth.Options{CPUs: []synth.Mode{synth.Kernel, synth.Process}}).ELF
	for _, names := range [][2]string{{"a", "b"}, {"b", "a"}} {
		s := e.SavedState()
		ram := s.Blocks[0].Data
		half := len(ram) / 2 &^ 0xffff
		for len(ram)-half < half { // equal sizes would not be in the list's order
			half -= 0x10000
		}
		s.Blocks = []synth.SavedBlock{{Name: names[0], Data: ram[:half]}, {Name: names[1], Data: ram[half:]}}
		m, err := openBytes(s.Bytes())
		if err != nil || len(m.Warnings) > 0 {
			t.Fatal(names, err, m.Warnings)
		}
		hold(t, m.Mem, 0, ram[:0xa0000])
		hold(t, m.Mem, 0x100000, ram[0x100000:])
		s0 := m.CPUs[0].State
		space := paging.New(m.Mem, s0.Root(), paging.X64)
		if n := gates(space, mem.VA(s0.Get(cpu.IDTBase))); n == 0 {
			t.Error("no gates in the interrupt table")
		}
		if n := gates(space, mem.VA(s0.SP()).Page()); n != 0 {
			t.Errorf("%d gates on the stack", n)
		}
	}
}

// TestARM64 reads a described section of an ARM64 processor, and memory at its
// place.
func TestARM64(t *testing.T) {
	words := func(v ...uint64) (p []byte) {
		for _, x := range v {
			p = binary.BigEndian.AppendUint64(p, x)
		}
		return p
	}
	x := make([]uint64, 32)
	for i := range x {
		x[i] = uint64(0x100 + i)
	}
	vectors := []synth.SavedField{}
	for i := range 32 {
		vectors = append(vectors, synth.SavedField{Name: fmt.Sprintf("env.vfp.zregs[%d].d", i), Count: 2, Data: words(uint64(i), uint64(i)<<32)})
	}
	index := []uint64{sysreg(3, 0, 2, 0, 1), 0x6030_0000_0013_c082, sysreg(3, 0, 13, 0, 4), 5}
	d := synth.SavedDevice{Name: "cpu", Version: 22, Fields: []synth.SavedField{
		{Name: "env.regs", Count: 16, Data: make([]byte, 64)}, {Name: "env.xregs", Count: 32, Data: words(x...)}, {Name: "env.pc", Data: words(0x4000)},
		{Name: "cpsr", Data: []byte{0x60, 0, 3, 0xc5}}, {Name: "env.spsr", Data: make([]byte, 4)}, {Name: "env.banked_spsr", Count: 8, Data: words(7, 0, 0, 0, 0, 0, 0, 0)},
		{Name: "env.elr_el", Count: 4, Data: words(0, 9, 0, 0)}, {Name: "env.sp_el", Count: 4, Data: words(0x11, 0x22, 0, 0)},
		{Name: "cpreg_vmstate_indexes", Count: 4, Data: words(index...)}, {Name: "cpreg_vmstate_values", Count: 4, Data: words(0x41, 0x42, 0x43, 0x44)},
	}, Sub: []synth.SavedSub{{Name: "cpu/vfp", Fields: vectors}}}
	s := synth.SavedState{Board: "virt-10.0", PageBits: 12, Blocks: []synth.SavedBlock{{Name: "mach-virt.ram", Data: content(5, 40)}}, Devices: []synth.SavedDevice{d}}
	st := &state{source: named(s.Bytes()), machine: &machine.Machine{}}
	if err := st.read(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := st.open(context.Background()); !fault.Is(err, fault.UnsupportedCPU) || st.machine.Arch != cpu.ARM64 {
		t.Fatal(err, st.machine.Arch)
	}
	hold(t, st.machine.Mem, virtBase, s.Blocks[0].Data)
	got := st.states[0]
	for r, v := range (cpu.Values{cpu.X0: 0x100, cpu.X30: 0x11e, cpu.ArmSP: 0x11f, cpu.ArmPC: 0x4000, cpu.PSTATE: 0x600003c5, cpu.ELR: 9, cpu.SPSR: 7, cpu.SPEL0: 0x11, cpu.SPEL1: 0x11f,
		cpu.TTBR1: 0x41, cpu.CPACR: 0x42, cpu.TPIDR: 0x43, cpu.V0 + 62: 31, cpu.V0 + 63: 31 << 32}) {
		if got == nil || !got.Known(r) || got.Get(r) != v {
			t.Errorf("%s is %#x, want %#x", cpu.ARM64.RegName(r), got.Get(r), v)
		}
	}
}
