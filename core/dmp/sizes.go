package dmp

import (
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// Size is how large a type of dump becomes in bytes, or AtMost: what its memory is
// shows only when it is described.
type Size struct {
	Type   string
	Bytes  int64
	AtMost bool
}

// triageMost bounds a triage dump: what can be attached to a ticket.
const triageMost = 2 << 20

// Sizes lists the types of dump that New can make of a kernel's memory, the one
// it chooses by itself first. Nothing is read.
func Sizes(k *windows.Kernel) []Size {
	runs, _ := mem.Runs(k.Machine.Mem.Extents())
	if len(runs) == 0 {
		return nil
	}
	f, b := planOf(runs, false), planOf(runs, true)
	list := []Size{{Type: f.kind, Bytes: f.size()}}
	if b.kind != f.kind {
		list = append(list, Size{Type: b.kind, Bytes: b.size()})
	}
	return append(list, Size{TypeKernel, b.size(), true}, Size{TypeTriage, triageMost, true})
}
