package find

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/synth"
	"coredrop/core/windows"
)

var seeds = flag.Int("seeds", 200, "guests that TestDamage damages at random")

// victim is a guest to be damaged: the memory and the registers are copies.
type victim struct {
	b      *synth.Built
	m      machine.Machine
	mem    *mem.Overlay
	s      *paging.Space // of System
	random *rand.Rand
}

func (v *victim) put(va uint64, p []byte) {
	for len(p) > 0 {
		pa, left, err := v.s.Translate(mem.VA(va))
		if err != nil {
			panic(fmt.Sprintf("%#x: %v", va, err))
		}
		n := min(len(p), int(left), int(mem.PageSize-va%mem.PageSize))
		if err := v.mem.Write(pa, p[:n]); err != nil {
			panic(err)
		}
		p, va = p[n:], va+uint64(n)
	}
}

func (v *victim) get(va uint64, n int) []byte {
	p := make([]byte, n)
	if err := v.s.ReadAt(p, mem.VA(va)); err != nil {
		panic(err)
	}
	return p
}

func (v *victim) sym(name string) uint64 { return v.b.KernelBase + uint64(v.b.Symbols[name]) }

// word is what a damaged word may hold: nothing, all ones, one other bit, noise,
// or something that looks right and is not.
func (v *victim) word(was uint64) uint64 {
	switch v.random.Intn(7) {
	case 0:
		return 0
	case 1:
		return ^uint64(0)
	case 2:
		return was ^ 1<<v.random.Intn(64)
	case 3:
		return v.b.KernelBase + uint64(v.random.Intn(int(v.b.SizeOfImage)))&^7
	case 4:
		return v.b.KPCR[0] + uint64(v.random.Intn(0x4000))&^7
	case 5:
		return was + uint64(v.random.Intn(0x20)-0x10)*8
	}
	return v.random.Uint64()
}

// spoil damages some of the bytes from va on: a few words or bytes, or all.
func (v *victim) spoil(va uint64, n int) {
	switch v.random.Intn(4) {
	case 0:
		p := make([]byte, n)
		if v.random.Intn(2) == 0 {
			v.random.Read(p)
		}
		v.put(va, p)
	case 1:
		for range 1 + v.random.Intn(4) {
			v.put(va+uint64(v.random.Intn(n)), []byte{byte(v.random.Intn(256))})
		}
	default:
		for range 1 + v.random.Intn(6) {
			at := va + uint64(v.random.Intn(max(1, n/8)))*8
			v.put(at, le64(v.word(binary.LittleEndian.Uint64(v.get(at, 8)))))
		}
	}
}

// clearLeaf takes the page at va away, by its entry.
func (v *victim) clearLeaf(va uint64) {
	table := v.s.Root
	for i := range v.s.Mode.Levels {
		at := table + mem.PA(8*v.s.Mode.Levels[i].Index(mem.VA(va)))
		var e [8]byte
		if err := v.mem.ReadAt(e[:], at); err != nil {
			panic(err)
		}
		kind, next := v.s.Mode.Step(i, binary.LittleEndian.Uint64(e[:]))
		if kind == paging.Page {
			if err := v.mem.Write(at, make([]byte, 8)); err != nil {
				panic(err)
			}
			return
		}
		table = next
	}
}

