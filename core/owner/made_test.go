package owner_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/linux"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/owner"
)

// form is how a release lays its slab caches out.
type form struct {
	release              string
	slabFlag             bool // a page flag says slab; else the page's type
	cache                int  // where struct slab has its cache
	name, refcount, left int  // of struct kmem_cache
}

var forms = []form{
	{"5.10.1", true, 24, 96, 64, 88},
	{"6.12.1", false, 8, 96, 64, 88},
	{"7.3.1", false, 8, 88, 60, 80},
}

// heap is a guest with an array of struct page.
type heap struct {
	*linuxtest.Guest
	form
	direct, pages uint64
}

func newHeap(f form) *heap {
	h := &heap{Guest: linuxtest.New(linuxtest.Config{Release: f.release, DataSymbols: true, Note: true}), form: f}
	h.Tasks("init", "kthreadd", "kworker/0:0", "one", "two")
	h.CPU(cpu.Values{})
	at := h.Heap(0)
	h.direct = at &^ (1<<30 - 1)
	h.Heap(int((at+4095)&^4095 - at))
	h.pages = h.Heap(64 * len(h.Memory()) / 4096)
	h.Heap(4096)
	h.Key("SYMBOL(vmemmap)=%x", h.pages)
	if f.slabFlag {
		h.Key("NUMBER(PG_slab)=9")
	}
	return h
}

// frame gives pages of the heap, aligned to all of them, and the first one's number.
func (h *heap) frame(order uint) (at, pfn uint64) {
	bytes := uint64(4096) << order
	at = h.Heap(0)
	h.Heap(int((at+bytes-1)&^(bytes-1) - at))
	at = h.Heap(int(bytes))
	return at, (at - h.direct) / 4096
}

func (h *heap) page(pfn uint64) uint64 { return h.pages + 64*pfn }

func (h *heap) poke32(at uint64, v uint32) { h.Poke(at, binary.LittleEndian.AppendUint32(nil, v)) }

// mark makes a page one of a type, with a reference.
func (h *heap) mark(pfn uint64, typ byte) {
	h.poke32(h.page(pfn)+48, uint32(typ)<<24)
	h.poke32(h.page(pfn)+52, 1)
}

// slab makes a slab of a cache; masked: its tails have a mask and no address.
func (h *heap) slab(cache uint64, order uint, size uint64, masked bool) (start uint64) {
	start, pfn := h.frame(order)
	for i := uint64(0); i < 1<<order; i++ {
		h.mark(pfn+i, 0xff)
		if i > 0 && masked {
			h.Poke64(h.page(pfn+i)+8, ^(uint64(64)<<order-1)|1)
		} else if i > 0 {
			h.Poke64(h.page(pfn+i)+8, h.page(pfn)|1)
		}
	}
	h.mark(pfn, 0xf5)
	if h.slabFlag {
		h.mark(pfn, 0xff)
		h.Poke64(h.page(pfn), 1<<9)
	}
	h.Poke64(h.page(pfn)+uint64(h.cache), cache)
	h.poke32(h.page(pfn)+40, uint32(4096<<order/size)<<16|3)
	return start
}

// kmemCache makes a cache.
func (h *heap) kmemCache(name string, size, object, pad, users uint32) uint64 {
	at := h.Heap(256)
	h.Poke64(at+8, 0x40000000)
	h.poke32(at+24, size)
	h.poke32(at+28, object)
	h.poke32(at+32, 0x12345678)
	h.poke32(at+uint64(h.refcount), users)
	h.poke32(at+uint64(h.left), pad)
	h.Poke64(at+uint64(h.name), h.String(name))
	return at
}

