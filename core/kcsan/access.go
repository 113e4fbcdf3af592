package kcsan

import (
	"fmt"
	"strings"
)

// An AccessType is the kernel's access_type, KCSAN_ACCESS_*, in the newer
// numbering whatever the version; [Version.DecodeType] and
// [Version.EncodeType] translate. Bits behind the five flags belong to no
// flag and are kept, so that a damaged value can be named in an error.
type AccessType uint64

// The flags of an access, include/linux/kcsan-checks.h.
const (
	AccessWrite    AccessType = 1 << iota // a write; a read when not set
	AccessCompound                        // reads and writes (since 5.10)
	AccessAtomic                          // marked: READ_ONCE, WRITE_ONCE, atomics
	AccessAssert                          // an assertion, not an access: no writes, or no accesses with AccessWrite
	AccessScoped                          // watched for a whole scope; since 5.17: reordered

	accessFlags = 5
)

// InterruptPID is the PID of an access outside task context.
const InterruptPID = -1

// An Access is the kernel's struct access_info: one of the two accesses of a
// race.
type Access struct {
	Addr uint64     // the kernel's ptr
	Size uint64     // in bytes; 0 marks a slot as free
	Type AccessType // what kind of access
	PID  int        // task, or InterruptPID
	CPU  int
	IP   uint64 // explicit location of a scoped or reordered access; 0 when there is none (and before 5.16)
}

// Interrupt reports whether the access happened outside task context.
func (a Access) Interrupt() bool { return a.PID == InterruptPID }

// Location is the explicit location that a report shows the access at: that of a
// scoped or reordered one, else 0. Since 5.16 the kernel passes one for every
// access and keeps it for those only.
func (a Access) Location() uint64 {
	if a.Type&AccessScoped == 0 {
		return 0
	}
	return a.IP
}

// Overlaps is R9's matching of two accesses by their addresses, whose last
// bytes wrap around as the kernel's do.
func (a Access) Overlaps(b Access) bool { return overlaps(a.Addr, a.Size, b.Addr, b.Size) }

func overlaps(a, n, b, m uint64) bool { return a+n-1 >= b && b+m-1 >= a }

// A TypeError tells of an access type that no kernel of that version prints:
// there it is a BUG().
type TypeError struct {
	Version Version
	Type    AccessType
}

// Error names the value in the newer numbering.
func (e *TypeError) Error() string {
	return fmt.Sprintf("access type %#x has no name in version %s", uint64(e.Type), e.Version)
}

// DecodeType translates an access_type as a kernel of version v stores it. Bits
// that the version gives no meaning to are kept behind the five flags, where
// [Version.KindName] finds them.
func (v Version) DecodeType(raw uint32) AccessType {
	var t AccessType
	known := 0 // bits that have a meaning; they are the lowest
	for i, bit := range v.Features().Bits {
		if bit == 0 {
			continue
		}
		known++
		if raw&bit != 0 {
			t |= 1 << i
		}
	}
	return t | AccessType(raw>>known)<<accessFlags
}

// EncodeType is the inverse of [Version.DecodeType]. It fails with a
// *[TypeError] for a flag that the version does not have.
func (v Version) EncodeType(t AccessType) (uint32, error) {
	var raw uint32
	known := 0
	for i, bit := range v.Features().Bits {
		if bit != 0 {
			known++
		}
		if t&(1<<i) == 0 {
			continue
		}
		if bit == 0 {
			return 0, &TypeError{v, t}
		}
		raw |= bit
	}
	beyond := t >> accessFlags << known
	if beyond>>32 != 0 {
		return 0, &TypeError{v, t}
	}
	return raw | uint32(beyond), nil
}

// KindName is R1: what the headline calls an access. It fails with a
// *[TypeError] where the kernel has a BUG().
func (v Version) KindName(t AccessType) (string, error) {
	f := v.Features()
	// The assertion is looked at first; whatever else is set is then ignored,
	// apart from the two flags that choose among the four forms.
	if t&AccessAssert != 0 {
		name := "assert no writes"
		if t&AccessWrite != 0 {
			name = "assert no accesses"
		}
		if t&AccessScoped != 0 {
			name += " (" + f.ScopedWord + ")"
		}
		return name, nil
	}
	var name string
	switch t &^ (AccessAtomic | AccessScoped) {
	case 0:
		name = "read"
	case AccessWrite:
		name = "write"
	case AccessWrite | AccessCompound:
		if f.Bits[1] == 0 || t&AccessScoped != 0 && !f.ScopedCompound {
			return "", &TypeError{v, t}
		}
		name = "read-write"
	default:
		return "", &TypeError{v, t}
	}
	var marks []string
	if t&AccessAtomic != 0 {
		marks = append(marks, "marked")
	}
	if t&AccessScoped != 0 {
		marks = append(marks, f.ScopedWord)
	}
	if marks != nil {
		name += " (" + strings.Join(marks, ", ") + ")"
	}
	return name, nil
}

// BugKind is R2: "assert: race" or "data-race" for the OR of the known access
// types.
func BugKind(types AccessType) string {
	if types&AccessAssert != 0 {
		return "assert: race"
	}
	return "data-race"
}
