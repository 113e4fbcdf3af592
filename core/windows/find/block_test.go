package find

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// TestAllRotations encodes the block anew for every rotation: it decodes the
// same with the PDB's variables and without them.
func TestAllRotations(t *testing.T) {
	g := newGuest(t)
	plain, flag := g.plain(), g.symbol(symEncodedFlag)
	random := rand.New(rand.NewSource(7))
	for r := range uint64(64) {
		never, always := random.Uint64()&^63|r, random.Uint64()
		g.put64(g.symbol(symWaitNever), never)
		g.put64(g.symbol(symWaitAlways), always)
		g.put(demoKDBG, encode(plain, never, always, flag))
		for _, s := range []windows.Symbols{demoSymbols{}, nil} {
			k := g.found(s, demoDTB, "cpu0 cr3")
			want := windows.FoundByKnownPlaintext
			if s != nil {
				want = windows.FoundByPDB
			}
			if !bytes.Equal(k.KDBG.Plain, plain) || !k.KDBG.Encoded || k.KDBG.FoundBy != want || k.KDBG.VA != demoKDBG || len(k.Warnings) != 0 {
				t.Fatalf("rotation %d: block at %v found by %q, encoded %v, warnings %v", r, k.KDBG.VA, k.KDBG.FoundBy, k.KDBG.Encoded, k.Warnings)
			}
		}
	}
}

// shaped gives the block in another release's size. Before Windows 7 the
// context record lies inside the processor block.
func shaped(plain []byte, size int) []byte {
	p := make([]byte, size)
	copy(p, plain)
	binary.LittleEndian.PutUint32(p[0x14:], uint32(size))
	return p
}

// TestEverySize moves the block to other places, across a page's end and not,
// in clear and encoded, in each release's size.
func TestEverySize(t *testing.T) {
	for _, size := range []int{0x290, 0x318, 0x328, 0x330, 0x340, 0x360, 0x368, 0x380, 0x3a0} {
		for _, offset := range []int{0xff0, 0xd80, 0xfe8, 0x300} {
			for _, never := range []uint64{0, 0x5a5a0123456789ab} {
				g := newGuest(t)
				p := shaped(g.plain(), size)
				g.erase()
				va := g.room(size, offset)
				g.put(va, p)
				if never != 0 {
					g.put(va, encode(p, never, 0x1122334455667788, g.symbol(symEncodedFlag)))
				}
				k := g.found(nil, demoDTB, "cpu0 cr3")
				if k.KDBG.VA != va || !bytes.Equal(k.KDBG.Plain, p) || k.KDBG.Encoded != (never != 0) || int(k.KDBG.Size) != size {
					t.Fatalf("size %#x at %v (encoded %v): found %#x bytes at %v", size, va, never != 0, k.KDBG.Size, k.KDBG.VA)
				}
				prcb, want := k.Processors[0].PRCB, mem.VA(0)
				switch {
				case size >= 0x340:
					want = mem.VA(g.get64(prcb + mem.VA(binary.LittleEndian.Uint16(p[0x338:]))))
				case size >= 0x2be: // the smallest ends before any offset
					want = prcb + mem.VA(binary.LittleEndian.Uint16(p[0x2bc:]))
				}
				if k.Processors[0].Context != want {
					t.Errorf("size %#x: context at %v, want %v", size, k.Processors[0].Context, want)
				}
			}
		}
	}
}

func TestOtherSizesAreRefused(t *testing.T) {
	for _, size := range []uint32{0, 0x288, 0x294, 0x384, 0x1008, 0x7ffffff8, 0xfffffff8} {
		g := newGuest(t)
		p := g.plain()
		binary.LittleEndian.PutUint32(p[0x14:], size)
		g.put(demoKDBG, p)
		g.refused(nil, fault.KDBGMissing)
		g.refused(demoSymbols{}, fault.KDBGUndecodable)
	}
}

