//go:build !lean

package dmp

import (
	"unicode/utf16"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// KLDR_DATA_TABLE_ENTRY as the guest has it and as a triage dump keeps it, where
// check sum and time stamp have old places (the SDK's wdbgexts.h), and
// UNICODE_STRING.
const (
	entryBytes     = 0x88
	entryBase      = 0x30 // u64
	entrySize      = 0x40 // u32
	entryFullName  = 0x48 // UNICODE_STRING
	entryBaseName  = 0x58
	entryCheckSum  = 0x78 // u32
	entryTimeStamp = 0x80 // u32, in the dump

	stringBuffer = 8 // u64, behind two lengths in bytes
	maxNameBytes = 512
)

// maxDriverBytes bounds the list of drivers with its names.
const maxDriverBytes = 512 << 10

// driver is an entry of the dump's list of loaded modules.
type driver struct {
	name  []byte // UTF-16
	entry [entryBytes]byte
}

// name reads a UNICODE_STRING; nil where it cannot.
func (t *triage) name(p []byte) []byte {
	name := make([]byte, min(le.Uint16(p), maxNameBytes)&^1)
	if len(name) == 0 || t.ReadAt(name, mem.VA(le.Uint64(p[stringBuffer:]))) != nil {
		return nil
	}
	return name
}

// listDrivers reads the loaded modules; the kernel is one of them even where their
// list is damaged.
func (t *triage) listDrivers() {
	var list []driver
	total, short := 0, 0
	add := func(d driver) {
		n := driverBytes + poolBytes(d.name)
		if total+n > maxDriverBytes {
			short++
			return
		}
		total += n
		list = append(list, d)
	}
	found := false
	// That the list is damaged is a warning of the kernel's already.
	links, _ := windows.ModuleLinks(t.k.Space, t.k.KDBG)
	ahead := t.ahead(len(links), func(t *triage, i int) { t.driver(links[i]) })
	for i, at := range links {
		ahead.To(i)
		if d, ok := t.driver(at); ok {
			found = found || mem.VA(le.Uint64(d.entry[entryBase:])) == t.k.Image.Base
			add(d)
		}
	}
	if !found {
		d := driver{name: wide("ntoskrnl.exe")}
		le.PutUint64(d.entry[entryBase:], uint64(t.k.Image.Base))
		le.PutUint32(d.entry[entrySize:], t.k.Image.SizeOfImage)
		t.stamp(&d, t.k.Image.Base)
		add(d)
	}
	if short > 0 {
		t.im.Warnings = append(t.im.Warnings, fault.Warn(fault.ModulesDamaged, "%d modules are not in the triage dump: its list has room for %d", short, len(list)))
	}
	t.drivers = list
	t.bytes += int64(total)
}

// driver reads a loaded module by its list entry.
func (t *triage) driver(at mem.VA) (d driver, ok bool) {
	if t.ReadAt(d.entry[:], at) != nil {
		return d, false
	}
	if d.name = t.name(d.entry[entryFullName:]); d.name == nil {
		d.name = t.name(d.entry[entryBaseName:])
	}
	t.stamp(&d, mem.VA(le.Uint64(d.entry[entryBase:])))
	return d, true
}

// stamp sets check sum and time stamp by the image's header; the loader's entry
// has the one elsewhere on some releases and the other on none.
func (t *triage) stamp(d *driver, base mem.VA) {
	clear(d.entry[entryTimeStamp:])
	if time, sum, err := pe.Stamps(t, base); err == nil {
		le.PutUint32(d.entry[entryTimeStamp:], time)
		le.PutUint32(d.entry[entryCheckSum:], sum)
	}
}

func wide(s string) (p []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		p = le.AppendUint16(p, u)
	}
	return p
}

// UNLOADED_DRIVERS as the guest keeps it, and DUMP_UNLOADED_DRIVERS64. Source:
// public structure listings; the SDK's wdbgexts.h.
const (
	unloadedSlots = 50
	unloadedBytes = 0x28 // UNICODE_STRING, start, end, time
	unloadedStart = 0x10 // two u64

	removedBytes = 0x38 // UNICODE_STRING, twelve units of the name, start, end
	removedName  = 0x10
	removedUnits = 24
	removedStart = 0x28
)

// listUnloaded reads the drivers that were unloaded, the latest first: their
// number, then what is known of each.
func (t *triage) listUnloaded() {
	t.removed = make([]byte, 8)
	table := t.word(mem.VA(t.k.KDBG.Uint64(kdUnloaded)))
	last := uint32(t.word(mem.VA(t.k.KDBG.Uint64(kdLastUnloaded))))
	for n := range uint32(unloadedSlots) {
		slot := (last + unloadedSlots - 1 - n%unloadedSlots) % unloadedSlots
		var p [unloadedBytes]byte
		if table == 0 || last > 1<<30 || t.ReadAt(p[:], table+mem.VA(slot*unloadedBytes)) != nil || le.Uint16(p[:]) == 0 {
			break
		}
		var e [removedBytes]byte
		copy(e[:], p[:unloadedStart])
		copy(e[removedName:][:removedUnits], t.name(p[:]))
		copy(e[removedStart:], p[unloadedStart:][:16])
		t.removed = append(t.removed, e[:]...)
		le.PutUint64(t.removed, uint64(n+1))
	}
	t.bytes += int64(len(t.removed))
}
