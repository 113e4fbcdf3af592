package synth

import (
	"coredrop/core/machine"
	"coredrop/core/mem"
)

// Load is one PT_LOAD and its bytes.
type Load struct {
	PA   mem.PA
	VA   uint64 // p_vaddr
	Data []byte

	// FileSize and MemSize replace p_filesz and p_memsz (len(Data)) when not 0.
	FileSize, MemSize uint64
	// NotInFile writes p_offset all ones and p_filesz 0; MemSize says how much.
	NotInFile bool
	// Share is 1 + the index of an earlier load whose bytes this one uses too,
	// from Skip on, as paging=true cores do; Data is then not written, only its
	// length counts.
	Share, Skip int
	// Offset replaces p_offset when not 0.
	Offset uint64
}

// ELF describes a core file. The zero value of each field is what QEMU does.
type ELF struct {
	Loads []Load
	CPUs  []machine.CPU
	Guest []machine.Note

	OldState      bool           // QEMU notes of 0x1b0 bytes, without KERNEL_GS_BASE
	StateSize     map[int]uint32 // the size field of a CPU's QEMU note, when it is to lie
	NoState       bool           // no QEMU notes
	NoStatus      bool           // no NT_PRSTATUS
	RawNotes      []byte         // replaces all notes
	NoNote        bool           // no PT_NOTE at all
	NotePosition  int            // where among the program headers the PT_NOTE is
	SplitNotes    bool           // a PT_NOTE for each note, from NotePosition on
	Nulls         int            // PT_NULL headers behind the others
	HeadersBehind bool           // program headers after notes and memory
	HeaderStride  int            // e_phentsize; 0: 56
	Extended      bool           // PN_XNUM even when the count fits
	Gap           int            // bytes between notes and memory: 1 makes every p_offset odd
	Truncate      int            // bytes cut off the end

	Class, IdentVersion byte   // 0: 2 and 1
	ZeroVersion         bool   // e_ident's version byte is 0, as VirtualBox has it
	Type, Machine       uint16 // 0: 4 and 62
}

const (
	ehdrBytes   = 64
	phdrBytes   = 56
	shdrBytes   = 64
	notInFile   = 1<<64 - 1
	countInShdr = 0xffff
)

// WriteELF makes the file.
func WriteELF(e ELF) []byte {
	notes := e.notes()
	if e.RawNotes != nil {
		notes = [][]byte{e.RawNotes}
	}
	if !e.SplitNotes {
		var all []byte
		for _, n := range notes {
			all = append(all, n...)
		}
		notes = [][]byte{all}
	}
	if e.NoNote {
		notes = nil
	}
	stride := max(e.HeaderStride, phdrBytes)
	count := len(notes) + len(e.Loads) + e.Nulls
	extended := e.Extended || count >= countInShdr

	// The file: ELF header, one or two section headers, then the three parts.
	const sections = 2
	at := ehdrBytes + sections*shdrBytes
	phoff := at
	if !e.HeadersBehind {
		at += count * stride
	}
	noteAt := make([]int, len(notes))
	for i, n := range notes {
		noteAt[i] = at
		at += len(n)
	}
	at += e.Gap
	loadAt := make([]int, len(e.Loads))
	for i, l := range e.Loads {
		if l.Share > 0 {
			loadAt[i] = loadAt[l.Share-1] + l.Skip
			continue
		}
		loadAt[i] = at
		at += len(l.Data)
	}
	if e.HeadersBehind {
		phoff = at
		at += count * stride
	}

	f := make(image, at)
	f.text(0, "\x7fELF")
	f[4], f[5], f[6] = or(e.Class, 2), 1, or(e.IdentVersion, 1)
	if e.ZeroVersion {
		f[6] = 0
	}
	f.u16(0x10, or(e.Type, 4))
	f.u16(0x12, or(e.Machine, 62))
	f.u32(0x14, 1)
	f.u64(0x20, uint64(phoff))
	f.u64(0x28, ehdrBytes)
	f.u16(0x34, 8) // QEMU's mistake
	f.u16(0x36, uint16(stride))
	f.u16(0x38, uint16(min(count, countInShdr)))
	f.u16(0x3a, shdrBytes)
	f.u16(0x3c, sections)
	f.u16(0x3e, sections-1)
	if extended {
		f.u16(0x38, countInShdr)
		f.u32(ehdrBytes+0x2c, uint32(count))
	}

	header := phoff
	note := func(i int) {
		f.u32(header, 4)
		f.u64(header+0x08, uint64(noteAt[i]))
		f.u64(header+0x20, uint64(len(notes[i])))
		f.u64(header+0x28, uint64(len(notes[i])))
		header += stride
	}
	for i := 0; i <= len(e.Loads); i++ {
		if i == min(e.NotePosition, len(e.Loads)) {
			for k := range notes {
				note(k)
			}
		}
		if i == len(e.Loads) {
			break
		}
		l := e.Loads[i]
		f.u32(header, 1)
		f.u64(header+0x08, or(l.Offset, uint64(loadAt[i])))
		f.u64(header+0x10, l.VA)
		f.u64(header+0x18, uint64(l.PA))
		f.u64(header+0x20, or(l.FileSize, uint64(len(l.Data))))
		f.u64(header+0x28, or(l.MemSize, uint64(len(l.Data))))
		if l.NotInFile {
			f.u64(header+0x08, notInFile)
			f.u64(header+0x20, 0)
		}
		header += stride
	}
	for i, n := range notes {
		f.put(noteAt[i], n)
	}
	for i, l := range e.Loads {
		if l.Share == 0 {
			f.put(loadAt[i], l.Data)
		}
	}
	return f[:len(f)-e.Truncate]
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Fragments makes n loads of one page each with a page between them, from pa
// on, each page filled with its own noise.
func Fragments(n int, pa mem.PA) []Load {
	list := make([]Load, n)
	for i := range list {
		list[i] = Load{PA: pa + mem.PA(i*2*mem.PageSize), Data: Noise(uint64(i)+1, mem.PageSize)}
	}
	return list
}

// Shuffle puts loads into another order, the same for the same seed. Loads that
// share bytes with others must not be among them.
func Shuffle(list []Load, seed uint64) []Load {
	out, s := append([]Load{}, list...), noise(seed)
	for i := len(out) - 1; i > 0; i-- {
		k := int(s.next() % uint64(i+1))
		out[i], out[k] = out[k], out[i]
	}
	return out
}