// TestLinksDiffer registers a second block, of a driver, as
// KdRegisterDebuggerDataBlock does: the kernel's own links are no longer equal.
func TestLinksDiffer(t *testing.T) {
	for _, encoded := range []bool{false, true} {
		g := newGuest(t)
		p := g.plain()
		second := bytes.Clone(p[:0x290])
		copy(second[0x10:], "TEST")
		binary.LittleEndian.PutUint32(second[0x14:], 0x290)
		at := g.room(0x290, 0x100)
		head := binary.LittleEndian.Uint64(p)
		copy(p, le64(uint64(at), head))
		copy(second, le64(head, uint64(demoKDBG)))
		if encoded {
			flag := g.symbol(symEncodedFlag)
			p, second = encode(p, 0x123456789abcdef1, 7, flag), encode(second, 0x123456789abcdef1, 7, flag)
		}
		g.put(demoKDBG, p)
		g.put(at, second)
		k := g.found(nil, demoDTB, "cpu0 cr3")
		if k.KDBG.VA != demoKDBG || k.KDBG.Encoded != encoded {
			t.Errorf("block at %v, encoded %v", k.KDBG.VA, k.KDBG.Encoded)
		}
	}
}

// forgeries break one step of the validation each, in a block that is right
// otherwise.
func (g *guest) forgeries(plain []byte) map[string][]byte {
	forge := func(change func(p []byte)) []byte {
		p := bytes.Clone(plain)
		change(p)
		return p
	}
	set64 := func(off int, v mem.VA) func([]byte) {
		return func(p []byte) { binary.LittleEndian.PutUint64(p[off:], uint64(v)) }
	}
	empty := g.room(0x100, 0x400) // zeros inside the image

	// A processor whose control region does not name itself, but whose context
	// record is where it should be.
	prcb := g.room(0x200, 0x800)
	context := g.get64(mem.VA(g.get64(mem.VA(windows.KDBG{Plain: plain}.Uint64(0x218)))) + mem.VA(windows.KDBG{Plain: plain}.Uint16(0x338)))
	g.put64(prcb+0x180, context)
	block := g.room(0x10, 0xa00)
	g.put64(block, uint64(prcb))

	return map[string][]byte{
		"size":        forge(func(p []byte) { binary.LittleEndian.PutUint32(p[0x14:], 0x284) }),
		"tag":         forge(func(p []byte) { p[0x10] = 'X' }),
		"kernel base": forge(set64(0x18, demoBase+0x1000)),
		"list entry":  forge(set64(0x08, 0x1000)),
		"lists inside the image": forge(func(p []byte) {
			// A list that is right in every way but lies outside the image.
			first := g.get64(mem.VA(binary.LittleEndian.Uint64(p[0x48:])))
			binary.LittleEndian.PutUint64(p[0x48:], first)
		}),
		"module list":  forge(set64(0x48, empty)),
		"process list": forge(set64(0x50, empty)),
		"processor block": forge(func(p []byte) {
			set64(0x218, block)(p)
			binary.LittleEndian.PutUint16(p[0x338:], 0x180)
		}),
		"context": forge(func(p []byte) { binary.LittleEndian.PutUint16(p[0x338:], 0x100) }),
	}
}

// TestForgedBlocks puts a forged block before the real one: it must be passed
// over. Without the step that it breaks it would be taken, as it comes first.
func TestForgedBlocks(t *testing.T) {
	steps := map[string]bool{}
	for _, c := range windows.BlockChecks {
		steps[c.Name] = true
	}
	base := newGuest(t)
	plain := base.plain()
	for name := range base.forgeries(plain) {
		if !steps[name] {
			t.Errorf("there is no step %q", name)
		}
		delete(steps, name)
	}
	for name := range steps {
		t.Errorf("no forgery for the step %q", name)
	}
	for _, c := range windows.BlockChecks {
		g := newGuest(t)
		forged := g.forgeries(plain)[c.Name]
		k := windows.KDBG{VA: demoBase, Size: binary.LittleEndian.Uint32(forged[0x14:]), Plain: forged}
		if c.Name == "size" {
			k.Plain = forged[:k.Size]
		}
		contradictions, refused, reason := windows.Validate(g.s, demoBase, 0x32000, k)
		if refused == c.Soft || contradictions != map[bool]int{true: 1, false: 0}[c.Soft] || reason == nil || !bytes.HasPrefix([]byte(reason.Error()), []byte(c.Name+": ")) {
			t.Errorf("%s: refused %v, %d contradictions, %v", c.Name, refused, contradictions, reason)
		}
		// The real block moves behind the forged one; both are in clear.
		g.erase()
		first, second := g.room(0x380, 0x8), mem.VA(0)
		g.put(first, forged)
		second = g.room(0x380, 0x610)
		if second < first {
			first, second = second, first
			g.put(first, forged)
		}
		g.put(second, plain)
		if found, err := g.locate(nil); err != nil || found.KDBG.VA != second {
			t.Errorf("%s: %v: the forged block is at %v, the real one at %v", c.Name, err, first, second)
		}
		// Alone, a block that is refused is no block.
		g.put(second, make([]byte, 0x380))
		_, err := g.locate(nil)
		if c.Soft != (err == nil) {
			t.Errorf("%s, alone: %v", c.Name, err)
		}
	}
}

