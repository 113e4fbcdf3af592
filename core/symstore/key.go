// Package symstore finds and keeps symbol files: the keys of a symbol store,
// stores behind one small interface, the syntax of symbol paths, and the search
// along one. It opens no network connection and no file of the operating system
// by itself: file systems and fetchers are given to it.
package symstore

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/pdb"
)

// Limits of a key's parts. An ID is a PDB's GUID and age (32 digits and one to
// eight), or an image's time stamp and size (eight digits and one to eight).
const (
	maxName     = 128
	minID       = 9
	maxID       = 40
	guidDigits  = 32
	stampDigits = 8
	maxImageID  = 2 * stampDigits
)

// Key names one file of a symbol store. Only ParseKey and PDBKey make keys that
// are safe to build paths and addresses from.
type Key struct {
	Name string // the file's name, as given
	ID   string // canonical: see ParseKey
}

// ParseKey reads "NAME/ID/NAME". A name has letters, digits and "_.+-", does
// not begin with a dot, is no device of Windows and ends in .pdb, .exe, .dll or
// .sys; both names are the same apart from case. The ID becomes upper case, except the size in an image's
// ID, which symbol stores write in lower case. Everything else is refused with
// the code bad-option.
func ParseKey(s string) (Key, error) {
	name, rest, _ := strings.Cut(s, "/")
	id, file, _ := strings.Cut(rest, "/")
	if !strings.EqualFold(name, file) {
		return Key{}, badKey(s)
	}
	k, ok := newKey(name, id)
	if !ok {
		return Key{}, badKey(s)
	}
	return k, nil
}

func badKey(s string) error {
	const shown = 3 * maxName
	if len(s) > shown {
		s = s[:shown] + "…"
	}
	return fault.New(fault.BadOption, "%q is not the key of a symbol file", s).
		Hint("a key looks like ntkrnlmp.pdb/0123456789ABCDEF0123456789ABCDEF1/ntkrnlmp.pdb")
}

// PDBKey makes the key of a PDB from what an image's CodeView record says; of a
// path in name only the last element counts.
func PDBKey(name string, guid [16]byte, age uint32) (Key, error) {
	base := name[strings.LastIndexAny(name, `\/`)+1:]
	k, ok := newKey(base, guidText(guid)+fmt.Sprintf("%X", age))
	if !ok || !k.IsPDB() {
		return Key{}, fault.New(fault.NoCodeView, "the image names a PDB that no symbol store can hold: %q", base)
	}
	return k, nil
}

// newKey checks and makes canonical.
func newKey(name, id string) (Key, bool) {
	if !validName(name) || !validID(id) {
		return Key{}, false
	}
	k := Key{Name: name, ID: strings.ToUpper(id)}
	if !k.IsPDB() {
		if len(id) > maxImageID {
			return Key{}, false
		}
		k.ID = k.ID[:stampDigits] + strings.ToLower(k.ID[stampDigits:])
	}
	return k, true
}

func validName(s string) bool {
	if len(s) > maxName || strings.HasPrefix(s, ".") {
		return false
	}
	for _, c := range []byte(s) {
		if !letter(c) && !digit(c) && !strings.ContainsRune("_.+-", rune(c)) {
			return false
		}
	}
	if device(s) {
		return false
	}
	for _, ext := range []string{".pdb", ".exe", ".dll", ".sys"} {
		if len(s) > len(ext) && strings.EqualFold(s[len(s)-len(ext):], ext) {
			return true
		}
	}
	return false
}

// device reports whether Windows takes a file's name for a device, whatever
// follows its first dot and in whatever directory it is.
func device(name string) bool {
	base, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch base {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(base) == 4 && (base[:3] == "COM" || base[:3] == "LPT") && digit(base[3])
}

func validID(s string) bool {
	if len(s) < minID || len(s) > maxID {
		return false
	}
	for _, c := range []byte(s) {
		if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func digit(c byte) bool  { return c >= '0' && c <= '9' }

// String gives "NAME/ID/NAME", which is also the file's path in a store.
func (k Key) String() string { return k.Name + "/" + k.ID + "/" + k.Name }

// compressed gives the name that compressed files have: the last letter is "_".
func (k Key) compressed() string { return k.Name[:len(k.Name)-1] + "_" }

// IsPDB reports whether the key is a PDB's; else it is an image's.
func (k Key) IsPDB() bool {
	return len(k.Name) > 4 && strings.EqualFold(k.Name[len(k.Name)-4:], ".pdb")
}

// Magic is how the key's file begins.
func (k Key) Magic() string {
	if k.IsPDB() {
		return pdb.Magic
	}
	return imageMagic
}

// Noun says what the key's file is.
func (k Key) Noun() string {
	if k.IsPDB() {
		return "a PDB"
	}
	return "a Windows image"
}

// GUIDAge gives a PDB key's GUID, in the byte order of a CodeView record, and
// age; false: this is no PDB's key.
func (k Key) GUIDAge() (guid [16]byte, age uint32, ok bool) {
	if !k.IsPDB() || len(k.ID) <= guidDigits {
		return guid, 0, false
	}
	raw, err := hex.DecodeString(k.ID[:guidDigits])
	if err != nil {
		return guid, 0, false
	}
	n, err := strconv.ParseUint(k.ID[guidDigits:], 16, 32)
	if err != nil {
		return guid, 0, false
	}
	// The text has the first three numbers in reading order, the record has them
	// little-endian.
	le, be := binary.LittleEndian, binary.BigEndian
	copy(guid[:], raw)
	le.PutUint32(guid[0:], be.Uint32(raw[0:]))
	le.PutUint16(guid[4:], be.Uint16(raw[4:]))
	le.PutUint16(guid[6:], be.Uint16(raw[6:]))
	return guid, uint32(n), true
}

func guidText(g [16]byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X%04X%04X%X", le.Uint32(g[:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:])
}
