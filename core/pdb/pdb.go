// Package pdb reads public symbols from a PDB file (MSF 7.00): its identity, and
// where a few names are. It reads by blocks through io.ReaderAt, holds at most
// 1 MiB of the file and no stream whole, and reads no types, lines or modules.
package pdb

import (
	"encoding/binary"
	"io"
)

// File is an open PDB. It is not safe for concurrent use; the reader under it is
// the caller's to close, after the last use.
type File struct {
	msf     *msf
	guid    [16]byte
	age     uint32
	infoAge uint32
	machine uint16
	symbols uint32 // stream of the symbol records; noStream: none
	debug   int64  // offset of the debug header in the DBI stream
	entries int64  // of the debug header

	placed *placement // read once it is needed
}

// Open reads the identity of a PDB of size bytes. It fails with a *fault.Error:
// symbols-not-a-pdb, symbols-compressed (a CAB), pdb-damaged, or
// symbols-unreadable when r fails. A file that is shorter than its own count of
// blocks is damaged.
func Open(r io.ReaderAt, size int64) (*File, error) {
	m, err := openMSF(r, size)
	if err != nil {
		return nil, err
	}
	f := &File{msf: m}
	if err := f.readInfo(); err != nil {
		return nil, err
	}
	if err := f.readDBI(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) readInfo() error {
	s, err := f.msf.stream(infoStream)
	if err != nil {
		return err
	}
	var h [infoBytes]byte
	if err := s.readAt(h[:], 0, "PDB information"); err != nil {
		return err
	}
	if v := binary.LittleEndian.Uint32(h[infoVersion:]); v < infoVC70 {
		return damaged("version %d of its information has no GUID", v)
	}
	f.infoAge = binary.LittleEndian.Uint32(h[infoAge:])
	copy(f.guid[:], h[infoGUID:])
	return nil
}

func (f *File) readDBI() error {
	s, err := f.msf.stream(dbiStream)
	if err != nil {
		return err
	}
	var h [dbiBytes]byte
	if err := s.readAt(h[:], 0, "DBI header"); err != nil {
		return err
	}
	le := binary.LittleEndian
	if le.Uint32(h[dbiSignature:]) != 0xffffffff {
		return damaged("stream %d has no DBI signature", dbiStream)
	}
	f.age = le.Uint32(h[dbiAge:])
	f.machine = le.Uint16(h[dbiMachine:])
	f.symbols = uint32(le.Uint16(h[dbiSymbols:]))
	f.debug = dbiBytes
	for _, at := range []int{dbiModules, dbiContributions, dbiSectionMap, dbiSources, dbiTypeServers, dbiEC} {
		// As the sum is of unsigned 32-bit numbers, a negative size is too large.
		f.debug += int64(le.Uint32(h[at:]))
	}
	bytes := int64(le.Uint32(h[dbiDebugHeader:]))
	if f.debug+bytes > int64(s.size) {
		return ends(dbiStream, "its substreams are longer than it")
	}
	f.entries = min(bytes/2, debugEntries)
	return nil
}

// GUID gives the PDB's GUID in the byte order of a CodeView record.
func (f *File) GUID() [16]byte { return f.guid }

// Age gives the age of the DBI stream, which is the one the image names.
func (f *File) Age() uint32 { return f.age }

// InfoAge gives the age of the PDB information stream: how often the file was
// written, which tools have also used in its place.
func (f *File) InfoAge() uint32 { return f.infoAge }

// Machine gives the processor in the numbers of package pe.
func (f *File) Machine() uint16 { return f.machine }

// Matches reports whether the PDB is the one a CodeView record names: the same
// GUID, and the age of the DBI or of the information stream.
func (f *File) Matches(guid [16]byte, age uint32) bool {
	return f.guid == guid && (age == f.age || age == f.infoAge)
}