// TestTwoContradictions: a block whose two lists are both torn is proved by a
// control region that names itself, and only by that.
func TestTwoContradictions(t *testing.T) {
	g := newGuest(t)
	p := g.plain()
	copy(p[0x48:], le64(uint64(g.room(0x100, 0x400)), uint64(g.room(0x100, 0x400))))
	g.put(demoKDBG, p)
	k, err := g.locate(nil)
	if err != nil || !warned(k, fault.ModulesDamaged) || !warned(k, fault.ProcessesUnknownLayout) || len(k.Processors) != 2 {
		t.Fatalf("two lists: %v", err)
	}
	for i := range 2 {
		g.put64(k.Processors[i].KPCR+0x18, 0)
	}
	e := g.refused(nil, fault.KDBGMissing)
	for _, check := range []string{"module list", "process list", "processor block"} {
		if !strings.Contains(e.Text, check) {
			t.Errorf("%q does not name the %s", e.Text, check)
		}
	}
	k, err = g.locate(demoSymbols{})
	if err != nil || !warned(k, fault.ModulesDamaged) || !warned(k, fault.ProcessesUnknownLayout) {
		t.Fatalf("with the PDB: %v", err)
	}
	// Two lists that are whole prove it where the processors do not.
	g = newGuest(t)
	for _, region := range k.Processors {
		g.put(region.KPCR, make([]byte, 0x180))
		g.put64(region.PRCB+mem.VA(k.KDBG.PrcbContext()), 0x1000)
	}
	if k, err = g.locate(nil); err != nil || !warned(k, fault.ContextUnreadable) || len(k.Modules) != 3 {
		t.Errorf("no processor: %v", err)
	}
}

// TestDamagedListEntry: that the block's own list entry is damaged does not refuse
// it, in clear or encoded.
func TestDamagedListEntry(t *testing.T) {
	for _, s := range []windows.Symbols{nil, demoSymbols{}} {
		g := newGuest(t)
		p := g.plain()
		copy(p, le64(0, 0x1000))
		for _, put := range []func(){func() { g.put64(demoKDBG, 0x1234) }, func() { g.put(demoKDBG, p) }} {
			put()
			if k := g.found(s, demoDTB, "cpu0 cr3"); k.KDBG.VA != demoKDBG || len(k.Modules) == 0 || len(k.Processes) == 0 {
				t.Errorf("block at %v, %d modules, %d processes", k.KDBG.VA, len(k.Modules), len(k.Processes))
			}
		}
	}
}

