package machine_test

import (
	"bytes"
	"context"
	"encoding/binary"
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

// elf makes the first 64 bytes of an ELF file.
func elf(class, order byte, kind, arch uint16) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF")
	h[4], h[5], h[6] = class, order, 1
	binary.LittleEndian.PutUint16(h[16:], kind)
	binary.LittleEndian.PutUint16(h[18:], arch)
	return h
}

func word(v uint32) []byte { return binary.LittleEndian.AppendUint32(nil, v) }

func TestNeighboursAreNamed(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar\x0000")
	raw := make([]byte, 1<<20)
	raw[0] = 0xeb
	for _, c := range []struct {
		name string
		data []byte
		code fault.Code
		text string // part of the sentence
	}{
		{"kdump", []byte("KDUMP   \x06\x00\x00\x00"), fault.KdumpCompressed, "kdump-compressed"},
		{"diskdump", []byte("DISKDUMP\x01"), fault.KdumpCompressed, "diskdump"},
		{"flattened", append([]byte("makedumpfile\x00\x00\x00\x00"), make([]byte, 4080)...), fault.KdumpCompressed, "flattened"},
		{"savevm", []byte("QEVM\x00\x00\x00\x03"), fault.SavevmImage, "QEMU"},
		{"virsh save", []byte("LibvirtQemudSave\x02"), fault.SavevmImage, "libvirt"},
		{"unfinished virsh save", []byte("LibvirtQemudPart\x02"), fault.SavevmImage, "unfinished"},
		{"64-bit dump", []byte("PAGEDU64\x0f"), fault.IsDmp, "64-bit"},
		{"32-bit dump", []byte("PAGEDUMP\x0f"), fault.IsDmp, "32-bit"},
		{"minidump", []byte("MDMP\x93\xa7\x00\x00"), fault.IsDmp, "minidump"},
		{"LiME", word(0x4c694d45), fault.OtherFormat, "LiME"},
		{"AVML", word(0x4c4d5641), fault.OtherFormat, "AVML"},
		{"vmss", word(0xbed2bed2), fault.OtherFormat, "VMware suspended"},
		{"vmss, partial", word(0xbed3bed3), fault.OtherFormat, "VMware suspended"},
		{"vmsn, 32-bit", word(0xbed2bed0), fault.OtherFormat, "VMware snapshot"},
		{"vmsn", word(0xbad1bad1), fault.OtherFormat, "VMware snapshot"},
		{"vmsn, later", word(0xbad2bad2), fault.OtherFormat, "VMware snapshot"},
		{"hibernation", []byte("HIBR"), fault.OtherFormat, "hibernation"},
		{"hibernation, resumed", []byte("hibr"), fault.OtherFormat, "hibernation"},
		{"hibernation, woken", []byte("WAKE"), fault.OtherFormat, "hibernation"},
		{"qcow2", []byte("QFI\xfb\x00\x00\x00\x03"), fault.OtherFormat, "qcow2"},
		{"vmdk", []byte("KDMV\x01"), fault.OtherFormat, "VMware disk image"},
		{"vmdk descriptor", []byte("# Disk DescriptorFile\nversion=1"), fault.OtherFormat, "descriptor"},
		{"vhdx", []byte("vhdxfile"), fault.OtherFormat, "Hyper-V"},
		{"vhd", []byte("conectix"), fault.OtherFormat, "VHD"},
		{"VirtualBox state", []byte("\x7fVirtualBox SavedState V2.0\n"), fault.OtherFormat, "VirtualBox"},
		{"older VirtualBox state", []byte("\x7fVBOX"), fault.OtherFormat, "VirtualBox"},
		{"Xen", []byte("XenSavedDomain"), fault.OtherFormat, "Xen"},
		{"old Xen", []byte("LinuxGuestRecord"), fault.OtherFormat, "Xen"},
		{"PDB", []byte("Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"), fault.OtherFormat, "PDB"},
		{"program", []byte("MZ\x90\x00"), fault.OtherFormat, "Windows program"},
		{"gzip", []byte{0x1f, 0x8b, 8, 0}, fault.OtherFormat, "gzip"},
		{"zstd", word(0xfd2fb528), fault.OtherFormat, "zstd"},
		{"xz", []byte("\xfd7zXZ\x00"), fault.OtherFormat, "xz"},
		{"bzip2", []byte("BZh91AY"), fault.OtherFormat, "bzip2"},
		{"lz4", word(0x184d2204), fault.OtherFormat, "lz4"},
		{"zip", []byte("PK\x03\x04"), fault.OtherFormat, "zip"},
		{"7z", []byte("7z\xbc\xaf\x27\x1c"), fault.OtherFormat, "7z"},
		{"tar", tar, fault.OtherFormat, "tar"},
		{"cabinet", []byte("MSCF\x00\x00\x00\x00"), fault.SymbolsCompressed, "cabinet"},
		{"web page", []byte("<!DOCTYPE html><html>"), fault.OtherFormat, "web page"},
		{"old web page", []byte("<html><body>"), fault.OtherFormat, "web page"},
		{"empty", nil, fault.EmptyFile, "empty"},
		{"raw", raw, fault.RawImage, "raw memory"},
		{"odd length", raw[:1<<20-1], fault.UnknownFormat, ""},
		{"short", raw[:4096], fault.UnknownFormat, ""},
		{"text", []byte("hello, world"), fault.UnknownFormat, ""},
		{"one byte", []byte("M"), fault.UnknownFormat, ""},

		{"i386 core in ELF64", elf(2, 1, 4, 3), fault.UnsupportedCPU, "32-bit x86"},
		{"i386 core in ELF32", elf(1, 1, 4, 3), fault.UnsupportedCPU, "32-bit x86"},
		{"ARM64 core", elf(2, 1, 4, 183), fault.UnsupportedCPU, "ARM64"},
		{"ARM core", elf(1, 1, 4, 40), fault.UnsupportedCPU, "32-bit ARM"},
		{"RISC-V core", elf(2, 1, 4, 243), fault.UnsupportedCPU, "RISC-V"},
		{"LoongArch core", elf(2, 1, 4, 258), fault.UnsupportedCPU, "LoongArch"},
		{"PowerPC core", elf(2, 1, 4, 21), fault.UnsupportedCPU, "PowerPC"},
		{"S/390 core", elf(2, 2, 4, 22), fault.UnsupportedCPU, "big endian"},
		{"unknown core", elf(2, 1, 4, 4711), fault.UnsupportedCPU, "4711"},
		{"object file", elf(2, 1, 1, 62), fault.OtherFormat, "object file"},
		{"vmlinux", elf(2, 1, 2, 62), fault.OtherFormat, "vmlinux"},
		{"shared library", elf(2, 1, 3, 62), fault.OtherFormat, "shared library"},
		{"odd type", elf(2, 1, 77, 62), fault.DamagedHeader, "77"},
		{"odd class", elf(9, 1, 4, 62), fault.DamagedHeader, "damaged"},
		{"odd order", elf(2, 0, 4, 62), fault.DamagedHeader, "damaged"},
		{"cut", elf(2, 1, 4, 62)[:19], fault.DamagedHeader, "damaged"},
	} {
		err := machine.Recognise(file(c.data))
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && len(fault.As(err).Remedy()) == 0 {
			t.Errorf("%s: no next step", c.name)
		}
		// A file cut anywhere within its signature is still answered.
		for n := range min(len(c.data), 64) {
			if err := machine.Recognise(file(c.data[:n])); err == nil || fault.Is(err, fault.Internal) {
				t.Errorf("%s, %d bytes: %v", c.name, n, err)
			}
		}
	}
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
	s := file([]byte("QEVM...."))
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
	if _, err := open(no, no); !fault.Is(err, fault.SavevmImage) || len(asked) != 2 {
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

func TestWhereTheKPCRIs(t *testing.T) {
	const kernel, user = 0xffffa78000000000, 0xa45d0f1000
	for _, c := range []struct {
		name string
		s    machine.X64State
		want uint64
	}{
		{"kernel", machine.X64State{GS: machine.Segment{Base: kernel}, KernelGSBase: user, HasKernelGSBase: true}, kernel},
		{"user", machine.X64State{GS: machine.Segment{Base: user}, KernelGSBase: kernel, HasKernelGSBase: true}, kernel},
		{"user, older note", machine.X64State{GS: machine.Segment{Base: user}, KernelGSBase: kernel}, 0},
		{"between", machine.X64State{GS: machine.Segment{Base: user}, KernelGSBase: user, HasKernelGSBase: true}, 0},
	} {
		if got := c.s.KPCR(); uint64(got) != c.want || c.s.GSInKernel() != (c.name == "kernel") {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	if s := (&machine.X64State{CS: machine.Segment{Selector: 0x33}}); s.Kernel() {
		t.Error("ring 3 taken for the kernel")
	}
	if s := (&machine.X64State{CS: machine.Segment{Selector: 0x10}}); !s.Kernel() {
		t.Error("ring 0 not taken for the kernel")
	}
}

func FuzzRecognise(f *testing.F) {
	for _, s := range []string{"", "MZ", "\x7fELF\x02\x01\x01", "KDUMP   ", "PAGEDU64"} {
		f.Add([]byte(s))
	}
	f.Add(elf(2, 1, 4, 3))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := machine.Recognise(file(data))
		var e *fault.Error
		if !errors.As(err, &e) || e.Code == fault.Internal || e.Text == "" {
			t.Fatal(err)
		}
	})
}
