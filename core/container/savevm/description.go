package savevm

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"coredrop/core/source"
)

// The description says how long each device's data is and where its fields are.
// It stands behind the end mark: its type, a length, JSON. Source: QEMU 10.0
// migration/vmstate.c (vmstate_save_state_v) and savevm.c.
type description struct {
	Devices []device `json:"devices"`
}

// device is one full section.
type device struct {
	Name     string `json:"name"`
	Instance uint32 `json:"instance_id"`
	Version  uint32 `json:"version"`
	Size     *int64 `json:"size"` // of one whose fields are not described
	fields
}

// fields are what a device or a subsection of it holds, in the order of the
// stream.
type fields struct {
	Fields      []field      `json:"fields"`
	Subsections []subsection `json:"subsections"`
}

// field is one of them: Count elements of Size bytes, which for a structure is
// measured, its own subsections included.
type field struct {
	Name  string `json:"name"`
	Size  int64  `json:"size"`
	Count *int64 `json:"array_len"`
}

// subsection is one, with a head of its own in front.
type subsection struct {
	Name string `json:"vmsd_name"`
	fields
}

const (
	// subsectionHead is the type, the name's length and the version.
	subsectionHead = 1 + 1 + 4

	// Bounds of the text: real ones have 25 to 200 KB, some 10 KB more for each
	// processor, and an object in every 60 bytes. maxDevices bytes are searched for
	// it behind the memory, and so many false beginnings are stepped over.
	maxDescription = 16 << 20
	maxObjects     = 1 << 19
	maxElements    = 1 << 21
	maxFalse       = 64
	maxDevices     = 4 << 30
)

var errSize = errors.New("a field's length cannot be")

// bytes is the length of all elements.
func (f *field) bytes() (int64, error) {
	count := int64(1)
	if f.Count != nil {
		count = *f.Count
	}
	if f.Size < 0 || count < 0 || count > 0 && f.Size > math.MaxInt32/count {
		return 0, errSize
	}
	return f.Size * count, nil
}

// bytes is the length of the fields and of the subsections behind them.
func (f *fields) bytes() (total int64, err error) {
	for i := range f.Fields {
		n, err := f.Fields[i].bytes()
		if err != nil {
			return 0, err
		}
		total += n
	}
	for i := range f.Subsections {
		n, err := f.Subsections[i].bytes()
		if err != nil {
			return 0, err
		}
		total += subsectionHead + int64(len(f.Subsections[i].Name)) + n
	}
	if total > maxDevices {
		return 0, errSize
	}
	return total, nil
}

// length is that of the device's data.
func (d *device) length() (int64, error) {
	if d.Size != nil {
		if *d.Size < 0 || *d.Size > maxDevices {
			return 0, errSize
		}
		return *d.Size, nil
	}
	return d.bytes()
}

// readDescription looks for the description from a place on; nil: there is none
// that is whole. begun: one begins, and the file ends inside it.
func readDescription(c *cursor) (found *description, begun bool, err error) {
	begin, tried := c.at, 0
	mark := []byte{sectionEOF, sectionDescription}
	const head = 6 // the mark and a length
	for c.at-begin < maxDevices {
		n, err := c.find(mark)
		if err != nil || n < 0 {
			if err == errCut {
				return nil, begun, nil
			}
			if err != nil {
				return nil, false, err
			}
			continue
		}
		p, err := c.peek(head + 2)
		if err != nil {
			return nil, false, err
		}
		if len(p) < head+2 {
			return nil, begun, nil
		}
		length := int64(be.Uint32(p[2:]))
		if string(p[head:]) != `{"` || length > maxDescription {
			c.seek(c.at + 1)
			continue
		}
		if length > c.end-c.at-head {
			begun = true
			c.seek(c.at + 1)
			continue
		}
		if tried++; tried > maxFalse {
			break
		}
		text := make([]byte, length)
		if err := c.from.s.Full(text, c.at+head); err != nil {
			return nil, false, err
		}
		if d := parseDescription(text); d != nil {
			return d, false, nil
		}
		c.seek(c.at + 1)
	}
	return nil, begun, nil
}

// parseDescription reads the text; nil: it is none.
func parseDescription(text []byte) *description {
	if bytes.Count(text, []byte("{")) > maxObjects || bytes.Count(text, []byte(",")) > maxElements {
		return nil
	}
	var d description
	if json.Unmarshal(text, &d) != nil || len(d.Devices) == 0 {
		return nil
	}
	return &d
}

// span is where a field lies in a device's data: count elements of size bytes.
type span struct{ off, size, count int64 }

// layout is where the fields of a device or of a subsection lie, by name.
type layout map[string]span

// places gives the fields by name, and those of the subsections by the name of
// the subsection. base is where the data begins.
func (f *fields) places(base int64) (own layout, below map[string]layout) {
	own, below = layout{}, map[string]layout{}
	at := base
	for i := range f.Fields {
		g := &f.Fields[i]
		n, err := g.bytes()
		if err != nil {
			return own, below
		}
		count := int64(1)
		if g.Count != nil {
			count = *g.Count
		}
		if _, twice := own[g.Name]; !twice {
			own[g.Name] = span{at, g.Size, count}
		}
		at += n
	}
	for i := range f.Subsections {
		s := &f.Subsections[i]
		n, err := s.bytes()
		if err != nil {
			return own, below
		}
		at += subsectionHead + int64(len(s.Name))
		below[s.Name], _ = s.places(at)
		at += n
	}
	return own, below
}

// named gives a field that has one of the names: those that a name has had in
// versions of QEMU, with and without the number of one that occurs twice.
func (l layout) named(name string, number int) (span, bool) {
	if s, ok := l[name+"["+strconv.Itoa(number)+"]"]; ok {
		return s, true
	}
	if number > 0 {
		return span{}, false
	}
	s, ok := l[name]
	return s, ok
}

// found is a device's data in the file.
type found struct {
	section
	at, bytes int64   // bytes: -1 where nothing tells
	described *device // nil: its layout is not known
}

// read gives the data, at most n bytes of it.
func (f *found) read(s source.Source, n int64) ([]byte, error) {
	n = max(0, min(n, s.Size-f.at))
	if f.bytes >= 0 {
		n = min(n, f.bytes)
	}
	p := make([]byte, n)
	return p, s.Full(p, f.at)
}
