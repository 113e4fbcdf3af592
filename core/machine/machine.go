// Package machine is the frozen virtual machine: its CPUs and its physical
// memory, whatever the container they came in. It recognises files of other
// tools by name. It does not import the containers: it is handed their openers.
package machine

import (
	"context"
	"errors"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// ErrNotMine is an opener's answer to a file of another format.
var ErrNotMine = errors.New("not this format")

// Options of opening.
type Options struct {
	CacheBytes int64  // page-cache budget; 0: as much as suits the source
	Snapshot   string // name or id of the one to open, where a file has several; "": the only one
	progress.Sink
}

// Opener reads one container format. It answers ErrNotMine (errors.Is) to a
// file that is not of its format, and a *fault.Error to one that is but cannot
// be used.
type Opener func(ctx context.Context, s source.Source, o Options) (*Machine, error)

// Machine is an opened core.
type Machine struct {
	Format string    // "elf", "kdump", …
	Arch   *cpu.Arch // of the guest's processors; nil: not known
	CPUs   []CPU
	Mem    mem.Physical
	Guest  []Note // notes that the guest itself supplied (vmcoreinfo device)

	// Board is the machine's type as its emulator calls it, "pc-q35-7.2"; "": the file
	// does not say. Capabilities are those that changed how the file was written.
	Board        string
	Capabilities []string

	// Snapshots are the saved states in a file that holds several, as a disk image
	// does; nil in a file that is one.
	Snapshots []Snapshot

	// Writer is the tool that wrote the core, "QEMU", as far as it says; "" unknown.
	Writer     string
	MissingEnd int64 // bytes of memory announced behind the end of the file

	// Listed is the memory that a container names, where Mem is nil: it cannot be
	// read, but is told of.
	Listed []mem.Extent

	ELF *ELF // nil: the container is none

	// Doubt is the refusal when no kernel of Arch is found: the registers do not
	// show that the guest is of that architecture. nil: they do.
	Doubt *fault.Error

	Warnings []fault.Warning
}

// ELF is what only an ELF core says of itself.
type ELF struct {
	Headers int          // program headers it announces
	Loads   []mem.Extent // of memory in the file, in the headers' order, overlaps kept
}

// Snapshot is a saved state with memory inside a larger file.
type Snapshot struct {
	ID, Name string // as the file says, not checked for being text
	Seconds  uint32 // of UTC, since 1970, when it was taken
	Bytes    uint64 // of the saved state
	Opened   bool   // it is the one whose machine this is
}

// Note is a note record that is not a CPU's.
type Note struct {
	Name string
	Type uint32
	Desc []byte
}

// Open hands the file to each opener in turn. A file that none of them takes is
// refused by the name of the format it is recognised as.
func Open(ctx context.Context, s source.Source, o Options, openers ...Opener) (*Machine, error) {
	if s.Size == 0 {
		return nil, fault.New(fault.EmptyFile, "")
	}
	if s.Prefetch != nil { // what a file is, its beginning tells; whether it is whole, its end
		n := min(mem.PageSize, s.Size)
		s.Prefetch([]source.Range{{Off: 0, Bytes: n}, {Off: s.Size - n, Bytes: n}})
	}
	for _, open := range openers {
		m, err := open(ctx, s, o)
		if errors.Is(err, ErrNotMine) {
			continue
		}
		return m, err
	}
	return nil, Recognise(s)
}

// Doubted gives the error of a search for a kernel of Arch: where the registers
// did not show that architecture, and nothing was found, that is what to say,
// and the machine is no longer called so.
func (m *Machine) Doubted(err error) error {
	if m.Doubt == nil {
		return err
	}
	for _, nothing := range []fault.Code{fault.KernelPagedState, fault.IDTUnreadable, fault.KernelNotFound, fault.NotWindows, fault.EncryptedGuest} {
		if fault.Is(err, nothing) {
			m.Arch = nil
			for _, c := range m.CPUs {
				if c.State != nil && c.State.Paging() {
					m.Arch = cpu.X86 // it ran with paging, and not in long mode
				}
			}
			doubt := *m.Doubt
			doubt.Err = err
			return &doubt
		}
	}
	return err
}
