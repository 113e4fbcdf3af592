package linux

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/linux/linuxtest"
)

// TestMixedLayouts: no release has all of these together, and none is asked for:
// each form of symbol table with each of unwind tables, modules and log.
func TestMixedLayouts(t *testing.T) {
	n := 0
	for _, form := range tableForms() {
		for format := range 4 {
			modules := linuxtest.ModuleForms()[n%len(linuxtest.ModuleForms())]
			form.Release, form.DataSymbols, form.NoInfo, form.InfoBytes = "7.2.0", true, n%2 == 0, []int{0, linuxtest.InfoBytesContext}[n/2%2]
			n++
			name := fmt.Sprintf("%+v, types3 %v, numbering %d, %s", form, format&1 != 0, format>>1, modules.Name)
			flags := byte(0)
			if format&1 != 0 {
				flags = 2
			}
			entry := [6]byte(orcBytesIn(format>>1, 16, 0, orcSP, orcUndefined, flags))
			g := linuxtest.New(form)
			if !form.NoInfo && form.InfoBytes != 0 {
				g.Key("SIZE(printk_info)=%d", form.InfoBytes)
			}
			outer := g.Func("outer", make([]byte, 64))
			mod := g.Modules(modules, entry, "a_module")[0]
			g.Tasks("init", "kthreadd", "worker")
			var records []linuxtest.Record
			for i := range 10 {
				records = append(records, linuxtest.Record{Seq: uint64(i), Time: uint64(i), Text: "line"})
			}
			g.Log(records)
			const count = 80
			ip, orc := g.Data("__start_orc_unwind_ip", 4*count), g.Data("__start_orc_unwind", 6*count)
			g.Symbol("__stop_orc_unwind_ip", 'r', ip+4*count)
			for i := range uint64(count) {
				at := ip + 4*i
				g.Poke(at, binary.LittleEndian.AppendUint32(nil, uint32(outer+i-at)))
				g.Poke(orc+6*i, entry[:])
			}
			stack := g.Heap(4096)
			g.Poke64(stack+8, outer+8) // the module's function has a frame of 16 bytes
			g.CPU(cpu.Values{cpu.RIP: mod.Function + 8, cpu.RSP: stack})
			k, err := Locate(context.Background(), g.Machine(), Options{})
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			var places []string
			for _, p := range k.State().CPUs[0].Stack {
				places = append(places, p.Symbol.Name+"|"+p.Module)
			}
			if len(places) != 2 || places[0] != "a_module_work|a_module" || places[1] != "outer|" {
				t.Errorf("%s: stack %q", name, places)
			}
			log, err := k.ReadLog(context.Background())
			if tasks, whole, _ := k.Tasks(); err != nil || log.Records != 10 || len(tasks) != 3 || !whole {
				t.Errorf("%s: %d records, %v, %d tasks", name, log.Records, err, len(tasks))
			}
		}
	}
	if n < 100 {
		t.Errorf("%d kernels", n)
	}
}
