package linux

import (
	"context"
	"testing"

	"coredrop/core/linux/linuxtest"
)

// TestModuleForms reads the modules of each form of struct module: areas, symbols,
// and of several tables the one that is theirs.
func TestModuleForms(t *testing.T) {
	for _, form := range linuxtest.ModuleForms() {
		g := smallGuest(linuxtest.Config{Release: "7.2.0", DataSymbols: true})
		unwind := [6]byte(orcBytes(8, 0, orcSP, orcUndefined, 0))
		want := g.Modules(form, unwind, "first_mod", "second")
		ip := g.Data("__start_orc_unwind_ip", 4*64)
		orc := g.Data("__start_orc_unwind", 6*64)
		for i := range uint64(64) {
			at := ip + 4*i
			g.Poke(at, appendRelative(nil, linkText+i, at))
			g.Poke(orc+6*i, unwind[:])
		}
		m := g.Machine()
		k, err := Locate(context.Background(), m, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(k.Modules) != len(want) {
			t.Errorf("%s: modules %+v", form.Name, k.Modules)
			continue
		}
		for i, w := range want {
			m := &k.Modules[i]
			if m.Name != w.Name || m.Base != w.Text || m.Size != 0x1000 || len(m.memory) != 3 {
				t.Errorf("%s: module %+v, want %+v", form.Name, m, w)
			}
			if s, module, ok := k.Resolve(w.Function + 5); !ok || module != w.Name || s.Name != w.Name+"_work" || s.Addr != w.Function {
				t.Errorf("%s: %+v in %q %v", form.Name, s, module, ok)
			}
			if table := k.orcFor(w.Function); table == nil || table.count != linuxtest.ModuleOrcs {
				t.Errorf("%s: unwind table %+v", form.Name, table)
			}
		}
	}
}

func appendRelative(p []byte, target, at uint64) []byte {
	d := uint32(target - at)
	return append(p, byte(d), byte(d>>8), byte(d>>16), byte(d>>24))
}

// TestModulesByCode: without data symbols the list's head is what code refers to.
func TestModulesByCode(t *testing.T) {
	g := linuxtest.New(linuxtest.Config{Release: "6.12.0"})
	mods := g.Modules(linuxtest.ModuleForms()[1], [6]byte{}, "only")
	// mov modules, %rax as an absolute operand
	head := mods[0].Node
	next := g.Peek64(head)
	g.Func("find_module_all", append([]byte{0x48, 0x8b, 0x04, 0x25}, appendRelative(nil, next, 0)...))
	g.CPU(nil)
	k, err := Locate(context.Background(), g.Machine(), Options{})
	if err != nil || len(k.Modules) != 1 || k.Modules[0].Name != "only" {
		t.Errorf("%v %+v", err, k)
	}
}
