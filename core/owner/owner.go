// Package owner says what lies at an address of a frozen Linux kernel: the variable,
// the object of a slab cache and its member, the per-CPU area, the task's stack. It
// asks in the order in which one answer excludes the next: the image, modules, per-CPU
// variables, the array of struct page, stacks, then by the type of the page, then what
// vmalloc handed out.
//
// What the guest's memory says is a claim. A type is named only where the kernel's own
// BTF has it and nothing contradicts; a cache that several share has a name that says
// nothing of its objects. No answer is better than a wrong one.
//
// The layouts were measured on kernels 5.10 to 7.3; source: mm/slab.h, mm/percpu.c,
// mm/vmalloc.c, include/linux/page-flags.h of those.
package owner

import (
	"fmt"
	"strings"

	"coredrop/core/btf"
	"coredrop/core/linux"
)

// The kinds of memory.
const (
	Static        = "static"         // a variable of the kernel's image
	Image         = "image"          // the image, where no symbol says what
	Module        = "module"         // a module's memory
	PerCPU        = "percpu"         // a static per-CPU variable
	PerCPUModule  = "percpu-module"  // a module's
	PerCPUDynamic = "percpu-dynamic" // what alloc_percpu gave
	StructPage    = "struct-page"    // an entry of the array of struct page
	TaskStack     = "task-stack"
	Slab          = "slab"          // an object of a slab cache
	LargeKmalloc  = "large-kmalloc" // what kmalloc took from the page allocator
	Page          = "page"          // other pages
	Vmalloc       = "vmalloc"
	User          = "user"   // not the kernel's half
	Absent        = "absent" // what would say it is not in the core
	Unknown       = "unknown"
)

// Object is what lies at an address.
type Object struct {
	Kind string
	// Name is the symbol, or the slab cache; of vmalloc memory and of a stack the
	// function that has it, where that is known.
	Name   string
	Base   uint64 // where the object begins; 0: not known
	Offset uint64 // of the address from Base, in bytes
	Size   uint64 // of the object in bytes; 0: not known

	Type   string // "struct task_struct", "" where it is not certain
	Member string // of Type, or the element of an array: "body.items[2].count", "[5]"

	Module string // whose, of a module
	CPU    int    // of per-CPU memory; -1
	Task   *linux.Task
	PFN    uint64 // of StructPage: of which page
	// Users is how many caches share the slab cache; above 1 its name may be that
	// of another one's objects.
	Users int
	// Note says what is special: "in its left red zone".
	Note string
}

// unknown is the answer where there is none.
func unknown(kind string) Object { return Object{Kind: kind, CPU: -1} }

// Finder answers for one kernel. It is not safe for several goroutines.
type Finder struct {
	k *linux.Kernel

	typed   bool      // types was looked for
	types   *btf.Spec // nil: the kernel has none
	modules map[string]*btf.Spec
	percpu  []btf.Var   // of the kernel's per-CPU section
	statics []placedVar // of its other sections, by address
	hasData bool        // the symbol table has data (KALLSYMS_ALL)
	areas   areas
	bases   bases
	stacks  *stacks
	vmap    *vmap
	first   *chunk
}

// New makes a finder for a kernel.
func New(k *linux.Kernel) *Finder {
	f := &Finder{k: k, modules: map[string]*btf.Spec{}}
	_, f.hasData = k.Symbols.Lookup("init_task")
	f.bases, f.areas = f.findBases(), f.findAreas()
	return f
}

// At says what lies at an address, and which member an access of size bytes meets.
func (f *Finder) At(addr, size uint64) Object {
	if !f.k.KernelPointer(addr) {
		return unknown(User)
	}
	for _, ask := range []func(addr, size uint64) (Object, bool){
		f.image, f.module, f.staticPerCPU, f.structPage, f.taskStack, f.directMap, f.vmalloc,
	} {
		if o, ok := ask(addr, size); ok {
			return o
		}
	}
	return unknown(Unknown)
}

// image: a variable of the kernel's image by its symbol table.
func (f *Finder) image(addr, size uint64) (Object, bool) {
	if !f.k.InImage(addr) {
		return Object{}, false
	}
	o := unknown(Image)
	// Without data symbols the nearest one below data is a function, not its owner.
	if f.k.InText(addr) || f.hasData {
		if s, ok := f.k.Symbols.At(addr); ok && !mark(s.Name) {
			o.Kind, o.Name, o.Base, o.Offset = Static, s.Name, s.Addr, addr-s.Addr
			f.readTypes()
			f.staticType(&o, addr, size)
		}
	}
	return o, true
}

