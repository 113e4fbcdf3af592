package linux

import (
	"bytes"
	"encoding/hex"
)

// The head of an ELF note with a build ID of 20 bytes, SHA-1, which all linkers
// write: sizes of name and contents, NT_GNU_BUILD_ID, the name.
var buildIDNote = []byte("\x04\x00\x00\x00\x14\x00\x00\x00\x03\x00\x00\x00GNU\x00")

const (
	buildIDBytes  = 20
	maxNotesBytes = 64 << 10
	noteScan      = 1 << 20 // of each of a module's areas
)

// BuildID is the kernel's build ID in lower-case hexadecimal: what vmcoreinfo says
// (5.15 and later), else its own notes; "" where neither is there.
func (k *Kernel) BuildID() string {
	if id := k.Info.BuildID(); id != "" {
		return id
	}
	start, ok1 := k.Symbols.Lookup("__start_notes")
	stop, ok2 := k.Symbols.Lookup("__stop_notes")
	if !ok1 || !ok2 || stop <= start {
		return ""
	}
	return findBuildID(k.view.prefix(start, int(min(stop-start, maxNotesBytes))))
}

// ModuleBuildID is a module's build ID, from the notes in its memory.
func (k *Kernel) ModuleBuildID(m *Module) string {
	for _, s := range m.memory {
		if id := findBuildID(k.view.prefix(s.start, int(min(s.end-s.start, noteScan)))); id != "" {
			return id
		}
	}
	return ""
}

func findBuildID(p []byte) string {
	i := bytes.Index(p, buildIDNote)
	if i < 0 || len(p)-i < len(buildIDNote)+buildIDBytes {
		return ""
	}
	return hex.EncodeToString(p[i+len(buildIDNote):][:buildIDBytes])
}

// Find gives the address of a function by its name, module ("" for the kernel
// itself) and size, as a stack entry prints them. Names occur several times; the
// size tells them apart, and when it does not, none is given.
func (k *Kernel) Find(name, module string, size uint64) (uint64, bool) {
	var found []uint64
	if module == "" {
		for _, s := range k.Symbols.All(func(n string) bool { return n == name }) {
			if k.Symbols.Room(s.Addr) == size {
				found = append(found, s.Addr)
			}
		}
	}
	for i := range k.Modules {
		m := &k.Modules[i]
		if m.Name != module {
			continue
		}
		for _, s := range m.load(k.view) {
			if n, _ := k.view.cstring(m.symbols.strtab+uint64(s.name), maxNameBytes); n != name {
				continue
			}
			if at, ok := m.symbolAt(k.view, s.addr); ok && at.Size == size {
				found = append(found, s.addr)
			}
		}
	}
	if len(found) != 1 {
		return 0, false
	}
	return found[0], true
}
