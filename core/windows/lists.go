package windows

import (
	"bytes"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// Limits of the guest's lists: more is damage. Windows itself stays far below.
const (
	MaxModules    = 4096
	MaxProcesses  = 1 << 16
	maxProcessors = 2048
	maxNameBytes  = 512 // of UTF-16
)

// WalkList follows a LIST_ENTRY from its head and hands each entry's address to
// visit, which may stop it. It ends with an error where the list cannot be
// right: an entry that is no kernel address, links that disagree, a cycle that
// misses the head, more than limit entries.
func WalkList(s *paging.Space, head mem.VA, limit int, visit func(entry mem.VA) bool) error {
	seen := map[mem.VA]bool{}
	previous := head
	entry, err := s.Uint64(head)
	for n := 0; err == nil; n++ {
		at := mem.VA(entry)
		if at == head {
			return nil
		}
		switch {
		case n == limit:
			return fmt.Errorf("more than %d entries", limit)
		case at%8 != 0 || !s.Mode.Kernel(at):
			return fmt.Errorf("entry %v links to %v", previous, at)
		case seen[at]:
			return fmt.Errorf("entry %v links back to %v", previous, at)
		}
		seen[at] = true
		var links [16]byte
		if err := s.ReadAt(links[:], at); err != nil {
			return err
		}
		if back := mem.VA(u64(links[:], 8)); back != previous {
			return fmt.Errorf("entry %v links back to %v, not to %v", at, back, previous)
		}
		if !visit(at) {
			return nil
		}
		previous, entry = at, u64(links[:], 0)
	}
	return err
}

// Modules reads the loaded-module list through an address space. What was read
// before a damaged entry is returned along with the error, whose code is
// modules-damaged.
func Modules(s *paging.Space, k KDBG) ([]Module, error) {
	links, err := ModuleLinks(s, k)
	var out []Module
	ahead := s.Ahead(len(links), func(s *paging.Space, i int) { _, _ = readModule(s, links[i]) })
	for i, at := range links {
		ahead.To(i)
		if m, err := readModule(s, at); err == nil {
			out = append(out, m)
		}
	}
	if err != nil {
		return out, fault.Wrap(err, fault.ModulesDamaged, "the module list ends early, after %d modules: %v", len(out), err)
	}
	return out, nil
}

// readModule reads one KLDR_DATA_TABLE_ENTRY. A name that cannot be read is
// empty: the rest is worth having.
func readModule(s *paging.Space, entry mem.VA) (Module, error) {
	var p [ldrBytes]byte
	if err := s.ReadAt(p[:], entry); err != nil {
		return Module{}, err
	}
	m := Module{Base: mem.VA(u64(p[:], ldrBase)), Size: u32(p[:], ldrSize),
		Exceptions: mem.VA(u64(p[:], ldrExceptions)), ExceptionBytes: u32(p[:], ldrExceptionBytes)}
	name := make([]byte, min(int(u16(p[:], ldrBaseName)), maxNameBytes))
	if s.ReadAt(name, mem.VA(u64(p[:], ldrBaseName+8))) == nil {
		m.Name = utf16String(name)
	}
	return m, nil
}

// processLayout is where EPROCESS has its fields, as distances from
// ActiveProcessLinks.
type processLayout struct {
	id   int // UniqueProcessId
	name int // ImageFileName
	dtb  int // DirectoryTableBase; 0: not known
	back int // from the structure's start to the links; 0: not known
}

// What every release has in common. Source: public
// structure listings; what was found is tried on a second process.
const (
	processIDBefore   = -8    // UniqueProcessId is the word before the links
	processNameBytes  = 15    // ImageFileName
	processNameReach  = 0x400 // it stands no further behind the links
	processStartReach = 0x800 // EPROCESS starts no further before them
	processDTBUsual   = 0x28  // DirectoryTableBase from the start
	processesTried    = 32    // for the place of DirectoryTableBase
	SystemPID         = 4
	dispatcherProcess = 3 // type of a process's dispatcher header
)

// systemName is System's ImageFileName, NUL padded.
var systemName = append([]byte("System"), make([]byte, processNameBytes-6)...)

// findProcessLayout finds the fields by what is known of the first process: its
// id is 4 and its name is System. Where the page-table base lies is found from
// the first process of the list that begins with a process's dispatcher header,
// followed by a base that works: one that has a base of its own, or none, costs
// no other its base.
func findProcessLayout(s *paging.Space, links []mem.VA, k KDBG) (l processLayout, ok bool) {
	if len(links) == 0 {
		return l, false
	}
	pid, err := s.Uint64(links[0] + mem.VA(processIDBefore&(1<<64-1)))
	if err != nil || pid != SystemPID {
		return l, false
	}
	l.id = processIDBefore
	after := make([]byte, processNameReach)
	s.ReadBest(after, links[0])
	if l.name = bytes.Index(after, systemName); l.name < 0 {
		return l, false
	}
	at := int(k.Uint16(kdProcessDTB))
	if at == 0 || at%8 != 0 {
		at = processDTBUsual
	}
	for i, of := range links[:min(len(links), processesTried)] {
		other := false
		for back := 8 + at; back <= processStartReach; back += 8 {
			start := of - mem.VA(back)
			head, err := s.Uint32(start)
			if err != nil || head&0x7f != dispatcherProcess {
				continue
			}
			value, err := s.Uint64(start + mem.VA(at))
			if err == nil && SharesPage(s, value) {
				l.dtb, l.back = at-back, back
				return l, true
			}
			other = other || err == nil && hasTables(s, value)
		}
		if i == 0 && other {
			break // System has tables of another form than the space: so have all
		}
	}
	return l, true
}

// tryRoot checks whether a process's page-table base leads to the same shared
// page as the space the kernel was found through. unknown(err) says that its
// tables are not in the core.
func tryRoot(s *paging.Space, value uint64) error {
	if value&s.Mode.Root == 0 {
		return paging.ErrMalformed
	}
	want, _, err := s.Translate(SharedVA)
	if err != nil {
		return err
	}
	got, _, err := s.At(value).Translate(SharedVA)
	if err == nil && got != want {
		err = paging.ErrMalformed
	}
	return err
}

// SharesPage reports whether a page-table base leads to the same shared page as a
// space.
func SharesPage(s *paging.Space, value uint64) bool { return tryRoot(s, value) == nil }

// hasTables reports whether a page-table base that does not show Windows' shared
// page is one all the same, as Secure System's may be: some entry of it leads to
// a table that the core holds.
func hasTables(s *paging.Space, value uint64) bool {
	root := mem.PA(value & s.Mode.Root)
	raw := make([]byte, mem.PageSize)
	if root == 0 || s.Phys.ReadAt(raw, root) != nil {
		return false
	}
	for i := range len(raw) / s.Mode.Entry {
		if kind, to := s.Mode.Step(0, s.Mode.EntryAt(raw, i)); kind == paging.Table {
			if _, ok := mem.Find(s.Phys.Extents(), to); ok && to != root {
				return true
			}
		}
	}
	return false
}

// Processes reads the active-process list through an address space. Its layout
// differs by build and is found from what its processes hold. An empty list, as
// in a guest that is still starting, is no error. What could be read is returned
// along with an error whose code is processes-unknown-layout.
func Processes(s *paging.Space, k KDBG) ([]Process, error) {
	if listOf(s, k.ProcessHead()) == listEmpty {
		return nil, nil
	}
	links, err := ProcessLinks(s, k)
	layout, known := findProcessLayout(s, links, k)
	var out []Process
	if known {
		ahead := s.Ahead(len(links), func(s *paging.Space, i int) { readProcess(s, links[i], layout) })
		for i, at := range links {
			ahead.To(i)
			out = append(out, readProcess(s, at, layout))
		}
	}
	switch {
	case err != nil:
		return out, fault.Wrap(err, fault.ProcessesUnknownLayout, "the process list ends early, after %d processes: %v", len(out), err)
	case !known:
		return out, fault.New(fault.ProcessesUnknownLayout, "the process list could not be read: its first entry is not the System process as any known build lays it out")
	case layout.dtb == 0:
		return out, fault.New(fault.ProcessesUnknownLayout, "the processes' page-table bases could not be read on this build")
	}
	return out, nil
}

// ModuleLinks gives the addresses of the entries of the loaded-module list, as far
// as the list is whole.
func ModuleLinks(s *paging.Space, k KDBG) (links []mem.VA, err error) {
	return listLinks(s, k.ModuleList(), MaxModules)
}

// ProcessLinks walks the active-process list without looking into the processes,
// so it needs no layout of theirs: the addresses of their list entries, as far as
// the list is whole.
func ProcessLinks(s *paging.Space, k KDBG) (links []mem.VA, err error) {
	return listLinks(s, k.ProcessHead(), MaxProcesses)
}

// listLinks gives the addresses of a list's entries, as far as the list is whole.
func listLinks(s *paging.Space, head mem.VA, limit int) (links []mem.VA, err error) {
	err = WalkList(s, head, limit, func(at mem.VA) bool {
		links = append(links, at)
		return true
	})
	return links, err
}

// listState is what a list head alone says.
type listState int

const (
	listFilled listState = iota
	listEmpty            // it links to itself
	listUnmade           // zero: the kernel has not come to it yet, or it is no list
)

func listOf(s *paging.Space, head mem.VA) listState {
	var links [16]byte
	if s.ReadAt(links[:], head) != nil {
		return listFilled
	}
	switch first, last := mem.VA(u64(links[:], 0)), mem.VA(u64(links[:], 8)); {
	case first == head && last == head:
		return listEmpty
	case first == 0 && last == 0:
		return listUnmade
	}
	return listFilled
}

// Starting reports whether a guest has no processes yet: its list is empty, or
// not made while the modules, which come first, are there.
func (k *Kernel) Starting() bool {
	switch listOf(k.Space, k.KDBG.ProcessHead()) {
	case listEmpty:
		return true
	case listUnmade:
		return len(k.Modules) > 0
	}
	return false
}

// readProcess reads one EPROCESS by its links; what cannot be read is zero.
func readProcess(s *paging.Space, links mem.VA, l processLayout) (p Process) {
	p.Links = links
	if l.back != 0 {
		p.EPROCESS = links - mem.VA(l.back)
	}
	p.PID, _ = s.Uint64(links + mem.VA(uint64(int64(l.id))))
	var name [processNameBytes]byte
	if s.ReadAt(name[:], links+mem.VA(l.name)) == nil {
		text, _, _ := bytes.Cut(name[:], []byte{0})
		p.Name = printable(text)
	}
	if l.dtb != 0 {
		if value, err := s.Uint64(links + mem.VA(uint64(int64(l.dtb)))); err == nil {
			if err := tryRoot(s, value); err == nil || unknown(err) || hasTables(s, value) {
				p.DTB = mem.PA(value)
			}
		}
	}
	return p
}

// printable replaces what is not printable ASCII: names come from the guest.
func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		if c < 0x20 || c > 0x7e {
			c = '?'
		}
		out[i] = c
	}
	return string(out)
}

