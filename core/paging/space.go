package paging

import (
	"encoding/binary"

	"coredrop/core/mem"
)

// Space is one virtual address space.
type Space struct {
	Phys mem.Physical
	Root mem.PA // page-table base, masked
	Mode *Mode

	transition *pages // reached through transition entries; shared by At
}

// New makes the address space that the root register's value root (CR3, TTBR)
// selects; flag, PCID and ASID bits in it are ignored.
func New(phys mem.Physical, root uint64, mode *Mode) *Space {
	return &Space{Phys: phys, Root: mem.PA(root & mode.Root), Mode: mode, transition: new(pages)}
}

// At gives another space of the same guest: that of another root, in the same
// memory and mode.
func (s *Space) At(root uint64) *Space {
	return &Space{Phys: s.Phys, Root: mem.PA(root & s.Mode.Root), Mode: s.Mode, transition: s.transition}
}

// InTransition gives how many pages were reached through transition entries so
// far, in this space and those that At made of it.
func (s *Space) InTransition() int { return s.transition.count() }

// Translate walks the tables: it gives the physical address of va and how many
// bytes from va on are mapped by the same page. It does not ask whether the
// page itself is in the file.
func (s *Space) Translate(va mem.VA) (pa mem.PA, left uint64, err error) {
	pa, left, _, err = s.walk(va)
	return pa, left, err
}

// Leaf gives the entry that maps va, with its flags.
func (s *Space) Leaf(va mem.VA) (entry uint64, err error) {
	_, _, entry, err = s.walk(va)
	return entry, err
}

func (s *Space) walk(va mem.VA) (pa mem.PA, left, entry uint64, err error) {
	m := s.Mode
	if !m.Canonical(va) {
		return 0, 0, 0, &Error{VA: va, Level: "address", Err: ErrMalformed}
	}
	if len(m.Levels) == 0 { // flat
		return mem.PA(va), max(^uint64(va), 1), 0, nil
	}
	table, kept := s.Root, false
	var buf [8]byte
	for i := range m.Levels {
		l := &m.Levels[i]
		if err := s.Phys.ReadAt(buf[:m.Entry], table+mem.PA(l.Index(va)*m.Entry)); err != nil {
			return 0, 0, 0, &Error{va, l.Name, l.Span(), err}
		}
		entry = m.EntryAt(buf[:], 0)
		kind, next := m.Step(i, entry)
		last := i == len(m.Levels)-1
		kept = kept || kind == Transition
		switch {
		case kind == Absent:
			return 0, 0, 0, &Error{va, l.Name, l.Span(), ErrNotPresent}
		case kind == Page || last:
			if kept {
				s.transition.add(next)
			}
			offset := uint64(va) & (l.Span() - 1)
			return next + mem.PA(offset), l.Span() - offset, entry, nil
		}
		table = next
	}
	return 0, 0, 0, &Error{VA: va, Level: "walk", Err: ErrMalformed}
}

// OwnTables reports whether va is one of those at which a space shows its own
// page tables, because an entry of the root leads back to it. What is mapped with
// a large page in the lower half can be seen there too.
func (s *Space) OwnTables(va mem.VA) bool {
	m := s.Mode
	if len(m.Levels) == 0 {
		return false
	}
	var buf [8]byte
	if s.Phys.ReadAt(buf[:m.Entry], s.Root+mem.PA(m.Levels[0].Index(va)*m.Entry)) != nil {
		return false
	}
	kind, next := m.Step(0, m.EntryAt(buf[:], 0))
	return kind != Absent && next == s.Root
}

// ReadAt fills p from va on, page by page.
func (s *Space) ReadAt(p []byte, va mem.VA) error {
	if len(p) > mem.PageSize && va+mem.VA(len(p)) > va && s.Phys.Prefetch() != nil {
		return s.readTogether(p, va)
	}
	for len(p) > 0 {
		pa, left, err := s.Translate(va)
		if err != nil {
			return s.failed(err, p, va)
		}
		n := min(uint64(len(p)), left)
		if err := s.Phys.ReadAt(p[:n], pa); err != nil {
			return s.failed(&Error{VA: va, Level: "page", Err: err}, p, va)
		}
		p = p[n:]
		if len(p) > 0 && va+mem.VA(n) < va {
			return &Error{VA: va, Level: "address", Err: ErrMalformed}
		}
		va += mem.VA(n)
	}
	return nil
}

// readTogether is ReadAt where the pages can be fetched together.
func (s *Space) readTogether(p []byte, va mem.VA) error {
	ahead := s.pages(va, len(p))
	for i := 0; len(p) > 0; i++ {
		ahead.To(i)
		n := min(len(p), int(mem.PageSize-va%mem.PageSize))
		if err := s.ReadAt(p[:n], va); err != nil {
			return err
		}
		p, va = p[n:], va+mem.VA(n)
	}
	return nil
}

// ReadBest fills p from va on page by page, with zeros for pages that cannot be
// read, and gives how many bytes could.
func (s *Space) ReadBest(p []byte, va mem.VA) (got int) {
	ahead := s.pages(va, len(p))
	for i := 0; len(p) > 0; i++ {
		ahead.To(i)
		n := min(len(p), int(mem.PageSize-va%mem.PageSize))
		if s.ReadAt(p[:n], va) == nil {
			got += n
		} else {
			clear(p[:n])
		}
		p, va = p[n:], va+mem.VA(n)
		if va == 0 {
			clear(p)
			return got
		}
	}
	return got
}

// Resolves reports whether va is mapped and its first byte is in the file.
func (s *Space) Resolves(va mem.VA) bool {
	var b [1]byte
	return s.ReadAt(b[:], va) == nil
}

// Uint64 reads a little-endian 64-bit word.
func (s *Space) Uint64(va mem.VA) (uint64, error) {
	var b [8]byte
	err := s.ReadAt(b[:], va)
	return binary.LittleEndian.Uint64(b[:]), err
}

// Uint32 reads a little-endian 32-bit word.
func (s *Space) Uint32(va mem.VA) (uint32, error) {
	var b [4]byte
	err := s.ReadAt(b[:], va)
	return binary.LittleEndian.Uint32(b[:]), err
}
