package pe_test

import (
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/pe"
)

func FuzzRead(f *testing.F) {
	add := func(i image) {
		f.Add(i.build().data, uint16(0), false)
		f.Add(i.build().data[:4096], uint16(0), true)
	}
	add(standard())
	x86 := standard()
	x86.pe32, x86.machine = true, 0x14c
	add(x86)
	nb10 := standard()
	nb10.record = append([]byte("NB10"), nb10.record[4:]...)
	add(nb10)
	long := standard()
	long.record, long.entries[0].size = rsds(1, strings.Repeat("n", 3000)), 0xffffffff
	add(long)
	f.Add(standard().build().data[:0x400], uint16(4), false)
	f.Add([]byte("MZ"), uint16(0), true)
	f.Fuzz(func(t *testing.T, data []byte, missing uint16, top bool) {
		base := base
		if top { // the last page of the address space, where offsets wrap around
			base = ^mem.VA(0) - 4095
		}
		m := &memory{base: base, data: data, missing: map[int]bool{}}
		for i := range 16 {
			m.missing[i] = missing>>i&1 != 0
		}
		img, err := pe.Read(m, base)
		if (img == nil) == (err == nil) {
			t.Fatalf("%v, %v", img, err)
		}
		if m.below {
			t.Fatal("read before the image")
		}
		if m.largest > 4096 || m.bytes > 64<<10 {
			t.Fatalf("%d bytes read, the largest %d", m.bytes, m.largest)
		}
		if img == nil {
			return
		}
		if (img.CodeView == nil) != fault.Is(img.CodeViewErr, fault.NoCodeView) {
			t.Fatalf("record %v, %v", img.CodeView, img.CodeViewErr)
		}
		if cv := img.CodeView; cv != nil && (cv.Name == "" || len(cv.Name) > 1024 || strings.ContainsAny(cv.Name, "\\/\x00") || len(cv.Key()) < 33) {
			t.Fatalf("record %+v", cv)
		}
		if len(img.Sections) > 96 || len(img.Exports) > 128 {
			t.Fatalf("%d sections, export name of %d", len(img.Sections), len(img.Exports))
		}
	})
}
