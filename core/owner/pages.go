package owner

import (
	"math/bits"

	"coredrop/core/mem"
)

// bases are where the kernel's big areas begin, 0 where that is not known, and the
// layout of struct page.
type bases struct {
	direct  uint64 // all of physical memory, mapped one to one
	vmemmap uint64 // the array of struct page
	vmalloc uint64

	page                      uint64 // sizeof(struct page)
	compound, mapcount, flags uint64 // offsets in it
	slabFlag                  int    // the bit of PG_slab in flags; -1: page types say it
	frames                    uint64 // how many page frames the machine has, holes counted
}

// The layout of struct page where VMCOREINFO does not tell it: the same in every
// configuration of 5.10 to 7.3.
const (
	pageSize     = 4096
	pageStruct   = 64
	pageCompound = 8
	pageMapcount = 48

	// Up to 6.1 PG_slab is bit 9; from 6.10 on page types say it. What lies between
	// says its bit in VMCOREINFO.
	oldSlabFlag = 9

	gib       = 1 << 30
	maxFrames = 1 << 40 // of physical memory: 52 bits of address
	// vmallocSpan is how large the area is at least (32 TiB with 4 levels).
	vmallocSpan = 32 << 40
)

// findBases asks VMCOREINFO, then the kernel's variables, then what is mapped.
func (f *Finder) findBases() bases {
	info := f.k.Info
	b := bases{frames: f.countFrames(), slabFlag: -1, page: pageStruct, compound: pageCompound, mapcount: pageMapcount}
	if info != nil {
		b.page = info.Size("page", pageStruct)
		for _, key := range []string{"page.compound_head", "page.compound_info"} {
			b.compound = info.Offset(key, b.compound)
		}
		b.mapcount, b.flags = info.Offset("page._mapcount", pageMapcount), info.Offset("page.flags", 0)
		if n, ok := info.Number("PG_slab"); ok && n >= 0 && n < 64 {
			b.slabFlag = int(n)
		}
		if a, ok := info.Symbol("vmemmap"); ok && a >= 1<<63 {
			b.vmemmap = a
		}
		if n, ok := info.Number("VMALLOC_START"); ok {
			b.vmalloc = uint64(n)
		}
	} else if major, minor := f.k.MinorRelease(); major < 6 || major == 6 && minor <= 1 {
		b.slabFlag = oldSlabFlag
	}
	variable := func(name string) uint64 {
		if a, ok := f.k.Symbols.Lookup(name); ok {
			if v, ok := f.k.Uint64(a); ok && v >= 1<<63 && v%gib == 0 {
				return v
			}
		}
		return 0
	}
	b.direct = f.mapBase()
	if b.direct == 0 {
		b.direct = variable("page_offset_base")
	}
	if b.vmemmap == 0 {
		b.vmemmap = variable("vmemmap_base")
	}
	if b.vmemmap == 0 {
		b.vmemmap = f.sectionMap()
	}
	if b.vmalloc == 0 {
		b.vmalloc = variable("vmalloc_base")
	}
	return b
}

// mapBase finds the direct map by content: every task but the first lies in it, at
// one distance from where it is in physical memory.
func (f *Finder) mapBase() uint64 {
	tasks, _, err := f.k.Tasks()
	if err != nil {
		return 0
	}
	votes := map[uint64]int{}
	for _, t := range tasks[:min(len(tasks), 16)] {
		if pa, _, err := f.k.Space.Translate(mem.VA(t.Addr)); err == nil {
			if base := t.Addr - uint64(pa); base%gib == 0 {
				votes[base]++
			}
		}
	}
	for base, n := range votes {
		if 2*n > len(tasks[:min(len(tasks), 16)]) {
			return base
		}
	}
	return 0
}

// sectionMap finds the array of struct page by the first section of memory: the
// first word of its struct mem_section is the array's base with flags in the low 6
// bits. mm/sparse.c.
func (f *Finder) sectionMap() uint64 {
	at, ok := f.k.Address("mem_section")
	if !ok && f.k.Info != nil {
		at, ok = f.k.Info.Symbol("mem_section")
	}
	if !ok {
		return 0
	}
	// A pointer to the roots, or the roots themselves.
	for range 3 {
		v, ok := f.k.Uint64(at)
		if !ok || v < 1<<63 {
			return 0
		}
		if base := v &^ 63; base%gib == 0 && v&63 != 0 {
			return base
		}
		at = v
	}
	return 0
}