// damages are the things of which one is damaged, and words of which a refusal
// must have one.
var damages = []struct {
	name  string
	spoil func(v *victim)
	names []string
}{
	{"section table", func(v *victim) {
		nt := v.b.KernelBase + uint64(binary.LittleEndian.Uint32(v.get(v.b.KernelBase+0x3c, 4)))
		table, n := nt+0x18+0xf0, int(binary.LittleEndian.Uint16(v.get(nt+6, 2)))
		switch v.random.Intn(4) {
		case 0:
			v.spoil(nt+6, 2)
		case 1:
			v.spoil(nt+0x14, 2)
		default:
			v.spoil(table, 40*n)
		}
	}, []string{"section table"}},
	{"gates", func(v *victim) {
		for i, c := range v.m.CPUs {
			switch x := c.State; v.random.Intn(4) {
			case 0:
				x.Set(cpu.IDTBase, v.word(x.Vectors()))
			case 1:
				x.Set(cpu.IDTLimit, uint64(v.random.Intn(0x1000)))
			default:
				if i < len(v.b.KPCR) && v.b.KPCR[i] != 0 {
					v.spoil(v.b.KPCR[i]+0xf000, 32*16)
				}
			}
		}
	}, []string{"interrupt"}},
	{"lists", func(v *victim) {
		for range 1 + v.random.Intn(3) {
			switch v.random.Intn(6) {
			case 0:
				v.spoil(v.b.ModuleList, 16)
			case 1:
				v.spoil(v.b.ProcessHead, 16)
			case 2:
				v.spoil(v.sym("KdpDebuggerDataListHead"), 16)
			case 3:
				v.spoil(v.b.KDBG, 16)
			case 4:
				if at := binary.LittleEndian.Uint64(v.get(v.b.ModuleList, 8)); v.s.Resolves(mem.VA(at)) {
					v.spoil(at, 0x68)
				}
			case 5:
				v.spoil(v.b.Processes[v.random.Intn(len(v.b.Processes))].VA, 0xa00)
			}
		}
	}, []string{"module list", "process list", "list entry"}},
	{"KPCR fields", func(v *victim) {
		for _, kpcr := range v.b.KPCR {
			if kpcr == 0 || v.random.Intn(3) == 0 {
				continue
			}
			prcb := kpcr + uint64(v.b.PRCB[0]-v.b.KPCR[0])
			switch v.random.Intn(4) {
			case 0:
				v.spoil(kpcr, 0x400)
			case 1:
				context := prcb + uint64(windows.KDBG{Size: v.b.Opts.KDBGSize, Plain: v.b.KDBGPlain}.Uint16(0x338))
				v.put(context, le64(v.word(binary.LittleEndian.Uint64(v.get(context, 8)))))
				fallthrough
			default:
				for range 1 + v.random.Intn(4) {
					at := kpcr + uint64([]int{0, 0x18, 0x20, 0x38, 0x108, 0x180, 0x188, 0x1a0}[v.random.Intn(8)])
					v.put(at, le64(v.word(binary.LittleEndian.Uint64(v.get(at, 8)))))
				}
			}
		}
	}, []string{"processor block", "context"}},
	{"version block", func(v *victim) { v.spoil(v.sym("KdVersionBlock"), windows.VersionBytes) }, []string{"version block"}},
	{"header page", func(v *victim) {
		switch v.random.Intn(5) {
		case 0:
			v.put(v.b.KernelBase, make([]byte, mem.PageSize))
		case 1:
			v.put(v.b.KernelBase, synth.Noise(v.random.Uint64(), mem.PageSize))
		case 2:
			v.clearLeaf(v.b.KernelBase)
		default:
			v.spoil(v.b.KernelBase, 0x400)
		}
	}, []string{"header", "image at"}},
}

// TestDamage damages one of the things that lead to the kernel, at random: the
// kernel is found all the same, or the refusal names what was damaged; never is
// another thing taken for the kernel. go test ./core/windows/find -run TestDamage
// -seeds 10000 is the long run.
func TestDamage(t *testing.T) {
	var victims []*synth.Built
	for _, o := range guests(t) {
		for i, cpus := range [][]synth.Mode{{synth.Kernel, synth.Process}, {synth.User, synth.User}, {synth.Parked, synth.Parked}, {synth.User, synth.User}} {
			for _, encoded := range []bool{true, false} {
				o.CPUs, o.Encoded, o.Rotation = cpus, encoded, 11*i+5
				if o.KVAShadow = 0; i == 3 {
					o.KVAShadow = 0x9000
				}
				victims = append(victims, synth.Guest(o))
			}
		}
	}
	slices.SortFunc(victims, func(a, b *synth.Built) int { return bytes.Compare(a.Core, b.Core) })
	machines := make([]*machine.Machine, len(victims))
	for i, b := range victims {
		machines[i] = open(t, b)
	}
	found, refused := map[string]int{}, map[string]int{}
	for seed := range *seeds {
		random := rand.New(rand.NewSource(int64(seed)))
		n := random.Intn(len(victims))
		v := victim{b: victims[n], mem: mem.NewOverlay(machines[n].Mem), random: random}
		v.m = machine.Machine{Arch: machines[n].Arch, Mem: v.mem, Guest: machines[n].Guest}
		for _, c := range machines[n].CPUs {
			x := *c.State
			v.m.CPUs = append(v.m.CPUs, machine.CPU{Index: c.Index, State: &x})
		}
		v.s = paging.New(v.mem, uint64(v.b.SystemDTB), windows.X64)
		d := damages[random.Intn(len(damages))]
		d.spoil(&v)
		where := fmt.Sprintf("seed %d: %s of %d, %v, encoded %v", seed, d.name, v.b.Build, v.b.Opts.CPUs, v.b.Opts.Encoded)
		k, err := Locate(context.Background(), &v.m, Options{})
		if err != nil {
			refused[d.name]++
			text := err.Error() + "\n" + strings.Join(fault.As(err).Remedy(), "\n")
			if !slices.ContainsFunc(d.names, func(name string) bool { return strings.Contains(text, name) }) {
				t.Errorf("%s: refused for another reason: %s", where, text)
			}
			continue
		}
		found[d.name]++
		if uint64(k.Image.Base) != v.b.KernelBase || uint64(k.KDBG.VA) != v.b.KDBG || !bytes.Equal(k.KDBG.Plain[0x10:], v.b.KDBGPlain[0x10:]) {
			t.Errorf("%s: kernel %v, block %v (%s)", where, k.Image.Base, k.KDBG.VA, k.KDBG.FoundBy)
		}
	}
	t.Logf("found %v, refused %v", found, refused)
}