// TestCrossCheck: the PDB's address and the search in memory may differ.
func TestCrossCheck(t *testing.T) {
	g := newGuest(t)
	plain := g.plain()
	// The block in memory is elsewhere; at the PDB's address is nothing.
	va := g.room(0x380, 0x40)
	g.put(va, plain)
	g.erase()
	k := g.found(demoSymbols{}, demoDTB, "cpu0 cr3")
	if k.KDBG.VA != va || !warned(k, fault.SymbolsDisagree) || k.SymbolsStatus != windows.SymbolsFound {
		t.Errorf("block at %v, warnings %v", k.KDBG.VA, k.Warnings)
	}
	// The block at the PDB's address leads astray, another one does not.
	g = newGuest(t)
	damaged := bytes.Clone(plain)
	copy(damaged[0x50:], le64(uint64(g.room(0x10, 0x20))))
	g.put(demoKDBG, damaged)
	va = g.room(0x380, 0x40)
	g.put(va, plain)
	k, err := g.locate(demoSymbols{})
	if err != nil {
		t.Fatal(err)
	}
	if k.KDBG.VA != demoKDBG || k.KDBG.FoundBy != windows.FoundByPDB || !warned(k, fault.SymbolsDisagree) {
		t.Errorf("block at %v found by %q, warnings %v; the PDB's is %v", k.KDBG.VA, k.KDBG.FoundBy, k.Warnings, demoKDBG)
	}
	for _, want := range []string{demoKDBG.String(), va.String()} {
		if text := k.Warnings[0].Text; !strings.Contains(text, want) {
			t.Errorf("the warning %q does not name %s", text, want)
		}
	}
	// The variables are another boot's: what they decode is no block.
	g = newGuest(t)
	g.put64(g.symbol(symWaitAlways), 12345)
	k = g.found(demoSymbols{}, demoDTB, "cpu0 cr3")
	if k.KDBG.FoundBy != windows.FoundByKnownPlaintext || !bytes.Equal(k.KDBG.Plain, plain) || !warned(k, fault.SymbolsDisagree) {
		t.Errorf("block found by %q, warnings %v", k.KDBG.FoundBy, k.Warnings)
	}
}

func TestUndecodable(t *testing.T) {
	// The version block leads to the block, but no key fits its words.
	g := newGuest(t)
	g.put(demoKDBG+0x10, bytes.Repeat([]byte{0x5a, 0x11, 0x93}, 0x300/3))
	e := g.refused(nil, fault.KDBGUndecodable)
	if len(e.Hints) < 2 {
		t.Errorf("hints %q", e.Hints)
	}
	g.refused(demoSymbols{}, fault.KDBGUndecodable)
	// Nothing leads to it any more.
	g.put(g.symbol(symVersionBlock), make([]byte, 40))
	g.refused(nil, fault.KDBGMissing)
}

// FuzzKDBG decodes and validates whatever is there: an error or a value, and
// what passes has the properties that were checked.
func FuzzKDBG(f *testing.F) {
	g := newGuest(f)
	plain := g.plain()
	f.Add(plain, uint64(0), uint64(0))
	f.Add(encode(plain, 0x123456789abcdef1, 7, g.symbol(symEncodedFlag)), uint64(0x123456789abcdef1), uint64(7))
	for _, p := range g.forgeries(plain) {
		f.Add(p, uint64(0), uint64(0))
	}
	f.Add(plain[:0x290], uint64(0), uint64(0))
	f.Add(append(bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9}, 0xff0/9+1)[:0xff0], le64(7, 7)...), uint64(1), uint64(2))
	flag := g.symbol(symEncodedFlag)
	m := g.mem
	f.Fuzz(func(t *testing.T, data []byte, never, always uint64) {
		s := paging.New(m, demoDTB, paging.X64)
		key := windows.KeyOf(never, always, uint64(flag))
		decoded := key.Decode(data)
		if len(decoded)%8 == 0 && len(decoded) > 0 {
			if again := key.Decode(encode(decoded, never, always, flag)); !bytes.Equal(again, decoded) {
				t.Fatalf("decoding does not undo encoding")
			}
		}
		for _, p := range [][]byte{data, decoded} {
			p = p[:min(len(p), windows.KDBGMaxBytes)]
			if len(p) < 0x20 {
				continue
			}
			k := windows.KDBG{VA: demoKDBG, Size: uint32(len(p)), Plain: p}
			contradictions, refused, reason := windows.Validate(s, demoBase, 0x32000, k)
			if refused != (reason != nil && contradictions == 0) && refused {
				t.Fatalf("refused without a reason")
			}
			if !refused && (k.KernBase() != demoBase || u32(p, tagAt) != tagValue) {
				t.Fatalf("accepted a block of %v", k.KernBase())
			}
			if mods, err := windows.Modules(s, k); err == nil && len(mods) > windows.MaxModules {
				t.Fatalf("%d modules", len(mods))
			}
			windows.Spots(nil, p, demoKDBG, demoBase, len(p), false)
			var page [mem.PageSize]byte
			copy(page[:], p)
			if out := windows.Blinds(nil, &page, 0x1000); len(out) > mem.PageSize {
				t.Fatalf("%d guesses in a page", len(out))
			}
		}
	})
}
