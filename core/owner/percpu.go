package owner

// areas are where the per-CPU variables of each CPU are.
type areas struct {
	start, end uint64   // of the kernel's own variables, as symbols have them; 0: not known
	add        []uint64 // what is added to a variable's address, by CPU; 0: not known
}

const (
	// maxCPUs bounds the kernel's table of areas, as NR_CPUS does.
	maxCPUs = 8192
	// maxReserved is how far behind the kernel's own variables those of modules lie:
	// in a part of 8 KiB that is kept for them (PERCPU_MODULE_RESERVE), aligned.
	maxReserved = 1 << 20
)

// findAreas reads the kernel's table, or takes the CPUs' own registers.
func (f *Finder) findAreas() areas {
	var a areas
	start, ok1 := f.k.Symbols.Lookup("__per_cpu_start")
	end, ok2 := f.k.Symbols.Lookup("__per_cpu_end")
	if ok1 && ok2 && end > start {
		a.start, a.end = start, end
	}
	if table, ok := f.k.Symbols.Lookup("__per_cpu_offset"); ok {
		n := uint64(len(f.k.Machine.CPUs))
		if ids, ok := f.k.Symbols.Lookup("nr_cpu_ids"); ok {
			if v, ok := f.k.Uint32(ids); ok && v > 0 && v <= maxCPUs {
				n = uint64(v)
			}
		}
		for i := range n {
			v, ok := f.k.Uint64(table + 8*i)
			if !ok || v == 0 {
				break
			}
			a.add = append(a.add, v)
		}
	}
	if a.add == nil {
		for i := range f.k.Machine.CPUs {
			a.add = append(a.add, f.k.PerCPU(i))
		}
	}
	return a
}

// staticPerCPU: a per-CPU variable of the kernel or of a module.
func (f *Finder) staticPerCPU(addr, size uint64) (Object, bool) {
	a := &f.areas
	known := a.end != 0
	for cpu, base := range a.add {
		x := addr - base
		if base == 0 || known && (x < a.start || x >= a.end+maxReserved) {
			continue
		}
		o := unknown(PerCPU)
		o.CPU = cpu
		if !known || x >= a.end {
			if f.modulePerCPU(&o, x, size) {
				return o, true
			}
			continue
		}
		if s, ok := f.k.Symbols.Within(x, a.start, a.end); ok {
			o.Name, o.Base, o.Offset = s.Name, base+s.Addr, x-s.Addr
			f.readTypes()
			f.percpuType(&o, f.types, f.percpu, x-a.start, size)
		}
		return o, true
	}
	return Object{}, false
}

// modulePerCPU: the variable of a module that is x bytes from a CPU's base.
func (f *Finder) modulePerCPU(o *Object, x, size uint64) bool {
	covers := func(at, size uint64) bool {
		return at >= f.areas.start && x >= at && x-at < size && f.k.ModuleAt(at) == nil
	}
	for i := range f.k.Modules {
		m := &f.k.Modules[i]
		for _, s := range f.k.ModuleObjects(m, covers) {
			o.Kind, o.Module, o.Name, o.Base, o.Offset, o.Size = PerCPUModule, m.Name, s.Name, f.areas.add[o.CPU]+s.Addr, x-s.Addr, s.Size
			f.modulePerCPUType(o, m, s, size)
			return true
		}
	}
	return false
}

// chunk is the first chunk of allocated per-CPU memory, the one that lies in the
// direct map behind the static variables.
type chunk struct {
	found  bool
	start  uint64 // in each unit: where it begins, behind the static variables
	end    uint64 // and where it ends: the rest was given back to the allocator
	starts uint64 // the map of where allocations begin; 0: not known
}

const (
	maxUnit    = 64 << 20
	chunkBytes = 256
	// PCPU_MIN_ALLOC_SIZE, mm/percpu-internal.h: what a bit of the map stands for.
	minAlloc = 4
)

// firstChunk reads struct pcpu_chunk of the first chunk. Its base is found by content,
// a pointer into the first unit, and so is its number of pages: the same number stands
// beside it as the pages that are populated. mm/percpu-internal.h.
func (f *Finder) firstChunk() *chunk {
	if f.first != nil {
		return f.first
	}
	f.first = &chunk{}
	value := func(name string) uint64 {
		if a, ok := f.k.Symbols.Lookup(name); ok {
			v, _ := f.k.Uint64(a)
			return v
		}
		return 0
	}
	base, unit := value("pcpu_base_addr"), value("pcpu_unit_size")&0xffffffff
	at := value("pcpu_first_chunk")
	if base == 0 || unit == 0 || unit > maxUnit || at == 0 {
		return f.first
	}
	c := chunk{}
	p := f.k.Prefix(at, chunkBytes)
	for off := uint64(0); off+8 <= uint64(len(p)); off += 4 {
		if v := le64(p, off); c.start == 0 && off%8 == 0 && v > base && v-base < unit && v%pageSize == 0 {
			c.start = v - base
		}
		pages := uint64(le32(p, off))
		if c.start > 0 && pages > 0 && pages == uint64(le32(p, off+4)) && c.start+pages*pageSize <= unit {
			c.end = c.start + pages*pageSize
			break
		}
	}
	if c.end == 0 {
		return f.first
	}
	c.found = true
	if spec, id, ok := f.structure("pcpu_chunk"); ok {
		if off, ok := spec.Offset(id, "bound_map"); ok {
			c.starts, _ = f.k.Uint64(at + off)
		}
	}
	f.first = &c
	return f.first
}

// dynamic: per-CPU memory that was allocated.
func (f *Finder) dynamic(addr uint64) (Object, bool) {
	c := f.firstChunk()
	if !c.found {
		return Object{}, false
	}
	for cpu, area := range f.areas.add {
		unit := area + f.areas.start
		if addr < unit+c.start || addr >= unit+c.end {
			continue
		}
		x := addr - unit - c.start
		o := unknown(PerCPUDynamic)
		o.CPU = cpu
		if from, ok := f.allocation(c, x); ok {
			o.Base, o.Offset = unit+c.start+from, x-from
		}
		return o, true
	}
	return Object{}, false
}

// allocation finds where the allocation that holds offset x of the chunk begins: the
// last bit at or below it in the map of beginnings.
func (f *Finder) allocation(c *chunk, x uint64) (uint64, bool) {
	if c.starts == 0 {
		return 0, false
	}
	for bit := x / minAlloc; ; bit-- {
		word, ok := f.k.Uint64(c.starts + bit/64*8)
		if !ok {
			return 0, false
		}
		if word == 0 {
			if bit < 64 {
				return 0, false
			}
			bit = bit &^ 63
			continue
		}
		if word>>(bit%64)&1 != 0 {
			return bit * minAlloc, true
		}
		if bit == 0 {
			return 0, false
		}
	}
}
