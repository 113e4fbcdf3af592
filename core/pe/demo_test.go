package pe_test

import (
	"bytes"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/source"
)

// What the demo's recipe says of its kernel: where it is, through which tables,
// and what its record names.
const (
	demoKernel = mem.VA(0xfffff80312a00000)
	demoCR3    = 0x1ad000
	demoLoad   = 0x790    // file offset of the only load
	demoStart  = 0x100000 // its address
	demoBytes  = 0xc00000
)

func TestDemoKernel(t *testing.T) {
	core, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	phys, err := mem.NewFile(source.Source{ReaderAt: bytes.NewReader(core), Size: int64(len(core))}, []mem.Extent{{Start: demoStart, Bytes: demoBytes, Offset: demoLoad}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	img, err := pe.Read(paging.New(phys, demoCR3, paging.X64), demoKernel)
	if err != nil {
		t.Fatal(err)
	}
	if img.CodeView == nil || img.CodeView.Name+"/"+img.CodeView.Key()+"/"+img.CodeView.Name != demo.PDBKey {
		t.Errorf("record %+v, %v", img.CodeView, img.CodeViewErr)
	}
	if img.Machine != pe.MachineAMD64 || img.PointerBytes() != 8 || !pe.KernelPDBName(img.CodeView.Name) {
		t.Errorf("%+v", img)
	}
	if _, ok := img.Section(".text"); !ok {
		t.Errorf("sections %+v", img.Sections)
	}
	t.Logf("%+v", img)
}
