package savevm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/bits"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// The types of sections. Source: QEMU 10.0 migration/savevm.h.
const (
	sectionEOF           = 0x00
	sectionStart         = 0x01
	sectionPart          = 0x02
	sectionEnd           = 0x03
	sectionFull          = 0x04
	sectionSubsection    = 0x05
	sectionDescription   = 0x06
	sectionConfiguration = 0x07
	sectionCommand       = 0x08
	sectionFooter        = 0x7e

	// A footer is its type and the section's id.
	footerBytes = 5
)

// Commands that say that memory was sent after the guest ran on elsewhere: such a
// stream is half of a conversation.
const (
	commandPostcopyListen = 4
	commandPostcopyResume = 8
)

const (
	minVersion = 2
	maxVersion = 3

	maxSections     = 4096 // QEMU numbers devices one by one; some hundred are usual
	maxMachineName  = 1 << 10
	maxCapabilities = 64

	defaultPageBits = 12
	maxPageBits     = 16
)

// section is one that was started.
type section struct {
	name     string
	instance uint32
	version  uint32
}

// state is a saved state that is being read.
type state struct {
	source   source.Source
	wrapping Wrapping
	options  machine.Options
	machine  *machine.Machine

	board        string   // the machine's type, "pc-q35-7.2"
	capabilities []string // those that change how the stream is written
	pageBits     uint
	ram          ram
	sections     map[uint32]section
	footers      bool              // sections have footers
	dimms        map[string]mem.PA // where libvirt says that memory was plugged in, by block
	early        []found           // devices that stand in front of the memory
	devices      int64             // where the devices begin; 0: the stream ends before
	trouble      error             // what ended the live part early: errCut or *damage
	description  *description
	found        []found               // the devices
	states       map[uint32]*cpu.State // the processors' registers by their number
}

func (st *state) warn(code fault.Code, format string, args ...any) {
	st.machine.Warnings = append(st.machine.Warnings, fault.Warn(code, format, args...))
}

// has reports whether the stream was written with a capability.
func (st *state) has(capability string) bool {
	for _, c := range st.capabilities {
		if c == capability {
			return true
		}
	}
	return false
}

// read walks the live part. A stream that ends or breaks there is no error:
// trouble says so, and what came before is kept.
func (st *state) read(ctx context.Context) error {
	c := newCursor(ctx, st.source, st.wrapping.Stream, st.options.Sink)
	defer c.close()
	if st.source.Size > maxAt {
		return refuse("this saved VM state is larger than %d bytes", int64(maxAt))
	}
	st.sections, st.pageBits = map[uint32]section{}, defaultPageBits
	err := st.live(c)
	var d *damage
	switch {
	case err == nil:
	case errors.Is(err, errCut), errors.As(err, &d):
		st.trouble = err
	default:
		return err
	}
	return st.ram.finish()
}

// live reads up to the first device behind the memory.
func (st *state) live(c *cursor) error {
	head, err := c.take(8)
	if err != nil {
		return err
	}
	switch version := be.Uint32(head[4:]); {
	case string(head[:4]) != magicStream:
		return fault.New(fault.DamagedHeader, "no saved state begins at %#x", st.wrapping.Stream)
	case version < minVersion || version > maxVersion:
		return fault.New(fault.DamagedHeader, "the saved state has version %d, known are %d and %d", version, minVersion, maxVersion)
	}
	for {
		at := c.at
		kind, err := c.u8()
		if err != nil {
			return err
		}
		switch kind {
		case sectionConfiguration:
			err = st.configuration(c)
		case sectionStart, sectionFull:
			if kind == sectionFull && st.ram.ended {
				st.devices = at
				return nil
			}
			err = st.start(c, at, kind)
		case sectionPart, sectionEnd:
			err = st.part(c, kind)
		case sectionCommand:
			err = st.command(c)
		case sectionEOF:
			if st.ram.ended {
				st.devices = at // there are none
				return nil
			}
			c.seek(at)
			err = c.damaged("the saved state ends before its memory does")
		default:
			c.seek(at)
			err = c.damaged("no section begins: its type would be %#x", kind)
		}
		if err != nil {
			return err
		}
	}
}

// configuration reads the machine's type and the subsections.
func (st *state) configuration(c *cursor) error {
	n, err := c.u32()
	if err != nil {
		return err
	}
	if n > maxMachineName {
		return c.damaged("the machine's name would be %d bytes long", n)
	}
	name, err := c.take(int(n))
	if err != nil {
		return err
	}
	st.board = printable(string(name))
	for {
		p, err := c.peek(1)
		if err != nil || len(p) == 0 || p[0] != sectionSubsection {
			return err
		}
		c.seek(c.at + 1)
		name, err := c.str8()
		if err != nil {
			return err
		}
		if _, err := c.u32(); err != nil { // version
			return err
		}
		switch name {
		case "configuration/target-page-bits":
			n, err := c.u32()
			if err != nil {
				return err
			}
			if n < defaultPageBits || n > maxPageBits {
				return c.damaged("a page would have 2^%d bytes", n)
			}
			st.pageBits = uint(n)
		case "configuration/capabilities":
			if err := st.readCapabilities(c); err != nil {
				return err
			}
		case "configuration/uuid":
			if _, err := c.take(16); err != nil {
				return err
			}
		default:
			return c.damaged("the configuration has an unknown part, %q", printable(name))
		}
	}
}

