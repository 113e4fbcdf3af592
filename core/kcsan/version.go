package kcsan

import (
	"strconv"
	"strings"
)

// A Version is a generation of kernel/kcsan/report.c. What its reports look
// like and which checks it makes is data, see [Features]; nothing in this
// package compares versions with each other. The zero Version is the reference
// revision.
type Version uint8

// The generations of report.c that print differently. Each name is the first
// release of its generation.
const (
	Reference Version = iota // 5.8 and 5.9: one entry point, 12 access kinds, no values
	V5_10                    // 5.10 to 5.13: compound accesses are "read-write"
	V5_14                    // 5.14 and 5.15: observed value change, separate entry points
	V5_16                    // 5.16: accesses carry an explicit location
	V5_17                    // 5.17 to 6.0: weak memory, "(reordered)", "reordered to"
	V6_1                     // 6.1 to 6.11: panics by name
	V6_12                    // 6.12 and newer: the footer tells the user ID and spells taints out
	versions
)

// Features is what one [Version] does differently from the others. Sources:
// kernel/kcsan/report.c of 5.9.1, 5.10.223, 6.1.192 and 6.12.117, compared as
// files, and the patches in between.
type Features struct {
	Release string // first release of this generation, "5.17"

	// Bits holds the number that the kernel's int access_type gives to each
	// flag, in the order of the Access constants: write, compound, atomic,
	// assert, scoped. 0 means that the flag does not exist.
	Bits [accessFlags]uint32
	// ScopedWord is what SCOPED is called in a headline.
	ScopedWord string
	// ScopedCompound tells whether a compound access can be scoped.
	ScopedCompound bool

	// AddrBits is the number of low address bits that an encoded watchpoint
	// keeps (before 5.11 the mask was one bit too short).
	AddrBits uint

	ValueChange bool // "value changed:" lines are printed (R14)
	ExplicitIP  bool // an access may carry its own location, which replaces a stack entry (R15)
	ReorderedTo bool // the replaced entry is printed below the trace (R15)
	IndexCheck  bool // a wrong watchpoint index WARNs (R11)
	PanicInside bool // panic_on_warn acts inside the printing, not after it (R12)
	PanicText   string

	FooterUID    bool // "UID: 0" between CPU and PID
	FooterTaints bool // a line "Tainted: [N]=TEST" spells the taint flags out
}

// The two numberings of access_type, include/linux/kcsan-checks.h: COMPOUND was
// inserted in 5.10 and moved the flags behind it.
var (
	referenceBits = [accessFlags]uint32{1, 0, 2, 4, 8}
	newerBits     = [accessFlags]uint32{1, 2, 4, 8, 16}
)

// Panic texts: check_panic_on_warn names its caller from about 6.1 on (and in
// stable branches, which Config.PanicText can say).
const (
	panicText      = "panic_on_warn set ..."
	panicTextNamed = "KCSAN: panic_on_warn set ..."
)

var features = [versions]Features{
	Reference: {Release: "5.8", Bits: referenceBits, ScopedWord: "scoped", AddrBits: 48,
		IndexCheck: true, PanicText: panicText},
	V5_10: {Release: "5.10", Bits: newerBits, ScopedWord: "scoped", AddrBits: 48,
		IndexCheck: true, PanicText: panicText},
	V5_14: {Release: "5.14", Bits: newerBits, ScopedWord: "scoped", AddrBits: 49,
		ValueChange: true, PanicInside: true, PanicText: panicText},
	V5_16: {Release: "5.16", Bits: newerBits, ScopedWord: "scoped", ScopedCompound: true, AddrBits: 49,
		ValueChange: true, ExplicitIP: true, PanicInside: true, PanicText: panicText},
	V5_17: {Release: "5.17", Bits: newerBits, ScopedWord: "reordered", ScopedCompound: true, AddrBits: 49,
		ValueChange: true, ExplicitIP: true, ReorderedTo: true, PanicInside: true, PanicText: panicText},
	V6_1: {Release: "6.1", Bits: newerBits, ScopedWord: "reordered", ScopedCompound: true, AddrBits: 49,
		ValueChange: true, ExplicitIP: true, ReorderedTo: true, PanicInside: true, PanicText: panicTextNamed},
	V6_12: {Release: "6.12", Bits: newerBits, ScopedWord: "reordered", ScopedCompound: true, AddrBits: 49,
		ValueChange: true, ExplicitIP: true, ReorderedTo: true, PanicInside: true, PanicText: panicTextNamed,
		FooterUID: true, FooterTaints: true},
}

// Features returns what v does. A Version outside the declared ones behaves as
// the newest.
func (v Version) Features() Features {
	if v >= versions {
		v = versions - 1
	}
	return features[v]
}

// String returns the first release of the generation, as in "5.17".
func (v Version) String() string { return v.Features().Release }

// Versions returns all generations, oldest first.
func Versions() []Version {
	all := make([]Version, versions)
	for i := range all {
		all[i] = Version(i)
	}
	return all
}

// VersionOf returns the generation of a kernel release such as
// "6.1.192-kcsan-a" and whether the release could be read. Releases before 5.8
// (KCSAN was developed on 5.3 and 5.4) count as the reference revision.
// Vendors backport: what a report's own text shows is better evidence.
func VersionOf(release string) (Version, bool) {
	major, minor, ok := majorMinor(release)
	if !ok {
		return versions - 1, false
	}
	found := Reference
	for v := Reference; v < versions; v++ {
		ma, mi, _ := majorMinor(features[v].Release)
		if major > ma || major == ma && minor >= mi {
			found = v
		}
	}
	return found, true
}

// majorMinor reads the first two numbers of a release.
func majorMinor(release string) (major, minor int, ok bool) {
	a, rest, found := strings.Cut(release, ".")
	if !found {
		return 0, 0, false
	}
	end := 0
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(rest[:end])
	return major, minor, err1 == nil && err2 == nil && major >= 0
}
