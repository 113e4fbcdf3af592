package owner_test

import (
	"encoding/binary"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"coredrop/core/linux"
	"coredrop/core/mem"
	"coredrop/core/owner"
	"coredrop/server/corpustest"
)

// known is the truth of f, with what lies where by other ways.
type known struct {
	Races map[string]race
	Tasks [][4]any
}

func readTruth(t *testing.T, name string) known {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(corpustest.KCSAN(t), name, "truth.json"))
	if err != nil {
		t.Skip(err)
	}
	var k known
	if err := json.Unmarshal(text, &k); err != nil {
		t.Fatal(err)
	}
	return k
}

func number(t *testing.T, v any) uint64 {
	t.Helper()
	var a address
	if err := a.UnmarshalJSON([]byte(v.(string))); err != nil {
		t.Fatal(err)
	}
	return uint64(a)
}

// TestKnownObjects: every task and its stack, and every per-CPU variable of every CPU,
// whose place other ways tell.
func TestKnownObjects(t *testing.T) {
	truth := readTruth(t, "f-heap-inflight")
	k := open(t, "f-heap-inflight", linux.Options{})
	f := owner.New(k)
	asked := 0
	for _, task := range truth.Tasks {
		pid, comm := int(task[0].(float64)), task[1].(string)
		at, stack := number(t, task[2]), number(t, task[3])
		for _, off := range []uint64{0, 100, 2000} {
			asked++
			o := f.At(at+off, 8)
			if o.Kind != owner.Slab || o.Name != "task_struct" || o.Base != at || o.Offset != off || o.Task == nil || o.Task.PID != pid || o.Task.Comm != comm || o.Type != "struct task_struct" {
				t.Errorf("task %d +%d: %+v", pid, off, o)
			}
		}
		for _, off := range []uint64{8, 16<<10 - 8} {
			asked++
			o := f.At(stack+off, 8)
			if o.Kind != owner.TaskStack || o.Base != stack || o.Task == nil || o.Task.PID != pid {
				t.Errorf("stack of %d +%d: %+v", pid, off, o)
			}
		}
	}
	start, _ := k.Symbols.Lookup("__per_cpu_start")
	end, _ := k.Symbols.Lookup("__per_cpu_end")
	for i := range k.Symbols.Len() {
		s := k.Symbols.Symbol(i)
		if s.Addr <= start || s.Addr >= end {
			continue
		}
		for cpu := range k.Machine.CPUs {
			asked++
			if o := f.At(k.PerCPU(cpu)+s.Addr, 1); o.Kind != owner.PerCPU || o.CPU != cpu || o.Base != k.PerCPU(cpu)+s.Addr || o.Offset != 0 {
				t.Errorf("%s of CPU %d: %+v", s.Name, cpu, o)
			}
		}
	}
	if asked < 500 {
		t.Errorf("%d objects only", asked)
	}
}

// damaged is the guest's memory with some bytes that are not the guest's.
type damaged struct {
	mem.Physical
	at    mem.PA
	bytes []byte
}

func (d damaged) ReadAt(p []byte, pa mem.PA) error {
	if err := d.Physical.ReadAt(p, pa); err != nil {
		return err
	}
	for i := range p {
		if x := pa + mem.PA(i) - d.at; pa+mem.PA(i) >= d.at && x < mem.PA(len(d.bytes)) {
			p[i] = d.bytes[x]
		}
	}
	return nil
}

// TestDamage: whatever one of the structures that lead to an answer holds, no type is
// named that is not the object's.
func TestDamage(t *testing.T) {
	truth := readTruth(t, "f-heap-inflight")
	k := open(t, "f-heap-inflight", linux.Options{})
	btf, _ := k.Symbols.Lookup("__start_BTF")
	stop, _ := k.Symbols.Lookup("__stop_BTF")
	vmemmap, _ := k.Symbols.Lookup("vmemmap_base")
	type place struct{ va, n uint64 }
	list := []place{{vmemmap, 8}}
	for at := (btf + 4095) &^ 4095; at+4096 <= stop; at += 31 * 4096 {
		list = append(list, place{at, 4096})
	}
	var caches []uint64
	for _, r := range truth.Races {
		if r.Slab != 0 {
			list = append(list, place{uint64(r.Slab), 64}, place{uint64(r.KmemCache), 208})
			caches = append(caches, uint64(r.KmemCache))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	memory := k.Space.Phys
	defer func() { k.Space.Phys = memory }()
	named := 0
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		p := list[random.IntN(len(list))]
		at, n := p.va, p.n
		how := random.IntN(4)
		if how >= 2 { // one word of it
			at, n = p.va+random.Uint64N(p.n/8)*8, 8
		}
		change := make([]byte, n)
		switch how {
		case 1, 2: // else zeros
			for i := range change {
				change[i] = byte(random.Uint32())
			}
		case 3: // what would be right elsewhere
			binary.LittleEndian.PutUint64(change, caches[random.IntN(len(caches))])
		}
		if how >= 2 && p.n == 4096 {
			continue // a name or a number that is another's says nothing of itself
		}
		pa, left, err := k.Space.Translate(mem.VA(at))
		if err != nil || left < n {
			t.Fatal(err, left)
		}
		k.Space.Phys = damaged{memory, pa, change}
		f := owner.New(k)
		for id, r := range truth.Races {
			o := f.At(uint64(r.Address), r.Size)
			if o.Type == "" {
				continue
			}
			named++
			if o.Type != r.Type || o.Member != r.Member || o.Kind == owner.Slab && o.Base != uint64(r.ObjectBase) {
				t.Errorf("%s, %d bytes at %#x (%.16x): %+v", id, len(change), at, change, o)
			}
		}
		k.Space.Phys = memory
	}
	if named < rounds*3 {
		t.Errorf("%d types were named in %d rounds", named, rounds)
	}
}