// InModule reports whether an address lies in the kernel or a loaded module.
func (k *Kernel) InModule(va mem.VA) bool {
	if InImage(va, k.Image.Base, k.Image.SizeOfImage, 1) {
		return true
	}
	for _, m := range k.Modules {
		if InImage(va, m.Base, m.Size, 1) {
			return true
		}
	}
	return false
}

// ReadLists reads the bug check and the lists of modules and processes, with a
// warning for what cannot be read.
func (k *Kernel) ReadLists() {
	var err error
	if k.BugCheck, err = readBugCheck(k.Space, k.KDBG); err != nil {
		k.Warn(fault.BugcheckUnreadable, "the guest's bug check data at %v could not be read: %v", k.KDBG.BugCheckData(), err)
	}
	if k.Modules, err = Modules(k.Space, k.KDBG); err != nil {
		k.Warnings = append(k.Warnings, WarningOf(err))
	}
	k.Processes, err = Processes(k.Space, k.KDBG)
	switch {
	case k.Starting():
		k.Warn(fault.GuestStarting, "the guest is still starting: no processes yet")
	case err != nil:
		k.Warnings = append(k.Warnings, WarningOf(err))
	}
}

// kernelEntries is how many entries of the module list may stand before the
// kernel's, which is the first but in a damaged list.
const kernelEntries = 64

// ImageInList gives the image of the module list at head in which an address
// lies, of at most ImageReach bytes.
func ImageInList(s *paging.Space, head, va mem.VA) (m Module, ok bool) {
	_ = WalkList(s, head, kernelEntries, func(entry mem.VA) bool {
		var err error
		m, err = readModule(s, entry)
		ok = err == nil && m.Base%mem.PageSize == 0 && m.Size%mem.PageSize == 0 && m.Size <= ImageReach && InImage(va, m.Base, m.Size, 1)
		return !ok
	})
	return m, ok
}