// structPage: an entry of the array of struct page itself.
func (f *Finder) structPage(addr, size uint64) (Object, bool) {
	b := &f.bases
	if b.vmemmap == 0 || addr < b.vmemmap || (addr-b.vmemmap)/b.page >= b.frames {
		return Object{}, false
	}
	o := unknown(StructPage)
	o.PFN = (addr - b.vmemmap) / b.page
	o.Base, o.Size = b.vmemmap+o.PFN*b.page, b.page
	o.Offset = addr - o.Base
	if spec, id, ok := f.structure("page"); ok {
		if n, _ := spec.Size(id); n == b.page {
			f.name(&o, spec, id, size)
		}
	}
	return o, true
}

func (f *Finder) countFrames() uint64 {
	end := mem.PA(0)
	for _, e := range f.k.Machine.Mem.Extents() {
		end = max(end, e.End())
	}
	return min(uint64(end)/pageSize, maxFrames)
}

// page is what struct page says of a page frame.
type page struct {
	head  uint64 // the frame of its compound's first page
	known bool   // false: its struct page is not in the core
	typ   byte   // the top byte of page_type; 0 where it has none
	slab  bool
	at    uint64 // the address of the head's struct page
}

// Top bytes of page_type. include/linux/page-flags.h, from 6.12 on; before, only
// flags.
const (
	typeBuddy = 0xf0
	typeTable = 0xf2
	typeSlab  = 0xf5
	typeLarge = 0xf8
	typesFrom = 0xf0
	maxOrder  = 18
	tailBit   = 1
)

// frame reads the struct page of a page frame, that of its head where it is a tail.
func (f *Finder) frame(pfn uint64) page {
	b := &f.bases
	p := page{head: pfn, at: b.vmemmap + pfn*b.page}
	if b.vmemmap == 0 {
		return p
	}
	raw, ok := f.k.Read(p.at, int(b.page))
	if !ok || zero(raw) { // no page in use has a struct page of zeros: its count is 1 at least
		return p
	}
	if word := le64(raw, b.compound); word&tailBit != 0 {
		head := word &^ tailBit
		if bits.LeadingZeros64(^word) > 32 { // all high bits set: a mask, and no address
			head = p.at & head
		}
		if head < b.vmemmap || (head-b.vmemmap)%b.page != 0 || (head-b.vmemmap)/b.page >= b.frames {
			return p
		}
		p.head, p.at = (head-b.vmemmap)/b.page, head
		if raw, ok = f.k.Read(p.at, int(b.page)); !ok || le64(raw, b.compound)&tailBit != 0 {
			return p
		}
	}
	p.known = true
	if t := byte(le32(raw, b.mapcount) >> 24); t >= typesFrom && t != 0xff {
		p.typ = t
	}
	p.slab = b.slabFlag >= 0 && le64(raw, b.flags)>>b.slabFlag&1 != 0 || b.slabFlag < 0 && p.typ == typeSlab
	return p
}

func zero(p []byte) bool {
	for _, c := range p {
		if c != 0 {
			return false
		}
	}
	return true
}

// directMap: what the page frame behind an address of the direct map is used for.
func (f *Finder) directMap(addr, size uint64) (Object, bool) {
	b := &f.bases
	if b.direct == 0 || addr < b.direct || (addr-b.direct)/pageSize >= b.frames {
		return Object{}, false
	}
	p := f.frame((addr - b.direct) / pageSize)
	if !p.known {
		return unknown(Absent), true
	}
	if p.slab {
		return f.slab(addr, size, p), true
	}
	if o, ok := f.dynamic(addr); ok {
		return o, true
	}
	o := unknown(Page)
	o.Base = b.direct + p.head*pageSize
	o.Offset = addr - o.Base
	switch p.typ {
	case typeLarge:
		o.Kind = LargeKmalloc
	case typeBuddy:
		o.Note = "free when the core was taken"
		o.Base, o.Offset = 0, 0
	case typeTable:
		o.Note = "a page table"
	}
	return o, true
}

// The members of struct kmem_cache, found by what they hold: size and object_size are
// the first pair of words that can be, the name is the first pointer to one, and
// what is counted is counted back from it. mm/slab.h.
const (
	cacheBytes   = 512
	cacheSizes   = 8   // where the pair may begin
	cacheNames   = 160 // where the name may be
	maxObject    = 64 << 10
	maxCacheName = 64
	fromNamePad  = 8 // red_left_pad
	fromNameRef  = 28
	maxUsers     = 1 << 12
	slabCaches   = 24 // the pointer in struct slab up to 6.1
	slabCaches2  = 8  // from 6.2 on
)

// cache is a slab cache.
type cache struct {
	name         string
	size, object uint64 // from one object to the next; of the object itself
	pad          uint64 // the left red zone
	users        int
}

