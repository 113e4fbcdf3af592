package dump

import (
	"bytes"
	"io"
	"path/filepath"
	"reflect"
	"slices"
	"sort"
	"strings"
	"testing"

	"coredrop/core/mem"
	"coredrop/server/corpustest"
)

// fields lists a form's fields by name.
func (f *Form) fields() map[string]Field {
	list := map[string]Field{}
	v := reflect.ValueOf(f).Elem()
	for i := range v.NumField() {
		switch x := v.Field(i).Interface().(type) {
		case Field:
			list[v.Type().Field(i).Name] = x
		case [4]Field:
			for n, p := range x {
				list[v.Type().Field(i).Name+string('1'+rune(n))] = p
			}
		}
	}
	return list
}

// TestFields: every field lies inside its header and over no other, but for those
// of the exception record, which lie inside it.
func TestFields(t *testing.T) {
	for _, f := range []*Form{Form64, Form32} {
		fields := f.fields()
		var names []string
		for name, field := range fields {
			if field.Bytes == 0 {
				continue
			}
			if inside := strings.HasPrefix(name, "Exception") && name != "Exception"; inside {
				if field.Off < f.Exception.Off || field.End() > f.Exception.End() {
					t.Errorf("%s: %s is outside the exception record", f.Signature, name)
				}
				continue
			}
			names = append(names, name)
		}
		sort.Slice(names, func(i, j int) bool { return fields[names[i]].Off < fields[names[j]].Off })
		end := len(f.Signature)
		for _, name := range names {
			if fields[name].Off < end {
				t.Errorf("%s: %s at %#x lies over what ends at %#x", f.Signature, name, fields[name].Off, end)
			}
			end = fields[name].End()
		}
		if end > f.Bytes {
			t.Errorf("%s: the last field ends at %#x", f.Signature, end)
		}
		if last, _ := f.run(f.MaxRuns - 1); last.Off+f.RunBytes > f.NumberOfRuns.Off+700 || last.Off+2*f.RunBytes <= f.NumberOfRuns.Off+700 {
			t.Errorf("%s: %d runs do not fill the buffer of 700 bytes", f.Signature, f.MaxRuns)
		}
	}
}

// TestTriageFields: the same of the block behind a triage dump's header.
func TestTriageFields(t *testing.T) {
	var list []Field
	v := reflect.ValueOf(Triage64).Elem()
	for i := range v.NumField() {
		if f, ok := v.Field(i).Interface().(Field); ok && !strings.HasPrefix(v.Type().Field(i).Name, "Block") {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b Field) int { return a.Off - b.Off })
	end := 4 // the service pack's build number
	for _, f := range list {
		if f.Off < end || f.Off%f.Bytes != 0 {
			t.Errorf("%+v lies over what ends at %#x", f, end)
		}
		end = f.End()
	}
	if end != Triage64.Bytes || len(list) != 21 {
		t.Errorf("%d fields, the last ends at %#x", len(list), end)
	}
}

// madeTriage is a triage dump of two blocks, with others' data behind it.
func madeTriage() []byte {
	h := Form64.Blank(Fill)
	Form64.DumpType.Put(h, TypeTriage)
	f := Triage64
	p := make([]byte, f.Bytes+2*f.BlockBytes+0x30+len(TriageValid))
	at := uint64(len(h) + f.Bytes)
	f.SizeOfDump.Put(p, uint64(len(h)+len(p)))
	f.ValidOffset.Put(p, uint64(len(h)+len(p)-len(TriageValid)))
	f.DataBlocksOffset.Put(p, at)
	f.DataBlocksCount.Put(p, 2)
	for i := range 2 {
		b := p[f.Bytes+i*f.BlockBytes:]
		f.BlockAddress.Put(b, 0xfffff80000000000+uint64(0x10*i))
		f.BlockOffset.Put(b, at+uint64(2*f.BlockBytes+0x10*i))
		f.BlockOf.Put(b, 0x20)
	}
	for i := range 0x30 {
		p[f.Bytes+2*f.BlockBytes+i] = byte(i)
	}
	copy(p[len(p)-len(TriageValid):], TriageValid)
	return append(append(h, p...), "BlobBlob"...)
}

