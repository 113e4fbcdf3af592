package stacks

import (
	"fmt"
	"slices"

	"coredrop/core/mem"
)

// findLists finds where processes and threads have their lists: where a known
// build has them, or anywhere else that the content proves.
func (r *Reader) findLists() (listOffsets, bool) {
	const tried = 8 // processes; some have no threads left
	n := 0
	for i := range r.k.Processes {
		p := r.k.Processes[i].EPROCESS
		if p == 0 {
			continue
		}
		if n++; n > tried {
			break
		}
		for _, o := range r.layout.lists {
			if first, ok := r.head(p + mem.VA(o.head)); ok && r.links(p, first, o.entry) {
				return o, true
			}
		}
		for head := 0x10; head < listReach; head += 8 {
			first, ok := r.head(p + mem.VA(head))
			if !ok {
				continue
			}
			for entry := 0x100; entry < listReach; entry += 8 {
				if r.links(p, first, entry) {
					return listOffsets{head, entry}, true
				}
			}
		}
	}
	return listOffsets{}, false
}

// head reads a list's head: its first entry, where the list is closed both ways
// and has one.
func (r *Reader) head(at mem.VA) (mem.VA, bool) {
	var p [16]byte
	s := r.k.Space
	if s.ReadAt(p[:], at) != nil {
		return 0, false
	}
	first, last := mem.VA(u64(p[:], 0)), mem.VA(u64(p[:], 8))
	if first == at || first>>63 == 0 || last>>63 == 0 || first%8 != 0 || last%8 != 0 {
		return 0, false
	}
	back, err1 := s.Uint64(first + 8)
	next, err2 := s.Uint64(last)
	return first, err1 == nil && err2 == nil && mem.VA(back) == at && mem.VA(next) == at
}

// links reports whether a list's entry belongs to a thread of the process, at
// an offset in it.
func (r *Reader) links(process, entry mem.VA, offset int) bool {
	t, ok := r.readThread(entry - mem.VA(offset))
	return ok && t.Process == process
}

// threadsOf follows a process's list. What comes before a damaged entry is
// returned along with the error; from its other end the list is followed then.
func (r *Reader) threadsOf(process mem.VA, o listOffsets, limit int) ([]*Thread, error) {
	head := process + mem.VA(o.head)
	seen := map[mem.VA]bool{}
	var list []*Thread
	follow := func(link mem.VA) error { // 0: forward, 8: backward
		at := head
		for {
			next, err := r.k.Space.Uint64(at + link)
			if err != nil {
				return fmt.Errorf("the entry at %v could not be read", at)
			}
			at = mem.VA(next)
			switch {
			case at == head, at == 0 && len(seen) == 0: // a head that was never set has no threads
				return nil
			case seen[at]:
				return fmt.Errorf("the entry at %v comes twice", at)
			case len(list) >= limit:
				return fmt.Errorf("more than %d threads", maxThreads)
			}
			seen[at] = true
			t, ok := r.readThread(at - mem.VA(o.entry))
			if !ok || t.Process != process {
				return fmt.Errorf("the entry at %v is no thread of the process", at)
			}
			list = append(list, t)
		}
	}
	err := follow(0)
	if err != nil {
		_ = follow(8) // up to the damage, or to what is known already
	}
	return list, err
}

// readIDs finds where threads have their ids: beside the id of their process,
// at one offset in all of them, and each a different one.
func (r *Reader) readIDs(list []*Thread) {
	var sample []*Thread
	for _, t := range list {
		if t.PID != 0 && len(sample) < threadSample {
			sample = append(sample, t)
		}
	}
	if len(sample) == 0 {
		return
	}
	fits := func(off int) bool {
		var ids [threadSample]uint64
		for i, t := range sample {
			id, ok := r.idAt(t, off)
			if !ok || slices.Contains(ids[:i], id) {
				return false
			}
			ids[i] = id
		}
		return true
	}
	found := 0
	for _, off := range r.layout.ids {
		if fits(off) {
			found = off
			break
		}
	}
	for off := 0x200; found == 0 && len(sample) > 1 && off < idReach; off += 8 {
		if fits(off) {
			found = off
		}
	}
	if found == 0 {
		return
	}
	for _, t := range list {
		t.TID, t.HasID = r.idAt(t, found)
	}
}

// idAt reads CLIENT_ID: the ids of the process and of the thread. Ids are
// multiples of 4.
func (r *Reader) idAt(t *Thread, off int) (uint64, bool) {
	var p [16]byte
	if r.k.Space.ReadAt(p[:], t.VA+mem.VA(off)) != nil {
		return 0, false
	}
	process, id := u64(p[:], 0), u64(p[:], 8)
	return id, process == t.PID && id != 0 && id%4 == 0 && id < 1<<32
}
