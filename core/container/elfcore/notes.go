package elfcore

import (
	"bytes"
	"context"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// notes is what the note segments hold.
type notes struct {
	form     *statusForm // what a status looks like; nil: not known
	statuses []status
	states   []*cpu.State // by position; nil: damaged
	guest    []machine.Note
	warnings []fault.Warning
}

// window is a view of a range of the file, read noteWindow bytes at a time.
type window struct {
	source source.Source
	end    int64
	start  int64 // of buf in the file
	buf    []byte
}

// at gives n bytes at off; the caller has checked that they lie before end and
// that n is at most noteWindow. The slice is valid until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		want := min(noteWindow, w.end-off)
		if int64(cap(w.buf)) < want {
			w.buf = make([]byte, want)
		}
		w.buf, w.start = w.buf[:want], off
		if err := w.source.Full(w.buf, off); err != nil {
			w.buf = w.buf[:0]
			return nil, err
		}
	}
	return w.buf[off-w.start:][:n], nil
}

// readNotes walks the note segments one after another. Damage ends a segment
// with a warning; what came before it is used. Only a file that cannot be read
// and a cancelled context are errors.
func readNotes(ctx context.Context, s source.Source, ranges []noteRange, form *statusForm) (*notes, error) {
	n := &notes{form: form}
	budget := int64(maxNotes)
	damage := ""
	for _, r := range ranges {
		if r.cut {
			damage = "the file ends inside them"
		}
		if r.bytes > budget {
			r.bytes, damage = budget, "they are longer than any real ones"
		}
		budget -= r.bytes
		what, err := n.walk(ctx, s, r)
		if err != nil {
			return nil, err
		}
		if what != "" && damage == "" {
			damage = what
		}
	}
	if damage != "" {
		n.warnings = append(n.warnings, fault.Warn(fault.NoteDamaged, "the core's notes are damaged: %s; the %d CPU and %d guest notes before the damage are used",
			damage, len(n.states), len(n.guest)))
	}
	// Not to be told from the file: which CPU lacks its note.
	if a, b := len(n.states), len(n.statuses); a != b && a > 0 && b > 0 {
		n.warnings = append(n.warnings, fault.Warn(fault.NotesDiffer, "the core has %d QEMU CPU notes and %d status notes; they were paired from the first on", a, b))
	}
	return n, nil
}

// walk reads the records of one range; damage says what is wrong with it.
func (n *notes) walk(ctx context.Context, s source.Source, r noteRange) (damage string, err error) {
	w := &window{source: s, end: r.offset + r.bytes}
	for at, count := r.offset, 0; at < w.end; count++ {
		if count%4096 == 0 {
			if err := cancelled(ctx); err != nil {
				return "", err
			}
		}
		if w.end-at < noteHeader {
			rest, err := w.at(at, int(w.end-at))
			if err == nil && len(bytes.Trim(rest, "\x00")) > 0 {
				damage = "the last one is incomplete"
			}
			return damage, err
		}
		head, err := w.at(at, noteHeader)
		if err != nil {
			return "", err
		}
		nameSize, descSize, kind := int64(le.Uint32(head[noteNameSize:])), int64(le.Uint32(head[noteDescSize:])), le.Uint32(head[noteType:])
		at += noteHeader
		desc := at + (nameSize+noteAlign-1)&^(noteAlign-1)
		if desc > w.end || descSize > w.end-desc {
			return "one is longer than what is left", nil
		}
		raw, err := w.at(at, int(min(nameSize, maxNameCompare)))
		if err != nil {
			return "", err
		}
		name, _, _ := bytes.Cut(raw, []byte{0})
		what, err := n.take(w, string(name), kind, desc, descSize)
		if err != nil {
			return "", err
		}
		if what != "" {
			damage = what
		}
		at = desc + (descSize+noteAlign-1)&^(noteAlign-1)
	}
	return damage, nil
}

// take keeps one record. CPU notes are matched by position, so a damaged one
// keeps its place.
func (n *notes) take(w *window, name string, kind uint32, desc, size int64) (damage string, err error) {
	switch {
	case name == "QEMU":
		if len(n.states) == maxCPUs {
			return "there are more CPUs than a machine can have", nil
		}
		if size < stateBytesOld {
			n.states = append(n.states, nil)
			return "a CPU note is too short", nil
		}
		raw, err := w.at(desc, int(min(size, int64(stateLayout.Bytes))))
		if err == nil {
			n.states = append(n.states, parseState(raw))
		}
		return "", err
	case name == "CORE" && kind == noteStatus:
		if len(n.statuses) == maxCPUs {
			return "there are more CPUs than a machine can have", nil
		}
		if n.form == nil { // counted
			n.statuses = append(n.statuses, status{})
			return "", nil
		}
		length := n.form.registers.Bytes
		if size < int64(length) {
			n.statuses = append(n.statuses, status{})
			return "a status note is too short", nil
		}
		raw, err := w.at(desc, length)
		if err == nil {
			n.statuses = append(n.statuses, n.form.parse(raw))
		}
		return "", err
	case name == "CORE", name == "LINUX": // other register sets
		return "", nil
	case name == "" && size == 0: // padding
		return "", nil
	}
	if len(n.guest) == maxGuestNotes || size > maxGuestNote {
		return "a guest note is too long, or there are too many", nil
	}
	raw, err := w.at(desc, int(size))
	if err == nil {
		n.guest = append(n.guest, machine.Note{Name: name, Type: kind, Desc: bytes.Clone(raw)})
	}
	return "", err
}
