package savevm

import (
	"errors"
	"strconv"

	"coredrop/core/fault"
)

// readDevices finds the devices: by the description, step by step, or where there
// is none by the headers of those that are wanted.
func (st *state) readDevices(c *cursor) error {
	from := st.devices
	if from == 0 {
		var d *damage
		if !errors.As(st.trouble, &d) || !st.ram.begun {
			return nil // the file ends before them
		}
		from = d.at
	}
	c.seek(from)
	d, begun, err := readDescription(c)
	if err != nil {
		return err
	}
	st.description = d
	if st.description != nil && st.devices != 0 {
		c.seek(from)
		err := st.step(c)
		var d *damage
		if err == nil {
			return nil
		}
		if err != errCut && !errors.As(err, &d) {
			return err
		}
		st.warn(fault.NoteDamaged, "the machine's devices do not agree with their description: %v", err)
		c.seek(max(from, c.at))
	} else {
		c.seek(from)
	}
	if err := st.search(c); err != nil {
		return err
	}
	if begun || st.devices == 0 || st.description != nil {
		return nil
	}
	whole, err := st.endsWhole(c.end, from)
	if err != nil || whole {
		return err
	}
	n := 0
	for i := range st.found {
		if st.found[i].name == deviceCPU {
			n++
		}
	}
	there := count(n, "processor's registers are", "processors' registers are")
	if st.footers {
		st.warn(fault.Truncated, "the file ends inside the machine's devices: %s there, others may be missing", there)
	} else {
		st.warn(fault.Truncated, "nothing in this saved state says which devices it has, so that it may have been cut among them: %s there", there)
	}
	return nil
}

// endsWhole reports whether the file ends as a stream without a description does:
// behind a device's footer comes the end mark. Where sections have no footers,
// nothing tells.
func (st *state) endsWhole(end, from int64) (bool, error) {
	p := make([]byte, footerBytes+1)
	if end-from < int64(len(p)) || !st.footers {
		return false, nil
	}
	if err := st.source.Full(p, end-int64(len(p))); err != nil {
		return false, err
	}
	return p[footerBytes] == sectionEOF && p[0] == sectionFooter && be.Uint32(p[1:]) < maxID, nil
}

// step walks the devices by their description.
func (st *state) step(c *cursor) error {
	list := st.description.Devices
	for i := range st.early { // they stand first in the description too
		if i < len(list) && list[i].Name == st.early[i].name && list[i].Instance == st.early[i].instance {
			st.early[i].described = &list[i]
			continue
		}
		return c.damaged("the device %q is not described", printable(st.early[i].name))
	}
	st.found = append(st.found, st.early...)
	list = list[len(st.early):]
	for {
		at := c.at
		kind, err := c.u8()
		if err != nil {
			return err
		}
		switch kind {
		case sectionEOF:
			if len(list) > 0 {
				c.seek(at)
				return c.damaged("%s described and not there", count(len(list), "device is", "devices are"))
			}
			return nil
		case sectionCommand:
			err = st.command(c)
		case sectionPart, sectionEnd:
			err = st.part(c, kind)
		case sectionFull:
			if len(list) == 0 {
				c.seek(at)
				return c.damaged("a device begins that is not described")
			}
			err = st.described(c, at, &list[0])
			list = list[1:]
		default:
			c.seek(at)
			return c.damaged("no device begins: its type would be %#x", kind)
		}
		if err != nil {
			return err
		}
	}
}

// described steps over a device, which the description must name.
func (st *state) described(c *cursor, at int64, want *device) error {
	id, s, err := deviceHead(c)
	if err != nil {
		return err
	}
	n, err := want.length()
	if err != nil || s.name != want.Name || s.instance != want.Instance {
		c.seek(at)
		return c.damaged("the device %q is described as %q", printable(s.name), printable(want.Name))
	}
	st.found = append(st.found, found{section: s, at: c.at, bytes: n, described: want})
	if err := c.skip(n); err != nil {
		return err
	}
	return st.footer(c, id)
}

// deviceHead reads what stands behind a device's type.
func deviceHead(c *cursor) (id uint32, s section, err error) {
	if id, err = c.u32(); err != nil {
		return 0, s, err
	}
	if s.name, err = c.str8(); err != nil {
		return 0, s, err
	}
	head, err := c.take(8)
	if err != nil {
		return 0, s, err
	}
	s.instance, s.version = be.Uint32(head), be.Uint32(head[4:])
	return id, s, nil
}

// What is searched for where nothing says how long devices are: the processors
// and the clock, whose memory says where RAM lies.
const (
	deviceCPU = "cpu"
	deviceRTC = "mc146818rtc"

	// maxID bounds a section's number, which QEMU counts up.
	maxID = 10000
	// maxVersionSeen bounds a device's version.
	maxVersionSeen = 100
	// maxInstance bounds a processor's number; QEMU's own limit is 4096.
	maxInstance = 4096
	// maxHeads bounds what is taken for a head.
	maxHeads = 2 * maxInstance
)

// search looks for the heads of the wanted devices byte by byte: a false one may
// hide a true one.
func (st *state) search(c *cursor) error {
	begin, all := c.at, len(st.found)+maxHeads
	for c.at-begin < maxDevices && len(st.found) < all {
		n, err := c.find([]byte{sectionFull, 0, 0})
		if err == errCut {
			return nil
		}
		if err != nil {
			return err
		}
		if n < 0 {
			continue
		}
		at := c.at
		c.seek(c.at + 1)
		id, s, err := deviceHead(c)
		if err != nil && err != errCut {
			return err
		}
		if err == nil && id < maxID && (s.name == deviceCPU || s.name == deviceRTC) && s.version < maxVersionSeen && s.instance < maxInstance {
			st.found = append(st.found, found{section: s, at: c.at, bytes: -1})
			continue
		}
		c.seek(at + 1)
	}
	return nil
}

// count words a number of things.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
