package owner

import (
	"coredrop/core/linux"
)

// vmap is what vmalloc's trees were found to be: their roots.
type vmap struct{ roots []uint64 }

// struct vmap_area {va_start, va_end, rb_node, list, vm} and struct vm_struct {next,
// addr, size, flags, …, caller}; include/linux/vmalloc.h, the same in 5.10 to 7.3 but
// for the place of caller.
const (
	areaNode   = 16 // of the rb_node
	areaVM     = 56
	areaBytes  = 64
	nodeRight  = 8
	nodeLeft   = 16
	vmAddr     = 8
	vmSize     = 16
	maxNodes   = 128     // of vmap_nodes
	nodeBytes  = 8 << 10 // a struct vmap_node at most
	maxDescend = 128     // steps down a tree
)

// callers are where caller may be: to 6.12, and from 7.2 on.
var callers = []uint64{56, 64}

// readVmap finds the roots of the trees of areas: one up to 6.8, then one a node of
// an array whose layout depends on the configuration. There a root is a word that
// leads to an area.
func (f *Finder) readVmap() *vmap {
	if f.vmap != nil {
		return f.vmap
	}
	f.vmap = &vmap{}
	if at, ok := f.k.Symbols.Lookup("vmap_area_root"); ok {
		if root, ok := f.k.Uint64(at); ok {
			f.vmap.roots = append(f.vmap.roots, root)
		}
		return f.vmap
	}
	at, ok := f.k.Symbols.Lookup("vmap_nodes")
	if !ok {
		return f.vmap
	}
	nodes, ok := f.k.Uint64(at)
	if !ok {
		return f.vmap
	}
	count := uint64(1)
	if at, ok := f.k.Symbols.Lookup("nr_vmap_nodes"); ok {
		if n, ok := f.k.Uint32(at); ok {
			count = min(max(uint64(n), 1), maxNodes)
		}
	}
	p := f.k.Prefix(nodes, int(count*nodeBytes))
	for off := uint64(0); off+8 <= uint64(len(p)) && uint64(len(f.vmap.roots)) < count; off += 8 {
		if root := le64(p, off); f.k.KernelPointer(root) && root%8 == 0 {
			// A root's parent is none, and its colour black.
			if parent, ok := f.k.Uint64(root); ok && parent == 1 {
				if _, ok := f.area(root); ok {
					f.vmap.roots = append(f.vmap.roots, root)
				}
			}
		}
	}
	return f.vmap
}

// area reads the area whose tree node lies at an address.
func (f *Finder) area(node uint64) (a [3]uint64, ok bool) {
	p, ok := f.k.Read(node-areaNode, areaBytes)
	if !ok {
		return a, false
	}
	a = [3]uint64{le64(p, 0), le64(p, 8), le64(p, areaVM)}
	return a, a[0] < a[1] && a[0]%pageSize == 0 && a[1]%pageSize == 0 && f.k.KernelPointer(a[0])
}

// vmalloc: what vmalloc, or a mapping of a device, has.
func (f *Finder) vmalloc(addr, _ uint64) (Object, bool) {
	if b := f.bases.vmalloc; b != 0 && (addr < b || addr-b >= vmallocSpan<<8) {
		return Object{}, false
	}
	for _, root := range f.readVmap().roots {
		for node, n := root, 0; node != 0 && n < maxDescend; n++ {
			a, ok := f.area(node)
			if !ok {
				break
			}
			side := uint64(nodeRight)
			switch {
			case addr < a[0]:
				side = nodeLeft
			case addr < a[1]:
				return f.allocated(addr, a), true
			}
			if node, ok = f.k.Uint64(node + side); !ok {
				break
			}
		}
	}
	return Object{}, false
}

// allocated is the object of an area.
func (f *Finder) allocated(addr uint64, area [3]uint64) Object {
	o := unknown(Vmalloc)
	o.Base, o.Offset, o.Size = area[0], addr-area[0], area[1]-area[0]
	if f.isStack(area[0]) {
		o.Kind, o.Size = TaskStack, stackBytes // of a task that no list has
		return o
	}
	vm := area[2]
	if at, ok := f.k.Uint64(vm + vmAddr); !ok || at != area[0] {
		return o
	}
	for _, off := range callers {
		caller, ok := f.k.Uint64(vm + off)
		if !ok || !f.k.KernelPointer(caller) {
			continue
		}
		if s, module, ok := f.k.Resolve(caller); ok && (f.k.InText(caller) || module != "") {
			o.Name, o.Module = linux.PlainName(s.Name), module
			if s.Name == "pcpu_get_vm_areas" {
				o.Kind, o.Name = PerCPUDynamic, ""
			}
			return o
		}
	}
	return o
}
