package dmp

import (
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// Size is how large a type of dump becomes in bytes.
type Size struct {
	Type  string
	Bytes int64
}

// Sizes lists the types of dump that New can make of a kernel's memory, the one
// it chooses by itself first. Nothing is read.
func Sizes(k *windows.Kernel) []Size {
	runs, _ := mem.Runs(k.Machine.Mem.Extents())
	if len(runs) == 0 {
		return nil
	}
	f := planOf(runs, false)
	list := []Size{{f.kind, f.size()}}
	if b := planOf(runs, true); b.kind != f.kind {
		list = append(list, Size{b.kind, b.size()})
	}
	return list
}
