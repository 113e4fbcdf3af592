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
	var list []Size
	if len(runs) > 0 && len(runs) <= maxRuns {
		list = append(list, Size{TypeFull, headerBytes + int64(countPages(runs))*mem.PageSize})
	}
	if s, err := shapeOf(runs); err == nil && len(runs) > 0 {
		list = append(list, Size{TypeBitmap, s.firstPage + int64(s.set)*mem.PageSize})
	}
	return list
}