// cacheAt reads a struct kmem_cache; false: it is none.
func (f *Finder) cacheAt(at uint64) (c cache, ok bool) {
	if at < 1<<63 || at%8 != 0 {
		return c, false
	}
	p, ok := f.k.Read(at, cacheBytes)
	if !ok {
		return c, false
	}
	for off := uint64(cacheSizes); off < cacheNames; off += 4 {
		size, object := uint64(le32(p, off)), uint64(le32(p, off+4))
		if size >= object && object > 0 && size%8 == 0 && size <= maxObject && object > size/2-min(size/2, 256) {
			c.size, c.object = size, object
			break
		}
	}
	if c.size == 0 {
		return c, false
	}
	for off := uint64(cacheSizes); off < cacheNames; off += 8 {
		name, ok := f.k.String(le64(p, off), maxCacheName)
		if !ok || !printable(name) || off < fromNameRef+4 {
			continue
		}
		c.name, c.pad = name, uint64(le32(p, off-fromNamePad))
		refs := le32(p, off-fromNameRef)
		if refs == 0 {
			refs = le32(p, off-fromNameRef-4) // the word between is a hole
		}
		c.users = int(refs)
		return c, refs > 0 && refs <= maxUsers && c.pad < c.size
	}
	return c, false
}

func printable(s string) bool {
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) > 2
}

// slab: an object of a slab cache.
func (f *Finder) slab(addr, size uint64, p page) Object {
	o := unknown(Slab)
	var c cache
	found := false
	for _, off := range []uint64{slabCaches2, slabCaches} {
		if at, ok := f.k.Uint64(p.at + off); ok {
			if c, found = f.cacheAt(at); found {
				break
			}
		}
	}
	if !found || !f.fits(p, c) {
		return unknown(Absent)
	}
	start := f.bases.direct + p.head*pageSize
	o.Name, o.Users, o.Size = c.name, c.users, c.object
	o.Base = start + (addr-start)/c.size*c.size + c.pad
	if addr < o.Base {
		o.Note = "in the red zone before the object"
		o.Offset = 0
		return o
	}
	o.Offset = addr - o.Base
	if o.Offset >= c.object {
		o.Note = "behind the object's end, in what the allocator keeps there"
		return o
	}
	if c.users == 1 {
		f.slabType(&o, c, size)
	}
	if t, ok := f.taskOf(o); ok {
		o.Task = &t
	}
	return o
}

// slabCounters is where struct slab says how many objects the slab has: bits 16 to 30,
// behind those in use. mm/slab.h, 5.10 (struct page) to 7.3.
const slabCounters = 40

// fits reports whether a slab has as many objects as one of its size has of a cache's:
// a pointer that leads to another cache would name the wrong type.
func (f *Finder) fits(p page, c cache) bool {
	order := uint(0)
	for order < maxOrder {
		next := f.frame(p.head + 1<<order)
		if !next.known || next.head != p.head {
			break
		}
		order++
	}
	counters, ok := f.k.Uint32(p.at + slabCounters)
	return ok && uint64(counters>>16&0x7fff) == pageSize<<order/c.size
}

// named lists the caches that are not named for the structure whose objects they
// hold. A structure of which the cache's objects are longer has a tail of a length
// that the boot decides.
var named = map[string]struct {
	structure string
	tail      bool // the object may be longer, or shorter, than the structure
}{
	"filp":              {"file", false},
	"files_cache":       {"files_struct", false},
	"sighand_cache":     {"sighand_struct", false},
	"signal_cache":      {"signal_struct", false},
	"inode_cache":       {"inode", false},
	"proc_inode_cache":  {"proc_inode", false},
	"shmem_inode_cache": {"shmem_inode_info", false},
	"ext4_inode_cache":  {"ext4_inode_info", false},
	"bdev_cache":        {"bdev_inode", false},
	"kernfs_node_cache": {"kernfs_node", false},
	"task_struct":       {"task_struct", true},
	"mm_struct":         {"mm_struct", true},
	"mem_cgroup":        {"mem_cgroup", true},
	"pid":               {"pid", true},
}

// slabType names the type of a cache's objects where that is certain: one cache, a
// structure of its name in BTF, sizes that agree.
func (f *Finder) slabType(o *Object, c cache, size uint64) {
	entry, ok := named[c.name]
	if !ok {
		entry.structure = c.name
	}
	spec, id, ok := f.structure(entry.structure)
	if !ok {
		return
	}
	n, ok := spec.Size(id)
	fits := n <= c.object && c.object-n < 8 // aligned
	if entry.tail {
		fits = n <= c.object || entry.structure == "task_struct" // whose size the boot decides
	}
	if ok && fits {
		f.name(o, spec, id, size)
	}
}
