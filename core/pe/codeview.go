package pe

import (
	"encoding/binary"
	"fmt"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/mem"
)

// CodeView is the record that names an image's PDB.
type CodeView struct {
	GUID [16]byte // as in the record: three little-endian numbers, then eight bytes
	Age  uint32
	Name string // the last element of the path
}

// Key gives the PDB's identity in a symbol store: the GUID as 32 upper-case
// digits, then the age in upper-case digits without padding.
func (c CodeView) Key() string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X%04X%04X%X%X", le.Uint32(c.GUID[:]), le.Uint16(c.GUID[4:]), le.Uint16(c.GUID[6:]), c.GUID[8:], c.Age)
}

// kernelPDBs are the names Microsoft has given to kernel PDBs: by processor
// count and PAE on x86, one name on x64 and ARM64, ntkrla57 for 5-level paging.
var kernelPDBs = []string{"ntkrnlmp.pdb", "ntoskrnl.pdb", "ntkrnlpa.pdb", "ntkrpamp.pdb", "ntkrla57.pdb"}

// KernelPDBName reports whether a PDB of that name belongs to a kernel; case
// does not matter.
func KernelPDBName(name string) bool {
	for _, n := range kernelPDBs {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func noCodeView(err error, format string, args ...any) error {
	return fault.Wrap(err, fault.NoCodeView, format, args...)
}

// codeView looks through all entries of the debug directory for the first usable
// record. When there is none the error is about the first entry that came close.
func (r reader) codeView(d directory) (*CodeView, error) {
	if d.rva == 0 {
		return nil, noCodeView(nil, "the image at %v has no debug directory", r.base)
	}
	if d.size < debugBytes {
		return nil, noCodeView(nil, "the debug directory of the image at %v is empty", r.base)
	}
	var first error
	for i := range min(d.size/debugBytes, maxDebugEntries) {
		cv, err := r.debugEntry(d.rva + i*debugBytes)
		if cv != nil {
			return cv, nil
		}
		if first == nil {
			first = err
		}
	}
	if first == nil {
		first = noCodeView(nil, "the debug directory of the image at %v has no CodeView entry", r.base)
	}
	return nil, first
}

// debugEntry gives the record of one entry; both nil: an entry of another type.
func (r reader) debugEntry(rva uint32) (*CodeView, error) {
	var e [debugBytes]byte
	if err := r.read(e[:], rva); err != nil {
		return nil, noCodeView(err, "the debug directory at %v could not be read: %v", r.base+mem.VA(rva), err)
	}
	le := binary.LittleEndian
	if le.Uint32(e[debugType:]) != debugCodeView {
		return nil, nil
	}
	size, at := le.Uint32(e[debugSize:]), le.Uint32(e[debugRVA:])
	if size < minCodeView {
		return nil, noCodeView(nil, "the CodeView record of the image at %v has only %d bytes", r.base, size)
	}
	if at == 0 {
		return nil, noCodeView(nil, "the CodeView record of the image at %v is not mapped (file offset %#x)", r.base, le.Uint32(e[debugPointer:]))
	}
	return r.record(at, size)
}

func (r reader) record(at, size uint32) (*CodeView, error) {
	va := r.base + mem.VA(at)
	unreadable := func(err error) error {
		return noCodeView(err, "the CodeView record at %v could not be read: %v", va, err)
	}
	var h [rsdsName]byte
	if err := r.read(h[:], at); err != nil {
		return nil, unreadable(err)
	}
	switch magic := string(h[:4]); magic {
	case rsdsMagic:
	case nb10Magic:
		return nil, noCodeView(nil, "the CodeView record at %v is of format NB10 (PDB 2.0), which is not supported", va)
	default:
		return nil, noCodeView(nil, "the CodeView record at %v has the unknown signature %q", va, magic)
	}
	if at+rsdsName < at {
		return nil, unreadable(ErrNotImage)
	}
	name, err := r.text(at+rsdsName, int(min(size-rsdsName, maxNameBytes)))
	if err != nil {
		return nil, unreadable(err)
	}
	cv := &CodeView{Age: binary.LittleEndian.Uint32(h[rsdsAge:]), Name: string(name)}
	copy(cv.GUID[:], h[rsdsGUID:])
	cv.Name = cv.Name[strings.LastIndexAny(cv.Name, `\/`)+1:]
	if cv.Name == "" {
		return nil, noCodeView(nil, "the CodeView record at %v has no name", va)
	}
	return cv, nil
}