// mark reports whether a symbol marks a section and is no variable.
func mark(name string) bool {
	for _, end := range []string{"_start", "_end", "_begin"} {
		if strings.HasSuffix(name, end) && strings.HasPrefix(name, "__") {
			return true
		}
	}
	return false
}

// module: a variable of a module, by the module's own symbols.
func (f *Finder) module(addr, _ uint64) (Object, bool) {
	m := f.k.ModuleAt(addr)
	if m == nil {
		return Object{}, false
	}
	o := unknown(Module)
	o.Module = m.Name
	// The size is the source's: between variables there is padding.
	covers := func(at, size uint64) bool { return addr >= at && addr-at < max(size, 1) }
	for _, s := range f.k.ModuleObjects(m, covers) {
		if !strings.HasPrefix(s.Name, "__UNIQUE_ID_") {
			o.Name, o.Base, o.Offset, o.Size = s.Name, s.Addr, addr-s.Addr, s.Size
			break
		}
	}
	return o, true
}

// Certain reports whether what is said of an object holds for the moment of the core:
// nothing is, of memory of which nothing is known, and of a slab cache's object
// where several caches share the cache.
func (o Object) Certain() bool {
	switch o.Kind {
	case Absent, Unknown, Image:
		return false
	}
	return o.Users <= 1
}

// Lasting reports whether memory keeps its owner as long as the kernel runs, or the
// module is loaded: what lay there when an old report was printed lies there still.
func (o Object) Lasting() bool {
	switch o.Kind {
	case Static, Image, Module, PerCPU, PerCPUModule, StructPage:
		return true
	}
	return false
}

// String is an object in words, for the line above a report.
func (o Object) String() string {
	at := func(name string) string {
		switch {
		case o.Member != "" && o.Type != "":
			return fmt.Sprintf("%s: %s.%s", name, o.Type, o.Member)
		case o.Member != "":
			return name + o.Member
		case o.Type != "":
			return fmt.Sprintf("%s: %s, offset %d", name, o.Type, o.Offset)
		}
		return fmt.Sprintf("%s, offset %d", name, o.Offset)
	}
	in := ""
	if o.Module != "" {
		in = " of module " + o.Module
	}
	note := ""
	if o.Note != "" {
		note = ", " + o.Note
	}
	switch o.Kind {
	case Static:
		return "variable " + at(o.Name)
	case Image:
		return "the kernel's own data"
	case Module:
		if o.Name == "" {
			return "memory" + in
		}
		return "variable " + at(o.Name) + in
	case PerCPU, PerCPUModule:
		if o.Name == "" {
			return fmt.Sprintf("a per-CPU variable of CPU %d%s", o.CPU, in)
		}
		return fmt.Sprintf("per-CPU variable %s%s, of CPU %d", at(o.Name), in, o.CPU)
	case PerCPUDynamic:
		return fmt.Sprintf("allocated per-CPU memory of CPU %d", o.CPU)
	case StructPage:
		return fmt.Sprintf("struct page of page frame %#x, %s", o.PFN, strings.TrimPrefix(at(""), ": "))
	case TaskStack:
		s := "the stack of a task"
		if o.Task != nil {
			s = fmt.Sprintf("the stack of task %d (%s)", o.Task.PID, o.Task.Comm)
		}
		if o.Name != "" {
			s += ", in the frame of " + o.Name
		}
		return s
	case Slab:
		s := "object of slab cache " + at(o.Name)
		if o.Users > 1 {
			s += fmt.Sprintf(" (shared by %d caches: its name may be another one's)", o.Users)
		}
		if o.Task != nil {
			s += fmt.Sprintf(", task %d (%s)", o.Task.PID, o.Task.Comm)
		}
		return s + note
	case LargeKmalloc:
		return fmt.Sprintf("a large kmalloc allocation, offset %d", o.Offset)
	case Page:
		return "pages of the page allocator" + note
	case Vmalloc:
		if o.Name != "" {
			return fmt.Sprintf("vmalloc memory of %s, offset %d", o.Name, o.Offset)
		}
		return fmt.Sprintf("vmalloc memory, offset %d", o.Offset)
	case User:
		return "not the kernel's memory"
	case Absent:
		return "what would say it is not in this core"
	}
	return "not known"
}
