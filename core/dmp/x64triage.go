//go:build !lean

package dmp

import (
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
)

// cpuRoots are the page-table bases of a machine's CPUs.
func cpuRoots(m *machine.Machine) (list []uint64) {
	for _, c := range m.CPUs {
		if c.X64 != nil && c.X64.System {
			list = append(list, c.X64.Root())
		}
	}
	return list
}

// The general registers of CONTEXT, with the instruction pointer as the last:
// winnt.h.
const (
	registersAt  = offRax
	registersEnd = offRip + 8
)

// pointersIn lists what a context record's registers hold.
func pointersIn(record []byte) (list []mem.VA) {
	for off := registersAt; off < registersEnd; off += 8 {
		list = append(list, mem.VA(le.Uint64(record[off:])))
	}
	return list
}

// modes are the page-table formats to try: a triage dump has no tables.
func (d *opened) modes() []*paging.Mode {
	if d.part != nil {
		return []*paging.Mode{windows.X64L5.Flat()}
	}
	return windows.Modes
}
