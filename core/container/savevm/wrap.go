package savevm

import (
	"bytes"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
)

// libvirt's header, in the byte order of the host that wrote it: the magic, five
// words, and zeros up to its end; then the domain's XML, of data bytes. Source:
// libvirt 11.3 src/qemu/qemu_saveimage.h (struct _virQEMUSaveHeader).
const (
	magicStream = "QEVM"
	magicSave   = "LibvirtQemudSave"
	magicPart   = "LibvirtQemudPart"

	headVersion = 16
	headData    = 20
	headRunning = 24
	headBytes   = 92

	maxHeadVersion = 2
	// maxData bounds XML, cookie and padding; current versions pad to 64 KiB.
	maxData = 64 << 20
	// maxXML is how much of the XML is looked at.
	maxXML = 4 << 20
)

// Wrapping says how a stream lies in a file.
type Wrapping struct {
	Stream  int64  // where it begins, in bytes
	Packing string // what the stream is packed with, "gzip", …; "": it is not
	XML     string // libvirt's description of the machine; "": there is none
	Libvirt bool   // behind libvirt's header
	Part    bool   // libvirt did not finish it: the magic is rewritten last
	Running bool   // the guest ran until then; of libvirt's header
}

// packings are the programs that libvirt packs with, by what their files begin
// with: the number in the header is not as sure.
var packings = []struct{ magic, name string }{
	{"\x1f\x8b", "gzip"},
	{"BZh", "bzip2"},
	{"\xfd7zXZ\x00", "xz"},
	{"\x89LZO\x00\r\n\x1a\n", "lzop"},
	{"\x28\xb5\x2f\xfd", "zstd"},
}

// Unwrap finds the stream in a file. Files of other formats are
// machine.ErrNotMine.
func Unwrap(s source.Source) (Wrapping, error) {
	var w Wrapping
	head := make([]byte, min(headBytes, max(s.Size, 0)))
	if err := s.Full(head, 0); err != nil {
		return w, err
	}
	switch {
	case bytes.HasPrefix(head, []byte(magicStream)):
		return w, nil
	case bytes.HasPrefix(head, []byte(magicPart)):
		w.Part = true
	case !bytes.HasPrefix(head, []byte(magicSave)):
		return w, machine.ErrNotMine
	}
	w.Libvirt = true
	if len(head) < headBytes {
		return w, fault.New(fault.Truncated, "the file ends inside libvirt's header, after %d bytes", len(head))
	}
	word := le.Uint32
	if word(head[headVersion:]) > maxHeadVersion {
		word = be.Uint32
	}
	data := int64(word(head[headData:]))
	switch version := word(head[headVersion:]); {
	case version == 0 || version > maxHeadVersion:
		return w, fault.New(fault.DamagedHeader, "libvirt's header has version %#x, known are 1 and 2", le.Uint32(head[headVersion:]))
	case data > maxData:
		return w, fault.New(fault.DamagedHeader, "libvirt's header is damaged: it announces %d bytes of XML", data)
	}
	w.Running = word(head[headRunning:]) != 0
	w.Stream = headBytes + data
	xml := make([]byte, max(0, min(data, maxXML, s.Size-headBytes)))
	if err := s.Full(xml, headBytes); err != nil {
		return w, err
	}
	xml, _, _ = bytes.Cut(xml, []byte{0})
	w.XML = string(xml)
	first := make([]byte, max(0, min(16, s.Size-w.Stream)))
	if err := s.Full(first, min(w.Stream, s.Size)); err != nil {
		return w, err
	}
	for _, p := range packings {
		if bytes.HasPrefix(first, []byte(p.magic)) {
			w.Packing = p.name
			return w, nil
		}
	}
	switch {
	case len(first) < len(magicStream):
		return w, w.unfinished("it ends before the machine's state")
	case !bytes.HasPrefix(first, []byte(magicStream)):
		return w, w.unfinished("no saved state begins behind libvirt's header, at %#x", w.Stream)
	}
	return w, nil
}

// unfinished is a file that lacks what it is for.
func (w *Wrapping) unfinished(format string, args ...any) error {
	e := fault.New(fault.Truncated, format, args...)
	if w.Part {
		return refuse("libvirt has not finished this saved state: %s", e.Text)
	}
	return fault.New(fault.Truncated, "this saved state is not whole: %s", e.Text)
}