func (st *state) readCapabilities(c *cursor) error {
	n, err := c.u32()
	if err != nil {
		return err
	}
	if n > maxCapabilities {
		return c.damaged("%d capabilities are announced", n)
	}
	for range n {
		name, err := c.str8()
		if err != nil {
			return err
		}
		st.capabilities = append(st.capabilities, printable(name))
	}
	if st.has("x-ignore-shared") {
		return refuse("this saved VM state was written without the guest's memory, which was left in a shared file (x-ignore-shared)").
			Instead(step("the memory is in the file of the VM's memory backend (-object memory-backend-file), the state alone does not have it"))
	}
	return nil
}

// command steps over a command.
func (st *state) command(c *cursor) error {
	what, err := c.u16()
	if err != nil {
		return err
	}
	n, err := c.u16()
	if err != nil {
		return err
	}
	if what >= commandPostcopyListen && what <= commandPostcopyResume {
		return refuse("this saved VM state is one side of a postcopy migration: memory that was sent later is not in it").
			Instead(step("a saved state is written by virsh save or by migrate without postcopy"))
	}
	return c.skip(int64(n))
}

// start reads a section's header and, of what stands in front of the memory's
// end, the data.
func (st *state) start(c *cursor, at int64, kind byte) error {
	id, err := c.u32()
	if err != nil {
		return err
	}
	name, err := c.str8()
	if err != nil {
		return err
	}
	head, err := c.take(8)
	if err != nil {
		return err
	}
	s := section{name, be.Uint32(head), be.Uint32(head[4:])}
	if len(st.sections) >= maxSections {
		return c.damaged("there are more than %d sections", maxSections)
	}
	if _, twice := st.sections[id]; twice {
		return c.damaged("section %d is started twice", id)
	}
	st.sections[id] = s
	if kind == sectionFull {
		data := c.at
		if err := st.unknown(c, id); err != nil {
			return err
		}
		st.early = append(st.early, found{section: s, at: data, bytes: c.at - footerBytes - data})
		return nil
	}
	return st.data(c, id, s, false)
}

// part reads more of a section.
func (st *state) part(c *cursor, kind byte) error {
	id, err := c.u32()
	if err != nil {
		return err
	}
	s, ok := st.sections[id]
	if !ok {
		return c.damaged("section %d goes on that was never started", id)
	}
	return st.data(c, id, s, kind == sectionEnd)
}

// data reads what a live section holds, and its footer.
func (st *state) data(c *cursor, id uint32, s section, end bool) error {
	switch s.name {
	case "ram":
		if st.ram.pageSize == 0 {
			st.ram.begin(st)
		}
		if err := st.ram.records(c); err != nil {
			return err
		}
		st.ram.ended = st.ram.ended || end
	case "pbs-state": // of Proxmox VE: a length and so many bytes
		n, err := c.u64()
		if err != nil {
			return err
		}
		if err := c.skip(int64(min(n, 1<<62))); err != nil {
			return err
		}
	default:
		st.options.Logf("a live section that is not known: %q", s.name)
		return st.unknown(c, id)
	}
	return st.footer(c, id)
}

// footer steps over a section's footer, where there is one.
func (st *state) footer(c *cursor, id uint32) error {
	p, err := c.peek(footerBytes)
	switch {
	case err != nil || len(p) == 0 || p[0] != sectionFooter:
		return err
	case len(p) < footerBytes:
		return errCut
	}
	st.footers = true
	if got := be.Uint32(p[1:]); got != id {
		return c.damaged("section %d ends as section %d", id, got)
	}
	c.seek(c.at + footerBytes)
	return nil
}

// maxUnknown bounds the search for the end of a section whose length nothing
// tells.
const maxUnknown = 1 << 30

// unknown steps over data of a section whose length nothing tells: its footer
// ends it, if a section follows.
func (st *state) unknown(c *cursor, id uint32) error {
	begin := c.at
	mark := []byte{sectionFooter, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
	for c.at-begin < maxUnknown {
		n, err := c.find(mark)
		if err != nil {
			return err
		}
		if n < 0 {
			continue
		}
		p, err := c.peek(footerBytes + 1)
		if err != nil {
			return err
		}
		if len(p) == footerBytes {
			return errCut
		}
		switch p[footerBytes] {
		case sectionEOF, sectionStart, sectionPart, sectionEnd, sectionFull, sectionCommand:
			c.seek(c.at + footerBytes)
			return nil
		}
		c.seek(c.at + 1)
	}
	c.seek(begin)
	return c.damaged("section %d, which is not known, does not end", id)
}

// find moves to the next place of a mark within what one read gives, and says how
// far; -1, moved on to where it could begin: it is not there.
func (c *cursor) find(mark []byte) (int, error) {
	p, err := c.peek(maxTake)
	if err != nil {
		return 0, err
	}
	if len(p) < len(mark) {
		c.seek(c.end)
		return 0, errCut
	}
	n := bytes.Index(p, mark)
	if n < 0 {
		c.seek(c.at + int64(len(p)-len(mark)+1))
		return -1, nil
	}
	c.seek(c.at + int64(n))
	return n, nil
}

// printable is a text of the file as it may be shown.
func printable(s string) string {
	out := make([]rune, 0, len(s))
	for _, r := range s {
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, r)
	}
	return string(out)
}

// step is a next step in words.
func step(format string, args ...any) fault.Step {
	return fault.Step{Text: fmt.Sprintf(format, args...)}
}

// powerOfTwo reports whether v is one.
func powerOfTwo(v uint64) bool { return bits.OnesCount64(v) == 1 }
