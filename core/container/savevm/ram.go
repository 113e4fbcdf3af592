package savevm

import (
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// Flags of a record of the memory's section, in the low bits of its address.
// Source: QEMU 10.0 migration/ram.c (RAM_SAVE_FLAG_*).
const (
	flagZero     = 0x02
	flagMemSize  = 0x04
	flagPage     = 0x08
	flagEOS      = 0x10
	flagContinue = 0x20
	flagXBZRLE   = 0x40
	flagHook     = 0x80
	flagCompress = 0x100
	flagFlush    = 0x200
)

// What mapped-ram puts behind a block's entry: version u32, page size u64, place
// of the bitmap u64, place of the pages u64, both from the file's beginning on.
const (
	mappedBytes   = 28
	mappedVersion = 1
)

// maxBlocks bounds the list of blocks; some tens are usual.
const maxBlocks = 4096

// block is a piece of memory as the stream names it.
type block struct {
	name   string
	bytes  uint64
	first  uint32       // number of its first page
	mapped bool         // its pages lie in place
	bitmap source.Range // of a mapped block: which pages are there
	pages  int64        // of a mapped block: its first page in the file
}

// ram is the section of the memory.
type ram struct {
	pageSize int64
	mask     uint64
	inPlace  bool // mapped-ram
	unsound  bool // the list of blocks is not whole

	blocks  []block
	byName  map[string]int
	current int // block of the latest record; -1: none
	index   index
	count   uint64 // pages of all blocks
	met     struct{ pages, zeros, changes, packed uint64 }
	orphans int  // changed pages that have no content
	begun   bool // the list of blocks was read
	ended   bool // so did the section
	size    int64
}

// begin readies the section.
func (r *ram) begin(st *state) {
	r.pageSize = 1 << st.pageBits
	r.mask = uint64(r.pageSize) - 1
	r.inPlace = st.has("mapped-ram")
	r.byName, r.current = map[string]int{}, -1
	r.index.page = r.pageSize
	r.size = st.source.Size
}

// records reads one section's data.
func (r *ram) records(c *cursor) error {
	for {
		word, err := c.u64()
		if err != nil {
			return err
		}
		address, flags := word&^r.mask, word&r.mask
		switch flags &^ flagContinue {
		case flagEOS:
			return nil
		case flagFlush:
			continue
		case flagMemSize:
			if err := r.list(c, address); err != nil {
				return err
			}
			continue
		case flagZero, flagPage, flagXBZRLE, flagCompress:
		case flagHook:
			return refuse("this saved VM state is one side of a migration over RDMA: its memory is not in it")
		default:
			c.seek(c.at - 8)
			return c.damaged("no record of the memory begins: its flags would be %#x", flags)
		}
		if flags&flagContinue == 0 {
			name, err := c.str8()
			if err != nil {
				return err
			}
			i, ok := r.byName[name]
			if !ok {
				return c.damaged("a page is of the block %q, which was not listed", printable(name))
			}
			r.current = i
		}
		if err := r.page(c, address, flags&^flagContinue); err != nil {
			return err
		}
	}
}

// page reads one page's record.
func (r *ram) page(c *cursor, address, flags uint64) error {
	if r.current < 0 {
		return c.damaged("a page is of the block before, and there is none")
	}
	b := &r.blocks[r.current]
	switch {
	case address >= b.bytes: // both are of whole pages
		return c.damaged("a page at %#x is beyond the end of the block %q", address, printable(b.name))
	case b.mapped:
		return c.damaged("the block %q has pages in place, and records too", printable(b.name))
	}
	page := b.first + uint32(address/uint64(r.pageSize))
	room := true
	switch flags {
	case flagZero:
		at := c.at
		value, err := c.u8()
		if err != nil {
			return err
		}
		r.met.zeros++
		room = r.index.add(page, kindFill, at, value)
	case flagPage:
		at := c.at
		if err := c.skip(r.pageSize); err != nil {
			return err
		}
		r.met.pages++
		room = r.index.add(page, kindPages, at, 0)
	case flagXBZRLE:
		head, err := c.take(3)
		if err != nil {
			return err
		}
		n := be.Uint16(head[1:])
		if head[0] != 1 || int64(n) > r.pageSize {
			return c.damaged("changes of a page have %d bytes and the mark %#x", n, head[0])
		}
		at := c.at
		if err := c.skip(int64(n)); err != nil {
			return err
		}
		r.met.changes++
		room = r.index.change(page, at, n)
	case flagCompress:
		n, err := c.u32()
		if err != nil {
			return err
		}
		if int64(n) > 2*r.pageSize {
			return c.damaged("a packed page has %d bytes", n)
		}
		at := c.at - 4
		if err := c.skip(int64(n)); err != nil {
			return err
		}
		r.met.packed++
		room = r.index.add(page, kindPacked, at, 0)
	}
	if !room {
		return tooBroken()
	}
	return nil
}

// tooBroken refuses a stream of which the index would be too large.
func tooBroken() error {
	return refuse("the memory of this saved VM state lies in more than %d pieces, too many to keep track of", maxRuns).
		Instead(fault.Step{Text: "restore it without letting it run, then take a core", Command: "virsh restore --paused {file}"},
			fault.Step{Command: "virsh dump --memory-only --format elf VM vm.core"})
}

// list reads the list of blocks, whose lengths add up to total.
func (r *ram) list(c *cursor, total uint64) error {
	if r.begun {
		return c.damaged("the blocks of memory are listed twice")
	}
	r.begun, r.unsound = true, true
	for left := total; left > 0; {
		if len(r.blocks) >= maxBlocks {
			return c.damaged("more than %d blocks of memory are listed", maxBlocks)
		}
		name, err := c.str8()
		if err != nil {
			return err
		}
		bytes, err := c.u64()
		if err != nil {
			return err
		}
		b := block{name: name, bytes: bytes, first: uint32(r.count)}
		count := bytes / uint64(r.pageSize)
		switch _, twice := r.byName[name]; {
		case name == "" || twice:
			return c.damaged("the block of memory %q is listed twice", printable(name))
		case bytes > left || bytes&r.mask != 0:
			return c.damaged("the block of memory %q has %#x bytes of %#x that are left", printable(name), bytes, left)
		case count > maxPages-r.count:
			return c.damaged("more memory is listed than %d pages", uint64(maxPages))
		}
		if err := r.hugePages(c); err != nil {
			return err
		}
		var cut error
		if r.inPlace {
			if cut = r.mapBlock(c, &b); cut != nil && cut != errCut {
				return cut
			}
		}
		r.byName[name] = len(r.blocks)
		r.blocks = append(r.blocks, b)
		r.count += count
		left -= bytes
		if cut != nil {
			return cut
		}
	}
	r.unsound = false
	return nil
}

// hugePages steps over the page size that stands behind the length of a block
// whose pages are not the host's, when the machine was ready for postcopy. Neither
// a name nor a record looks like it, nor what mapped-ram puts there, which begins
// with its version.
func (r *ram) hugePages(c *cursor) error {
	p, err := c.peek(8)
	if err != nil || len(p) < 8 {
		return err
	}
	if v := be.Uint64(p); v&r.mask == 0 && v != mappedVersion<<32 && powerOfTwo(v) {
		c.seek(c.at + 8)
	}
	return nil
}

// mapBlock reads what mapped-ram says of a block, and steps over its pages.
func (r *ram) mapBlock(c *cursor, b *block) error {
	p, err := c.take(mappedBytes)
	if err != nil {
		return err
	}
	version, size, bitmap, pages := be.Uint32(p), be.Uint64(p[4:]), be.Uint64(p[12:]), be.Uint64(p[20:])
	if bitmap == 0 && pages == 0 {
		return refuse("the memory %q is not in this saved VM state: it was left in a shared file", printable(b.name))
	}
	length := (b.bytes/uint64(r.pageSize) + 63) / 64 * 8
	switch {
	case version != mappedVersion || size != uint64(r.pageSize):
		return c.damaged("pages of %q lie in place in a form that is not known: version %d, pages of %d bytes", printable(b.name), version, size)
	case bitmap < uint64(c.at) || bitmap > maxAt || pages > maxAt || bitmap+length > pages:
		return c.damaged("the pages of %q would be at %#x, and which of them are there at %#x", printable(b.name), pages, bitmap)
	}
	b.mapped, b.bitmap, b.pages = true, source.Range{Off: int64(bitmap), Bytes: int64(length)}, int64(pages)
	return c.skip(int64(pages+b.bytes) - c.at)
}

// finish ends the collection.
func (r *ram) finish() error {
	r.orphans = r.index.finish()
	if r.index.full {
		return tooBroken()
	}
	return nil
}

// said is what the pass met, for the log.
func (r *ram) said() string {
	return fmt.Sprintf("%d blocks, %d pages, %d zero, %d changes, %d packed; %d runs",
		len(r.blocks), r.met.pages, r.met.zeros, r.met.changes, r.met.packed, len(r.index.done))
}
