package machine_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
)

func file(data []byte) source.Source {
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: "file"}
}

func TestOpenAsksOneAfterAnother(t *testing.T) {
	var asked []string
	opener := func(name string, m *machine.Machine, err error) machine.Opener {
		return func(context.Context, source.Source, machine.Options) (*machine.Machine, error) {
			asked = append(asked, name)
			return m, err
		}
	}
	no := opener("no", nil, machine.ErrNotMine)
	want := &machine.Machine{Format: "x"}
	s := file([]byte("DISKDUMP"))
	open := func(list ...machine.Opener) (*machine.Machine, error) {
		asked = nil
		return machine.Open(context.Background(), s, machine.Options{}, list...)
	}
	if m, err := open(no, opener("yes", want, nil), no); m != want || err != nil || strings.Join(asked, " ") != "no yes" {
		t.Error(m, err, asked)
	}
	broken := fault.New(fault.DamagedHeader, "")
	if _, err := open(no, opener("broken", nil, broken), no); err != error(broken) || len(asked) != 2 {
		t.Error(err, asked)
	}
	if _, err := open(no, no); !fault.Is(err, fault.KdumpCompressed) || len(asked) != 2 {
		t.Error(err, asked)
	}
	s = file(nil)
	if _, err := open(no); !fault.Is(err, fault.EmptyFile) || asked != nil {
		t.Error(err, asked)
	}
}

// torn fails every read.
type torn struct{ err error }

func (r torn) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func TestAFileThatCannotBeRead(t *testing.T) {
	broken := errors.New("disk on fire")
	if err := machine.Recognise(source.Source{ReaderAt: torn{broken}, Size: 100, Name: "x"}); !fault.Is(err, fault.InputUnreadable) || !errors.Is(err, broken) {
		t.Error(err)
	}
	if err := machine.Recognise(source.Source{ReaderAt: torn{io.EOF}, Size: 100, Name: "x"}); !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
}

// What identify knows is said; a file that looks like a core no opener took
// keeps the code of an unknown one.
func TestWhatNoOpenerTookIsNamed(t *testing.T) {
	if err := machine.Recognise(file([]byte("QFI\xfb\x00\x00\x00\x03"))); !fault.Is(err, fault.OtherFormat) || !strings.Contains(err.Error(), "qcow2") {
		t.Error(err)
	}
	core := make([]byte, 64)
	copy(core, "\x7fELF\x02\x01\x01")
	core[16], core[18] = 4, 62
	if err := machine.Recognise(file(core)); !fault.Is(err, fault.UnknownFormat) || !strings.Contains(err.Error(), "not read") {
		t.Error(err)
	}
}
