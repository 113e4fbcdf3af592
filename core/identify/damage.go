package identify

import (
	"bytes"
	"unicode/utf8"

	"coredrop/core/fault"
)

// tailMark is how the cores of QEMU 7.2 and later end: the names of sections,
// of which there is one (dump/dump.c, prepare_elf_section_hdr_string).
const tailMark = "\x00.shstrtab\x00"

// stateNote begins the record of a CPU's state in a QEMU core: length of name,
// length of descriptor, type, name (target/i386/arch_dump.c).
const stateNote = "\x05\x00\x00\x00\xb8\x01\x00\x00\x00\x00\x00\x00QEMU\x00"

// hasTail reports whether the file ends as a core of QEMU 7.2 or later does.
func (v *view) hasTail() bool {
	return v.size > int64(len(tailMark)) && v.hasAt(v.size-int64(len(tailMark)), tailMark)
}

// headless names a core whose beginning is missing, or was never written: its
// end is there.
func headless(v *view) *File {
	zeros := len(bytes.TrimLeft(v.head, "\x00")) == 0
	tail := v.hasTail()
	switch {
	case tail && zeros:
		return &File{Kind: Kind{ID: "core-head-zeros", Class: Damaged, Noun: "the end of a QEMU core whose beginning is zeros or missing", Note: "so that the copy is not whole", Code: fault.DamagedCopy}}
	case tail || bytes.Contains(v.head, []byte(stateNote)):
		return &File{Kind: Kind{ID: "core-headless", Class: Damaged, Noun: "a part of a QEMU core whose beginning is missing", Note: "as in the last part of a split or resumed copy", Code: fault.DamagedCopy,
			Steps: []fault.Step{do("is it one of several parts? join them in their order", "cat vm.core.part* > vm.core"), say("copy the file again, whole")}}}
	case zeros && len(v.head) > 0 && allZeros(v):
		f := &File{Kind: Kind{ID: "zeros", Class: Damaged, Noun: "a file of zeros wherever it was looked at", Note: "so that nothing tells what it was to be: a copy that was not finished, or raw memory", Code: fault.DamagedCopy}}
		if v.size >= 1<<20 && v.size%4096 == 0 {
			f.Code = fault.RawImage
		}
		return f
	}
	return nil
}

// zeroSamples is how many pages are looked at: most of a guest's memory can be
// zeros.
const zeroSamples = 1024

// allZeros samples the file.
func allZeros(v *view) bool {
	if v.more == nil || v.size < 0 {
		return v.size == int64(len(v.head))
	}
	p := make([]byte, min(4096, v.size))
	for i := range int64(zeroSamples) {
		off := (v.size - int64(len(p))) / (zeroSamples - 1) * i
		if !v.read(p, off) || len(bytes.TrimLeft(p, "\x00")) > 0 {
			return false
		}
	}
	return true
}

// mangled names a binary file whose bytes were taken for characters and written
// as UTF-8: no machine's registers and addresses are valid UTF-8 all along.
func mangled(v *view) *File {
	const replacement, enough = "\xef\xbf\xbd", 16
	if bytes.IndexByte(v.head, 0) < 0 {
		return nil // a text
	}
	high := 0
	for _, b := range v.head {
		if b >= 0x80 {
			high++
		}
	}
	whole := v.head
	for cut := 0; cut < utf8.UTFMax && len(whole) > 0 && !utf8.Valid(whole); cut++ {
		whole = whole[:len(whole)-1] // the last character may be cut
	}
	sure := bytes.Count(v.head, []byte(replacement)) >= enough || bytes.HasPrefix(v.head, []byte("\x7fELF")) && high >= 3*enough
	if !sure || !utf8.Valid(whole) {
		return nil
	}
	return &File{Kind: Kind{ID: "binary-utf8", Class: Damaged, Noun: "a binary file that was rewritten as UTF-8 text", Note: "which cannot be undone", Code: fault.DamagedCopy,
		Steps: []fault.Step{say("copy it again as bytes: through scp, curl -o or a shell's >, not through an editor or a terminal")}}}
}

// diskOrRaw is the last resort: no signature at the beginning.
func diskOrRaw(v *view) *File {
	if len(v.head) >= 512 && v.head[510] == 0x55 && v.head[511] == 0xaa && partitions(v.head[446:510]) {
		return &File{Kind: disk("mbr", "a raw disk image")}
	}
	if v.size >= 1<<20 && v.size%4096 == 0 {
		return &File{Kind: Kind{ID: "raw", Class: Core, Noun: "a file without a signature", Note: "perhaps raw memory, which has no CPU state", Code: fault.RawImage, Steps: noCPU}}
	}
	if v.hasAt(v.size-512, "conectix") {
		return &File{Kind: disk("vhd", "a VHD disk image of fixed size")}
	}
	return nil
}

// partitions reports whether the four entries of a partition table can be: at
// least one is used, and every status byte is 0 or 0x80.
func partitions(table []byte) bool {
	used := false
	for i := 0; i < 64; i += 16 {
		if table[i]&0x7f != 0 {
			return false
		}
		used = used || table[i+4] != 0 && u32(table[i+12:]) != 0
	}
	return used
}
