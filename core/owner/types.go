package owner

import (
	"bytes"
	"cmp"
	"slices"

	"coredrop/core/btf"
	"coredrop/core/linux"
)

// placedVar is a variable of which BTF has the type, and its address.
type placedVar struct {
	btf.Var
	addr uint64
}

// percpuSection is the section of per-CPU variables, the one that a stock kernel's
// BTF has.
const percpuSection = ".data..percpu"

// readTypes reads the kernel's BTF, once, when a type is first asked for: it has
// megabytes. A kernel without one, or with one that is damaged or not in the core, has
// no types.
func (f *Finder) readTypes() {
	if f.typed {
		return
	}
	f.typed = true
	start, ok1 := f.k.Symbols.Lookup("__start_BTF")
	end, ok2 := f.k.Symbols.Lookup("__stop_BTF")
	if !ok1 || !ok2 || end <= start || end-start > btf.MaxBytes {
		return
	}
	p, ok := f.k.Read(start, int(end-start))
	if !ok {
		return
	}
	spec, err := btf.Parse(p, nil)
	if err != nil {
		return
	}
	f.types = spec
	for name, vars := range spec.Sections() {
		if name == percpuSection {
			f.percpu = vars
		} else {
			f.statics = append(f.statics, f.place(vars)...)
		}
	}
	slices.SortFunc(f.statics, func(a, b placedVar) int { return cmp.Compare(a.addr, b.addr) })
}

// place gives the variables of a section their addresses: BTF has offsets from the
// section's beginning, which symbols with the same names vote for. Names repeat, and
// a section may have more than one beginning: only variables whose symbol lies where
// the vote says count.
func (f *Finder) place(vars []btf.Var) (out []placedVar) {
	symbols := map[string]uint64{}
	twice := map[string]bool{}
	wanted := map[string]bool{}
	for _, v := range vars {
		wanted[v.Name] = true
	}
	for _, s := range f.k.Symbols.All(func(name string) bool { return wanted[name] }) {
		if _, there := symbols[s.Name]; there {
			twice[s.Name] = true
		}
		symbols[s.Name] = s.Addr
	}
	votes := map[uint64]int{}
	for _, v := range vars {
		if a, ok := symbols[v.Name]; ok && !twice[v.Name] {
			votes[a-v.Offset]++
		}
	}
	for _, v := range vars {
		// A variable counts where its own symbol and most others agree.
		a, ok := symbols[v.Name]
		if ok && !twice[v.Name] && votes[a-v.Offset] > 1 {
			out = append(out, placedVar{v, a})
		}
	}
	return out
}

// staticType names type and member of a variable of the image.
func (f *Finder) staticType(o *Object, addr, size uint64) {
	i, found := slices.BinarySearchFunc(f.statics, o.Base, func(v placedVar, a uint64) int { return cmp.Compare(v.addr, a) })
	if !found || f.statics[i].Name != o.Name || addr-o.Base >= f.statics[i].Size {
		return
	}
	o.Size = f.statics[i].Size
	f.name(o, f.types, f.statics[i].Type, size)
}

// percpuType names type and member of a per-CPU variable x bytes from the section's
// beginning.
func (f *Finder) percpuType(o *Object, spec *btf.Spec, vars []btf.Var, x, size uint64) {
	for _, v := range vars {
		if x-o.Offset == v.Offset && v.Name == o.Name && o.Offset < v.Size {
			o.Size = v.Size
			f.name(o, spec, v.Type, size)
			return
		}
	}
}

// modulePerCPUType does so for a module's.
func (f *Finder) modulePerCPUType(o *Object, m *linux.Module, s linux.Object, size uint64) {
	spec := f.moduleTypes(m)
	if spec == nil {
		return
	}
	for _, vars := range spec.Sections() {
		for _, v := range vars {
			if v.Name == s.Name && v.Size == s.Size {
				f.name(o, spec, v.Type, size)
				return
			}
		}
	}
}

// name puts type and member of an access at o.Offset in words.
func (f *Finder) name(o *Object, spec *btf.Spec, id btf.ID, size uint64) {
	path, _, ok := spec.Path(id, o.Offset, size)
	if !ok {
		return
	}
	o.Type, _ = spec.Compound(id)
	o.Member = path
}

// The list of modules' BTF: struct btf_module {list, module, btf}, and struct btf,
// whose first member leads to the data. kernel/bpf/btf.c.
const (
	btfModuleModule = 16
	btfModuleBTF    = 24
	maxModuleBTF    = 4096
	headProbe       = 64
)

// moduleTypes reads a module's BTF; nil: it has none.
func (f *Finder) moduleTypes(m *linux.Module) *btf.Spec {
	f.readTypes()
	spec, done := f.modules[m.Name]
	if done || f.types == nil {
		return spec
	}
	f.modules[m.Name] = nil
	head, ok := f.k.Symbols.Lookup("btf_modules")
	if !ok {
		return nil
	}
	at, ok := f.k.Uint64(head)
	for n := 0; ok && at != head && n < maxModuleBTF; n++ {
		if owner, _ := f.k.Uint64(at + btfModuleModule); owner == m.Addr {
			f.modules[m.Name] = f.btfAt(at + btfModuleBTF)
			return f.modules[m.Name]
		}
		at, ok = f.k.Uint64(at)
	}
	return nil
}

// btfAt reads the BTF that a pointer to a struct btf leads to.
func (f *Finder) btfAt(pointer uint64) *btf.Spec {
	at, ok := f.k.Uint64(pointer)
	if !ok {
		return nil
	}
	data, ok := f.k.Uint64(at)
	if !ok {
		return nil
	}
	n, err := btf.Size(f.k.Prefix(data, headProbe))
	if err != nil {
		return nil
	}
	p, ok := f.k.Read(data, n)
	if !ok {
		return nil
	}
	spec, err := btf.Parse(bytes.Clone(p), f.types)
	if err != nil {
		return nil
	}
	return spec
}

// structure finds the structure of a name in the kernel's BTF or in a module's;
// false: there is none, or there are several.
func (f *Finder) structure(name string) (*btf.Spec, btf.ID, bool) {
	f.readTypes()
	if f.types == nil {
		return nil, 0, false
	}
	if id, ok := f.types.Struct(name); ok {
		return f.types, id, true
	}
	var spec *btf.Spec
	var id btf.ID
	for i := range f.k.Modules {
		own := f.moduleTypes(&f.k.Modules[i])
		if own == nil {
			continue
		}
		if n, ok := own.Struct(name); ok {
			if spec != nil {
				return nil, 0, false
			}
			spec, id = own, n
		}
	}
	return spec, id, spec != nil
}