func TestOpenTriage(t *testing.T) {
	p := madeTriage()
	d, err := Open(bytes.NewReader(p), int64(len(p)))
	if err != nil {
		t.Fatal(err)
	}
	want := []Block{{0xfffff80000000000, 0x20a0, 0x20}, {0xfffff80000000010, 0x20b0, 0x20}}
	if !slices.Equal(d.Blocks, want) || d.Type != TypeTriage || len(d.Extents) != 0 {
		t.Errorf("%+v", d.Blocks)
	}
	if e := Flat(d.Blocks); len(e) != 2 || e[1] != (mem.Extent{Start: 0xfffff80000000010, Bytes: 0x20, Offset: 0x20b0}) {
		t.Errorf("%+v", e)
	}
	for n := range len(p) - len("BlobBlob") {
		if _, err := Open(bytes.NewReader(p[:n]), int64(n)); err == nil {
			t.Fatalf("%#x bytes are taken for a dump", n)
		}
	}
	put := func(off int, v ...byte) func([]byte) { return func(p []byte) { copy(p[off:], v) } }
	for name, damage := range map[string]func([]byte){
		"32-bit":             put(0, []byte("PAGEDUMP")...),
		"end":                put(0x2004, 0xff, 0xff),
		"end inside":         put(0x2004, 0x40, 0x20),
		"mark elsewhere":     put(0x2008, 0x80, 0x20),
		"mark in the header": put(0x2008, 0, 0x10),
		"count":              put(0x207c, 0xff, 0xff, 0xff, 0xff),
		"list outside":       put(0x2078, 0xff, 0xff, 0xff, 0xff),
		"list at the end":    put(0x2078, 0xd0, 0x20),
		"block outside":      put(0x2088, 0xff, 0xff, 0xff, 0xff),
		"block too long":     put(0x208c, 0xff, 0xff, 0xff, 0xff),
	} {
		p := madeTriage()
		damage(p)
		if name == "32-bit" {
			copy(p[Form32.DumpType.Off:], []byte{TypeTriage, 0, 0, 0})
		}
		if d, err := Open(bytes.NewReader(p), int64(len(p))); err == nil || d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestPutAndGet(t *testing.T) {
	for _, f := range []*Form{Form64, Form32} {
		for name, field := range f.fields() {
			h := f.Blank(Fill)
			before := bytes.Clone(h)
			const v = 0x8877665544332211
			field.Put(h, v)
			want := uint64(v)
			if field.Bytes < 8 {
				want &= 1<<(8*field.Bytes) - 1
			}
			if got := field.Get(h); field.Bytes <= 8 && got != want {
				t.Errorf("%s %s: %#x", f.Signature, name, got)
			}
			if !bytes.Equal(h[:field.Off], before[:field.Off]) || !bytes.Equal(h[field.End():], before[field.End():]) {
				t.Errorf("%s %s: what is beside it changed", f.Signature, name)
			}
		}
		if FormOf(f.Blank("")) != f || FormOf(f.Blank(Fill)) != f || FormOf(f.Blank("")[:f.Bytes-1]) != nil {
			t.Errorf("%s is not told", f.Signature)
		}
	}
}

func TestRuns(t *testing.T) {
	for _, f := range []*Form{Form64, Form32} {
		h := f.Blank(Fill)
		var runs []mem.Run
		for i := range f.MaxRuns {
			runs = append(runs, mem.Run{Start: mem.PA(i) << 24, Pages: uint64(i + 1)})
		}
		f.PutRuns(h, runs)
		if got, err := f.Runs(h); err != nil || !slices.Equal(got, runs) {
			t.Errorf("%s: %v, %v", f.Signature, got, err)
		}
		for name, damage := range map[string]func(h []byte){
			"0 runs":                 func(h []byte) { f.NumberOfRuns.Put(h, 0) },
			"lists 1162297680 runs":  func(h []byte) { copy(f.NumberOfRuns.In(h), Fill) },
			"the header says 1":      func(h []byte) { f.NumberOfPages.Put(h, 1) },
			"run 1 is page":          func(h []byte) { _, n := f.run(1); n.Put(h, 0) },
			"run 2 is page 0x2000 a": func(h []byte) { _, n := f.run(2); n.Put(h, 1<<53) },
		} {
			p := bytes.Clone(h)
			damage(p)
			if f == Form32 && strings.HasPrefix(name, "run 2") {
				continue // does not fit the field
			}
			if _, err := f.Runs(p); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v, want %q", f.Signature, err, name)
			}
		}
	}
}

func TestBitmapBits(t *testing.T) {
	runs := []mem.Run{{Start: 0x3000, Pages: 2}, {Start: 9 << 12, Pages: 70}, {Start: 1 << 35, Pages: 20 << 20}, {Start: 1 << 38, Pages: 1}}
	s := Form64.BitmapOf(runs)
	file := Form64.Blank("")
	Form64.PutBitmap(BitmapOfAll, runs, func(p []byte) { file = append(file, p...) })
	if int64(len(file)) != s.FirstPage || s.FirstPage%4096 != 0 || s.Bits%64 != 0 {
		t.Fatalf("%#x bytes, %+v", len(file), s)
	}
	bitmap := file[0x2038:][:s.Bits/8]
	set, next := uint64(0), 0
	for pfn := uint64(0); pfn < s.Bits; pfn++ {
		for next < len(runs) && pfn >= uint64(runs[next].End())/4096 {
			next++
		}
		want := next < len(runs) && pfn >= uint64(runs[next].Start)/4096
		got := bitmap[pfn/8]>>(pfn%8)&1 == 1
		if got != want {
			t.Fatalf("page %#x: %v, want %v", pfn, got, want)
		}
		if got {
			set++
		}
	}
	if set != s.Set {
		t.Errorf("%d set, %+v", set, s)
	}
}

// made is a dump of three pages, each filled with its number.
func made(f *Form, kind uint64) []byte {
	runs := []mem.Run{{Start: 0x5000, Pages: 2}, {Start: 0x40000, Pages: 1}}
	h := f.Blank(Fill)
	f.DumpType.Put(h, kind)
	if kind == TypeFull {
		f.PutRuns(h, runs)
	} else {
		f.PutBitmap(BitmapOfKernel, runs, func(p []byte) { h = append(h, p...) })
	}
	for _, page := range []byte{5, 6, 0x40} {
		h = append(h, bytes.Repeat([]byte{page}, mem.PageSize)...)
	}
	return h
}

func TestOpen(t *testing.T) {
	for _, f := range []*Form{Form64, Form32} {
		for _, kind := range []uint64{TypeFull, TypeBitmap, TypeBitmapKernel} {
			p := made(f, kind)
			d, err := Open(bytes.NewReader(p), int64(len(p)))
			if err != nil {
				t.Fatal(f.Signature, kind, err)
			}
			if d.Form != f || d.Type != uint32(kind) || d.Pages != 3 || len(d.Extents) != 2 {
				t.Errorf("%s %d: %+v", f.Signature, kind, d)
			}
			for _, e := range d.Extents {
				for pa := e.Start; pa < e.End(); pa += mem.PageSize {
					if got := p[e.Offset+int64(pa-e.Start)]; mem.PA(got)*mem.PageSize != pa {
						t.Errorf("%s %d: at %v lies page %#x", f.Signature, kind, pa, got)
					}
				}
			}
			for n := range len(p) {
				if n > 0x2100 && n < len(p)-0x1100 && n%61 != 0 {
					continue
				}
				if _, err := Open(bytes.NewReader(p[:n]), int64(n)); err == nil {
					t.Fatalf("%s %d: %d bytes are taken for a dump", f.Signature, kind, n)
				}
			}
			if _, err := Open(bytes.NewReader(append(p, 0)), int64(len(p)+1)); err == nil {
				t.Errorf("%s %d: a byte too many is not seen", f.Signature, kind)
			}
			if _, err := Open(bytes.NewReader(p), int64(len(p)+10)); err == nil {
				t.Errorf("%s %d: a file that became shorter is not seen", f.Signature, kind)
			}
		}
	}
	p := made(Form64, 3)
	if _, err := Open(bytes.NewReader(p), int64(len(p))); err == nil || err == io.EOF {
		t.Error(err)
	}
}

// TestQEMUsDump: the 32-bit form on a dump that QEMU wrote.
func TestQEMUsDump(t *testing.T) {
	f := corpustest.File(t, filepath.Join(corpustest.Dir(t, "arch"), "arch", "x86-vmcoreinfo", "qemu-win.dmp.zst"))
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	h := d.Header
	if d.Form != Form32 || d.Type != TypeFull || d.Pages*mem.PageSize > 48<<20 || d.Pages*mem.PageSize < 40<<20 {
		t.Errorf("%s, type %d, %d pages", d.Form.Signature, d.Type, d.Pages)
	}
	for name, c := range map[string][2]uint64{
		"machine": {Form32.MachineImageType.Get(h), 0x14c}, "processors": {Form32.NumberProcessors.Get(h), 2},
		"PAE": {Form32.PaeEnabled.Get(h), 1}, "root": {Form32.DirectoryTableBase.Get(h), 0x185000},
		"space": {Form32.RequiredDumpSpace.Get(h), uint64(info.Size())}, "bug check": {Form32.BugCheckCode.Get(h), 0x161},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %#x, want %#x", name, c[0], c[1])
		}
	}
}

