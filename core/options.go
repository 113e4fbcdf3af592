package core

import (
	"coredrop/core/container/elfcore"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/progress"
	"coredrop/core/summary"
	"coredrop/core/windows"
)

// Options of Open and the one-shots. The zero value works: no symbols, the
// default profile, a full dump (bitmap when its runs do not fit), verified.
type Options struct {
	// Symbols gives PDBs by name and identity; nil: there are none, and no
	// network is touched.
	Symbols windows.Symbols
	// Compat makes Convert write what upstream elf2dmp 10.2.2 writes, byte for
	// byte, or refuse with compat-lossy.
	Compat bool
	// Type is one of dmp.Types; "" chooses.
	Type string
	// Registers is dmp.RegistersLive for the registers that the CPUs had when the
	// core was taken, everywhere; "": in a bug check those that Windows recorded.
	Registers string
	// Snapshot is the name or id of the one to open where a file holds several
	// saved states, as a disk image may; "": the only one.
	Snapshot string
	// Packed is what the input was unpacked from by who opens it, nil: nothing; and
	// Warnings are those of doing it. Both are for the summary.
	Packed   *summary.Packed
	Warnings []fault.Warning
	// CacheBytes is the page cache's budget; 0: as much as suits the source.
	CacheBytes int64
	// NoVerify leaves out reading the dump back.
	NoVerify bool
	progress.Sink
}

// openers are the containers that can be read, in the order they are tried.
var openers = []machine.Opener{elfcore.Open, kdumpOpener, savevmOpener, qcow2Opener}
