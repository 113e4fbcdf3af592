package linux

import (
	"context"
	"fmt"
	"io"
	"testing"

	"coredrop/core/linux/linuxtest"
	"coredrop/core/mem"
)

func FuzzVMCoreInfo(f *testing.F) {
	f.Add([]byte("OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(_stext)=ffffffff81000000\nNUMBER(phys_base)=-4096\nOFFSET(a.b)=8\n"))
	f.Add([]byte("OSRELEASE=\n=\n\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		v, err := ParseVMCoreInfo(p)
		if err != nil {
			return
		}
		if v.Release() == "" || v.Keys() > maxInfoKeys {
			t.Errorf("%d keys, release %q", v.Keys(), v.Release())
		}
		if n := v.Offset("a.b", 1); n > maxStructure {
			t.Errorf("offset %d", n)
		}
	})
}

func FuzzKallsyms(f *testing.F) {
	var symbols []linuxtest.Symbol
	for i := range 70 {
		symbols = append(symbols, linuxtest.Symbol{Name: fmt.Sprintf("__tsan_symbol_%d", i), Kind: 'T', Addr: kernelMap + uint64(i)*16})
	}
	for _, order := range []linuxtest.Order{linuxtest.OrderFirst, linuxtest.OrderSeqs, linuxtest.OrderLast} {
		b, _ := linuxtest.Table{Order: order, Base: kernelMap, Plain: order == linuxtest.OrderLast, Lengths: 2}.Encode(symbols)
		f.Add(b, uint64(kernelMap))
	}
	f.Fuzz(func(t *testing.T, window []byte, known uint64) {
		k, ok := findKallsyms(window, kernelMap)
		if !ok {
			return
		}
		s, err := k.decode(known)
		if err != nil {
			return
		}
		if err := s.WriteListing(io.Discard); err != nil {
			t.Fatal(err)
		}
		s.text = span{0, ^uint64(0)}
		for i := range s.Len() {
			a := s.Symbol(i).Addr
			if a == ^uint64(0) {
				continue
			}
			at, ok := s.At(a)
			if !ok || at.Addr != a {
				t.Fatalf("symbol %d at %#x resolves to %+v %v", i, a, at, ok)
			}
		}
	})
}

func FuzzRing(f *testing.F) {
	const at = 0xffffffff82000000
	f.Add(linuxtest.Ring(at, 2, 6, 1<<62-2, ^uint64(0)-0x1f, []linuxtest.Record{{Text: "one", Seq: 1}, {}, {Text: "three\nfour", Lost: true}}))
	f.Add(linuxtest.Ring(at, 4, 8, 0xfffffff0, 0, []linuxtest.Record{{Text: "a", Level: 4, Caller: 1 << 31}}))
	f.Fuzz(func(t *testing.T, p []byte) {
		r, err := openRing(view{flat{at, p}}, at, nil)
		if err != nil {
			return
		}
		if r.descBits > 12 {
			return // as long as it says, and bounded, but slow here
		}
		n := 0
		err = r.each(context.Background(), func(rec Record) bool {
			n++
			if len(rec.Text) > len(p) || len(rec.Text) > 0xffff {
				t.Errorf("a text of %d bytes", len(rec.Text))
			}
			_ = rec.Dmesg()
			return true
		})
		if err != nil || n > 1<<r.descBits {
			t.Errorf("%d records: %v", n, err)
		}
	})
}

func FuzzORC(f *testing.F) {
	const at = 0xffffffff81000000
	seed := make([]byte, 256)
	for i := range 16 {
		copy(seed[4*i:], []byte{byte(4*i + 1), 0, 0, 0})
		copy(seed[64+6*i:], orcBytes(8, -16, orcSP, orcPrevSP, 0))
	}
	f.Add(seed, uint16(16), uint64(at+20), uint64(at+128), uint64(at+136))
	f.Fuzz(func(t *testing.T, p []byte, count uint16, ip, sp, bp uint64) {
		v := view{flat{at, p}}
		table, ok := openOrc(v, at, at+4*uint64(count), uint64(count), nil)
		k := &Kernel{view: v, image: []span{{at, at + uint64(len(p))}}, Text: at, orc: &orcTables{kernel: table}}
		if ok {
			if _, ok := table.addr(uint32(count) - 1); !ok {
				t.Error("the last address is not there")
			}
		}
		w := &walker{k: k, ip: ip, sp: sp, bp: bp, signal: true}
		steps := 0
		for steps < MaxFrames && w.step() {
			steps++
		}
		_ = mem.VA(w.ip)
	})
}

// FuzzModules reads a struct module, its symbols and unwind tables from bytes that
// may be anything.
func FuzzModules(f *testing.F) {
	const at = 0xffffffffa0000000
	for _, form := range linuxtest.ModuleForms() {
		g := linuxtest.New(linuxtest.Config{Release: "7.2.0", DataSymbols: true})
		m := g.Modules(form, [6]byte(orcBytes(8, 0, orcSP, orcUndefined, 0)), "a_module")[0]
		g.Machine()
		image := g.Memory()[linuxtest.ModulesPA:][:0x4000]
		f.Add(image, uint16(m.Node-m.Text))
	}
	f.Fuzz(func(t *testing.T, p []byte, node uint16) {
		// Where the guest has its modules, and where this memory is.
		k := &Kernel{view: view{flat{at, p}}, image: []span{{kernelMap, kernelMap + 1}}, Text: kernelMap}
		for _, base := range []uint64{at, linuxtest.ModulesVA} {
			k.view = view{flat{base, p}}
			nodes := []uint64{base + uint64(node)}
			m, ok := k.readModule(nodes[0], k.moduleNames(nodes))
			if !ok {
				continue
			}
			if m.Name == "" || len(m.Name) >= modNameSize || len(m.memory) > maxModuleAreas || m.orcCount > maxModuleOrc {
				t.Errorf("%+v", m)
			}
			k.Modules = []Module{m}
			for _, s := range m.memory {
				if sym, module, ok := k.Resolve(s.start + 8); ok && (module != m.Name || sym.Addr > s.start+8) {
					t.Errorf("%#x is %+v in %q", s.start+8, sym, module)
				}
				if table := k.orcFor(s.start); table != nil {
					_, _ = table.find(s.start + 8)
				}
			}
			_ = k.ModuleBuildID(&k.Modules[0])
		}
	})
}
