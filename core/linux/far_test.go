package linux

import (
	"context"
	"encoding/binary"
	"fmt"
	"reflect"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/linux/linuxtest"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/source/remotetest"
)

// pagesApart is a file in which each page of a memory begins a block of its own.
type pagesApart []byte

func (m pagesApart) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	for page := off / remotetest.Block; page*remotetest.Block < off+int64(len(p)); page++ {
		from := page*remotetest.Block - off
		data := m[page*mem.PageSize:][:mem.PageSize]
		if from < 0 {
			data, from = data[min(-from, mem.PageSize):], 0
		}
		copy(p[from:], data)
	}
	return len(p), nil
}

// TestFarCPUs: where each read is a journey, what the CPUs do is read of all of them
// together.
func TestFarCPUs(t *testing.T) {
	const cpus = 32
	g := linuxtest.New(linuxtest.Config{Release: "6.1.0", Note: true, Keys: true, DataSymbols: true})
	tasks := g.Tasks("init", "kthreadd")
	for i := range cpus {
		stack := g.Heap(0x1000)
		at := g.CPU(cpu.Values{cpu.RIP: 0xffffffff81000010, cpu.RSP: stack + 0x800})
		task := g.Heap(linuxtest.TaskBytes)
		g.Poke(task+linuxtest.TaskComm, fmt.Appendf(nil, "swapper/%d", i))
		if i < len(tasks) {
			task = tasks[i]
		}
		g.Poke(at+0x40, binary.LittleEndian.AppendUint64(nil, task))
	}
	m := g.Machine()
	near, err := Locate(context.Background(), m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := near.State()

	ram := pagesApart(g.Memory())
	var list []mem.Extent
	for off := 0; off < len(ram); off += mem.PageSize {
		list = append(list, mem.Extent{Start: mem.PA(off), Bytes: mem.PageSize, Offset: int64(off) / mem.PageSize * remotetest.Block})
	}
	s, count := remotetest.Of(source.Source{ReaderAt: ram, Size: int64(len(ram)) / mem.PageSize * remotetest.Block, Name: "core"})
	if m.Mem, err = mem.NewFile(s, list, 0); err != nil {
		t.Fatal(err)
	}
	far, err := Locate(context.Background(), m, Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := *count
	got := far.State()
	spent := remotetest.Remote{Rounds: count.Rounds - before.Rounds, Requests: count.Requests - before.Requests}
	spent.Within(t, "32 CPUs", 13, 100)
	if !reflect.DeepEqual(got, want) || !got.CPUs[0].Known || got.CPUs[0].Task.Comm != "init" || !got.CPUs[cpus-1].Known {
		t.Errorf("%+v\nof a file at hand %+v", got, want)
	}
}
