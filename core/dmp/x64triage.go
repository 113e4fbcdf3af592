//go:build !lean

package dmp

import (
	"coredrop/core/cpu"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// pointersIn lists what a context record's general registers hold, and where it
// stands.
func pointersIn(record []byte) (list []mem.VA) {
	s := windows.RecordOf(record).State
	for _, r := range cpu.General {
		list = append(list, mem.VA(s.Get(r)))
	}
	return append(list, mem.VA(s.PC()))
}

// modes are the page-table formats to try: a triage dump has no tables.
func (d *opened) modes() []*paging.Mode {
	if d.part != nil {
		return []*paging.Mode{windows.X64L5.Flat()}
	}
	return windows.Modes
}