// FuzzOpen changes a dump anywhere: there are extents inside the file, or an
// error.
func FuzzOpen(f *testing.F) {
	f.Add(uint8(0), uint32(0x88), []byte{2}, uint32(0))
	f.Add(uint8(1), uint32(0x2020), []byte{0, 0x30}, uint32(1))
	f.Add(uint8(2), uint32(0x6c), []byte{1, 2, 3, 4}, uint32(4096))
	f.Add(uint8(3), uint32(0x1030), []byte{0x80}, uint32(0))
	f.Add(uint8(4), uint32(0x2088), []byte{0x80}, uint32(8))
	f.Fuzz(func(t *testing.T, which uint8, off uint32, with []byte, cut uint32) {
		form, kind := Form64, uint64(TypeFull)
		if which&2 != 0 {
			form = Form32
		}
		if which&1 != 0 {
			kind = TypeBitmap
		}
		p := made(form, kind)
		if which&4 != 0 {
			p = madeTriage()
		}
		copy(p[int(off)%len(p):], with)
		p = p[:len(p)-int(cut)%len(p)]
		d, err := Open(bytes.NewReader(p), int64(len(p)))
		if err != nil {
			return
		}
		for _, b := range d.Blocks {
			if b.Offset < 0 || b.Offset+int64(b.Bytes) > int64(len(p)) {
				t.Fatalf("%+v in %d bytes", b, len(p))
			}
		}
		for _, e := range d.Extents {
			if e.Bytes == 0 || e.Offset < 0 || uint64(e.Offset)+e.Bytes > uint64(len(p)) {
				t.Fatalf("%+v in %d bytes", e, len(p))
			}
		}
	})
}