// types is a BTF of one structure, node {u32 first; u32 deep[2];}, of a length.
func types(length uint32) []byte {
	names := "\x00node\x00first\x00deep\x00"
	var b []byte
	w := func(list ...uint32) {
		for _, v := range list {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
	}
	w(0, 1<<24, 4, 32)
	w(0, 3<<24, 0, 1, 1, 2)
	w(1, 4<<24|2, length, 6, 1, 0, 12, 2, 32)
	head := []byte{0x9f, 0xeb, 1, 0}
	for _, v := range []int{24, 0, len(b), len(b), len(names)} {
		head = binary.LittleEndian.AppendUint32(head, uint32(v))
	}
	return append(append(head, b...), names...)
}

func (h *heap) btf(p []byte) {
	at := h.Data("__start_BTF", len(p))
	h.Poke(at, p)
	h.Symbol("__stop_BTF", 'b', at+uint64(len(p)))
}

func (h *heap) finder(t *testing.T) *owner.Finder {
	t.Helper()
	k, err := linux.Locate(t.Context(), h.Machine(), linux.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return owner.New(k)
}

// TestMade: objects of slabs, and other pages, of guests that were made, in each form
// that releases have.
func TestMade(t *testing.T) {
	for _, form := range forms {
		t.Run(form.release, func(t *testing.T) {
			h := newHeap(form)
			h.btf(types(12))
			node := h.kmemCache("node", 16, 12, 0, 1)
			plain := h.slab(node, 0, 16, false)
			tail := h.slab(node, 1, 16, false)
			mask := h.slab(node, 3, 16, true)
			shared := h.slab(h.kmemCache("node", 16, 12, 0, 2), 0, 16, false)
			longer := h.slab(h.kmemCache("node", 32, 24, 0, 1), 0, 32, false)
			zoned := h.slab(h.kmemCache("node", 64, 12, 16, 1), 0, 64, false)
			other := h.slab(h.kmemCache("kmalloc-96", 96, 96, 0, 1), 0, 96, false)
			for _, c := range []struct {
				what string
				addr uint64
				want owner.Object
			}{
				{"an object", plain + 16*5 + 8, owner.Object{Name: "node", Base: plain + 80, Offset: 8, Size: 12, Type: "struct node", Member: "deep[1]", Users: 1}},
				{"in a tail", tail + 4096 + 16, owner.Object{Name: "node", Base: tail + 4096 + 16, Size: 12, Type: "struct node", Member: "first", Users: 1}},
				{"in a tail with a mask", mask + 7*4096 + 20, owner.Object{Name: "node", Base: mask + 7*4096 + 16, Offset: 4, Size: 12, Type: "struct node", Member: "deep[0]", Users: 1}},
				{"of a shared cache", shared + 4, owner.Object{Name: "node", Base: shared, Offset: 4, Size: 12, Users: 2}},
				{"longer than its name's structure", longer + 36, owner.Object{Name: "node", Base: longer + 32, Offset: 4, Size: 24, Users: 1}},
				{"behind a red zone", zoned + 64 + 16, owner.Object{Name: "node", Base: zoned + 80, Size: 12, Type: "struct node", Member: "first", Users: 1}},
				{"in the red zone", zoned + 64 + 3, owner.Object{Name: "node", Base: zoned + 80, Size: 12, Users: 1, Note: "in the red zone before the object"}},
				{"behind the end", zoned + 64 + 30, owner.Object{Name: "node", Base: zoned + 80, Offset: 14, Size: 12, Users: 1, Note: "behind the object's end, in what the allocator keeps there"}},
				{"no structure", other + 97, owner.Object{Name: "kmalloc-96", Base: other + 96, Offset: 1, Size: 96, Users: 1}},
			} {
				c.want.Kind, c.want.CPU = owner.Slab, -1
				if got := h.finder(t).At(c.addr, 4); got != c.want {
					t.Errorf("%s:\n%+v, want\n%+v", c.what, describe(got), describe(c.want))
				}
			}
		})
	}
}

// describe is an object without its words.
func describe(o owner.Object) string {
	type plain owner.Object
	return fmt.Sprintf("%+v", plain(o))
}

// TestPages: what is no slab, and what is no page that the core has.
func TestPages(t *testing.T) {
	h := newHeap(forms[2])
	kinds := map[string]byte{owner.LargeKmalloc: 0xf8, "free": 0xf0, "table": 0xf2, owner.Page: 0xff}
	at := map[string]uint64{}
	for name, typ := range kinds {
		start, pfn := h.frame(1)
		h.mark(pfn, typ)
		h.mark(pfn+1, 0xff)
		h.Poke64(h.page(pfn+1)+8, h.page(pfn)|1)
		at[name] = start
	}
	absent, _ := h.frame(0)
	astray, pfn := h.frame(0)
	h.mark(pfn, 0xf5)
	h.Poke64(h.page(pfn)+8, 0xffffffffffff0001) // a head in front of the array
	round, pfn := h.frame(0)
	h.mark(pfn, 0xf5)
	h.Poke64(h.page(pfn)+8, h.page(pfn)|1) // its own tail
	liar, pfn := h.frame(0)
	h.mark(pfn, 0xf5)
	h.Poke64(h.page(pfn)+8, h.Heap(256)) // a cache of zeros
	f := h.finder(t)
	for name, start := range at {
		o := f.At(start+4096+5, 1)
		switch name {
		case owner.LargeKmalloc, owner.Page:
			if o.Kind != name || o.Base != start || o.Offset != 4101 {
				t.Errorf("%s: %s", name, describe(o))
			}
		default:
			if o.Kind != owner.Page || !strings.Contains(o.Note, name) {
				t.Errorf("%s: %s", name, describe(o))
			}
		}
	}
	for name, a := range map[string]uint64{"zeros": absent, "a head outside": astray, "its own tail": round, "no cache": liar} {
		if o := f.At(a, 1); o.Kind != owner.Absent || o.Certain() || o.Name != "" {
			t.Errorf("%s: %s", name, describe(o))
		}
	}
	if o := f.At(h.page(3)+40, 8); o.Kind != owner.StructPage || o.PFN != 3 || o.Offset != 40 {
		t.Error(describe(o))
	}
	if o := f.At(0x1000, 1); o.Kind != owner.User {
		t.Error(describe(o))
	}
	if o := f.At(0xffffc90000012345, 1); o.Kind != owner.Unknown {
		t.Error(describe(o))
	}
}

// TestStaticData: with data symbols the variable, without them no function's name.
func TestStaticData(t *testing.T) {
	for _, data := range []bool{true, false} {
		h := linuxtest.New(linuxtest.Config{Release: "6.1.1", DataSymbols: data, Note: true})
		h.Tasks("init", "kthreadd", "kworker/0:0")
		h.CPU(cpu.Values{})
		at := h.Data("counter", 64)
		h.Data("next", 8)
		k, err := linux.Locate(t.Context(), h.Machine(), linux.Options{})
		if err != nil {
			t.Fatal(err)
		}
		o := owner.New(k).At(at+24, 8)
		if data && (o.Kind != owner.Static || o.Name != "counter" || o.Offset != 24) || !data && (o.Kind != owner.Image || o.Name != "") {
			t.Errorf("data symbols %v: %s", data, describe(o))
		}
	}
}

// FuzzAt reads whatever stands in the pages and caches.
func FuzzAt(f *testing.F) {
	f.Add([]byte{1}, uint16(0))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, uint16(8))
	f.Fuzz(func(t *testing.T, change []byte, where uint16) {
		h := newHeap(forms[2])
		h.btf(types(12))
		cache := h.kmemCache("node", 16, 12, 0, 1)
		start := h.slab(cache, 1, 16, false)
		pfn := (start - h.direct) / 4096
		h.Poke(h.page(pfn)+uint64(where)%128, change[:min(len(change), 64)])
		h.Poke(cache+uint64(where)%256, change[:min(len(change), 64)])
		o := h.finder(t).At(start+4096+20, 4)
		if o.Type != "" && o.Type != "struct node" {
			t.Error(describe(o))
		}
		_ = o.String()
	})
}
