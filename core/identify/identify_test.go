package identify_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/source"
)

var le = binary.LittleEndian

func file(data []byte, name string) source.Source {
	return source.Source{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Name: name}
}

func word(v uint32) []byte { return le.AppendUint32(nil, v) }

// elf makes the first 64 bytes of an ELF file.
func elf(class, order byte, kind, arch uint16) []byte {
	h := make([]byte, 64)
	copy(h, "\x7fELF")
	h[4], h[5], h[6] = class, order, 1
	le.PutUint16(h[16:], kind)
	le.PutUint16(h[18:], arch)
	return h
}

// note makes a note record.
func note(name string, kind uint32, desc []byte) []byte {
	pad := func(p []byte) []byte { return append(p, make([]byte, -len(p)&3)...) }
	out := append(append(word(uint32(len(name)+1)), word(uint32(len(desc)))...), word(kind)...)
	out = append(out, pad(append([]byte(name), 0))...)
	return append(out, pad(bytes.Clone(desc))...)
}

// core makes an ELF64 core with one note segment and one load at paddr.
func core(arch uint16, paddr uint64, notes ...[]byte) []byte {
	h := elf(2, 1, 4, arch)
	le.PutUint64(h[0x20:], 64)
	le.PutUint16(h[0x36:], 56)
	le.PutUint16(h[0x38:], 2)
	all := bytes.Join(notes, nil)
	table := make([]byte, 112)
	le.PutUint32(table, 4)
	le.PutUint64(table[8:], 176)
	le.PutUint64(table[32:], uint64(len(all)))
	le.PutUint32(table[56:], 1)
	le.PutUint64(table[56+24:], paddr)
	le.PutUint64(table[56+32:], 4096)
	return bytes.Join([][]byte{h, table, all, make([]byte, 4096)}, nil)
}

func qemuCore() []byte { return core(62, 0, note("QEMU", 0, make([]byte, 440))) }

func psinfo(program string) []byte {
	d := make([]byte, 136)
	copy(d[40:], program)
	return note("CORE", 3, d)
}

// xenCore has sections and no program headers.
func xenCore() []byte {
	h := elf(2, 1, 4, 62)
	le.PutUint64(h[0x28:], 64)
	le.PutUint16(h[0x3a:], 64)
	le.PutUint16(h[0x3c:], 2)
	n := note("Xen", 0x2000001, make([]byte, 8))
	sections := make([]byte, 128)
	le.PutUint32(sections[64+4:], 7)
	le.PutUint64(sections[64+24:], 192)
	le.PutUint64(sections[64+32:], uint64(len(n)))
	return bytes.Join([][]byte{h, sections, n}, nil)
}

func packedBy(t *testing.T, make func(io.Writer) (io.WriteCloser, error), data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := make(&b)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t *testing.T, data []byte) []byte {
	return packedBy(t, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }, data)
}

func zst(t *testing.T, data []byte) []byte {
	return packedBy(t, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }, data)
}

func xzOf(t *testing.T, data []byte) []byte {
	return packedBy(t, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }, data)
}

func tarOf(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	err := errors.Join(w.WriteHeader(&tar.Header{Name: "dir/", Typeflag: tar.TypeDir, Mode: 0o755}),
		w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644, Typeflag: tar.TypeReg}))
	if err == nil {
		_, err = w.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipOf(t *testing.T, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	if name != "" {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		f.Write(data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func cpioOf(name string, data []byte) []byte {
	fields := make([]uint32, 13)
	fields[6], fields[11] = uint32(len(data)), uint32(len(name)+1)
	s := "070701"
	for _, f := range fields {
		s += fmt.Sprintf("%08X", f)
	}
	s += name + "\x00"
	s += strings.Repeat("\x00", -len(s)&3)
	return append([]byte(s), data...)
}

// oldTar is a tar archive without the signature.
func oldTar() []byte {
	h := make([]byte, 1024)
	copy(h, "vm.core")
	copy(h[100:], "0000644\x000000000\x000000000\x0000000001000\x0000000000000\x00        ")
	sum := 0
	for _, b := range h[:512] {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return h
}

// bzip2Core is what Python's bz2.compress makes of the first 240 bytes of a
// QEMU core: ELF header, a PT_NOTE, one note record named QEMU, zeros.
const bzip2Core = "QlpoOTFBWSZTWU9elDsAACRvgH6oLAAAQUMGIgAEAABAoAAhomgnqMR6jZIUGjRoMgND6pKuJ5h+ACHhkAphefUK9+0BNNkbcO4eLLv8XckU4UJBPXpQ7A=="

// lzmaCore is the same by lzma.compress with FORMAT_ALONE.
const lzmaCore = "XQAAgAD//////////wA/kUWEaD2JptqK9nJ7wEg74fbM7tCswnP62vYlmm6HRHiHd5K89VGMqiCWH///mpgAAA=="

func utf16le(s string, bom bool) []byte {
	var b []byte
	if bom {
		b = append(b, 0xff, 0xfe)
	}
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}

func latin1(data []byte) string {
	r := make([]rune, len(data))
	for i, b := range data {
		r[i] = rune(b)
	}
	return string(r)
}

func cabinetOf(name string) []byte {
	h := make([]byte, 64)
	copy(h, "MSCF")
	le.PutUint32(h[16:], 44)
	return append(append(h[:60], name...), 0, 0)
}

// longTail is random, so that nothing at the beginning of a file is a signature.
func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

type testCase struct {
	name string // of the file
	data []byte
	id   string
	code fault.Code
	text string // part of the sentence
	step string // part of the steps
}

func cases(t *testing.T) []testCase {
	raw := noise(1 << 20)
	disk := make([]byte, 4096)
	disk[446], disk[450], disk[458], disk[510], disk[511] = 0x80, 7, 1, 0x55, 0xaa
	gpt := make([]byte, 4096)
	copy(gpt[512:], "EFI PART")
	iso := make([]byte, 0x9000)
	copy(iso[0x8001:], "CD001")
	vdi := make([]byte, 128)
	copy(vdi, "<<< Oracle VM VirtualBox Disk Image >>>\n")
	copy(vdi[64:], "\x7f\x10\xda\xbe")
	withSnapshots := make([]byte, 72)
	copy(withSnapshots, "QFI\xfb\x00\x00\x00\x03")
	withSnapshots[63] = 2
	tail := []byte("\x00.shstrtab\x00")
	head := qemuCore()
	mixed := bytes.Clone(head)
	copy(mixed[700:], noise(2000))
	skip := append(append(word(0x184d2a50), word(4)...), "ABCD"...)
	return []testCase{
		{"a", []byte("KDUMP   \x06\x00\x00\x00"), "kdump", "", "kdump-compressed", ""},
		{"a", []byte("DISKDUMP\x01"), "diskdump", fault.KdumpCompressed, "diskdump", "--format elf"},
		{"a", append([]byte("makedumpfile\x00\x00\x00\x00"), make([]byte, 4080)...), "kdump-flat", "", "flattened", ""},
		{"a", []byte("QEVM\x00\x00\x00\x03"), "savevm", "", "QEMU", ""},
		{"a", []byte("LibvirtQemudSave\x02"), "libvirt-save", "", "libvirt", ""},
		{"a", []byte("LibvirtQemudPart\x02"), "libvirt-part", "", "unfinished", ""},
		{"a", []byte("PAGEDU64\x0f"), "dmp64", fault.IsDmp, "64-bit", "WinDbg"},
		{"a", []byte("PAGEDUMP\x0f"), "dmp32", fault.IsDmp, "32-bit", ""},
		{"a", []byte("MDMP\x93\xa7\x00\x00"), "minidump", fault.IsDmp, "minidump", ""},
		{"a", word(0x4c694d45), "lime", fault.OtherFormat, "LiME", ""},
		{"a", word(0x4c4d5641), "avml", fault.OtherFormat, "AVML", ""},
		{"a", word(0xbed2bed2), "vmss", fault.OtherFormat, "VMware suspended", "vmss2core"},
		{"a", word(0xbed3bed3), "vmss", fault.OtherFormat, "VMware suspended", ""},
		{"a", word(0xbed2bed0), "vmsn", fault.OtherFormat, "VMware snapshot", ""},
		{"a", word(0xbad1bad1), "vmsn", fault.OtherFormat, "VMware snapshot", ""},
		{"a", word(0xbad2bad2), "vmsn", fault.OtherFormat, "VMware snapshot", ""},
		{"a", []byte("HIBR"), "hiberfile", fault.OtherFormat, "hibernation", ""},
		{"a", []byte("hibr"), "hiberfile", fault.OtherFormat, "hibernation", ""},
		{"a", []byte("WAKE"), "hiberfile", fault.OtherFormat, "hibernation", ""},
		{"a", []byte("RSTR"), "hiberfile", fault.OtherFormat, "hibernation", ""},
		{"a", []byte("QFI\xfb\x00\x00\x00\x03"), "qcow2", fault.OtherFormat, "qcow2 disk image", "take the core"},
		{"a", []byte("KDMV\x01"), "vmdk", fault.OtherFormat, "VMware disk image", ""},
		{"a", []byte("# Disk DescriptorFile\nversion=1"), "vmdk-descriptor", fault.OtherFormat, "descriptor", ""},
		{"a", []byte("vhdxfile"), "vhdx", fault.OtherFormat, "Hyper-V", ""},
		{"a", []byte("conectix"), "vhd", fault.OtherFormat, "VHD", ""},
		{"a", vdi, "vdi", fault.OtherFormat, "VirtualBox disk", ""},
		{"a", disk, "mbr", fault.OtherFormat, "raw disk image", "a disk image holds files"},
		{"a", gpt, "gpt", fault.OtherFormat, "GPT", ""},
		{"a", iso, "iso", fault.OtherFormat, "ISO 9660", ""},
		{"a", []byte("LUKS\xba\xbe\x00\x02"), "luks", fault.OtherFormat, "encrypted disk", ""},
		{"a", []byte("\x7fVirtualBox SavedState V2.0\n"), "vbox-saved", fault.OtherFormat, "VirtualBox", "dumpvmcore"},
		{"a", []byte("\x7fVBOX"), "vbox-saved", fault.OtherFormat, "VirtualBox", ""},
		{"a", []byte("XenSavedDomain"), "xen-saved", fault.OtherFormat, "Xen", "xl trigger"},
		{"a", []byte("LinuxGuestRecord"), "xen-saved", fault.OtherFormat, "Xen", ""},
		{"a", []byte("Xen saved domain, xl format\n \x00 \r"), "xen-saved", fault.OtherFormat, "Xen", ""},
		{"a", xenCore(), "xen-core", fault.OtherFormat, "Xen domain (xl dump-core)", "xl trigger"},
		{"vma", []byte("VMA\x00\x00\x00\x00\x01"), "vma", fault.OtherFormat, "Proxmox VE backup", "vma extract vma"},
		{"a", []byte("Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00"), "pdb", fault.IsSymbols, "PDB", "-symbols a"},
		{"a", []byte("Microsoft MSFZ Container\r\n\x1aALD\x00\x00"), "msfz", fault.IsSymbols, "MSFZ", ""},
		{"a", []byte("BSJB\x01\x00"), "portable-pdb", fault.IsSymbols, ".NET", ""},
		{"a", []byte("MSCF\x00\x00\x00\x00"), "cabinet", fault.SymbolsCompressed, "cabinet", "cabextract a"},
		{"ntkrnlmp.pd_", cabinetOf("ntkrnlmp.pdb"), "cabinet", fault.SymbolsCompressed, "holds ntkrnlmp.pdb", "expand ntkrnlmp.pd_ ntkrnlmp.pdb"},
		{"a", []byte("MZ\x90\x00"), "pe", fault.OtherFormat, "Windows program", ""},
		{"a", []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR"), "png", fault.OtherFormat, "picture (PNG)", ""},
		{"a", []byte("%PDF-1.7"), "pdf", fault.OtherFormat, "PDF", ""},
		{"a", []byte("ElfFile\x00"), "evtx", fault.OtherFormat, "event log", ""},

		{"vm.core.gz", gz(t, head), "gzip", fault.Packed, "inside it is an ELF memory core of QEMU, x86-64", "gunzip -k vm.core.gz"},
		{"vm.core", gz(t, head), "gzip", fault.Packed, "gzip", "gzip -dc vm.core > vm.core.unpacked"},
		{"vm.core.zst", zst(t, head), "zstd", fault.Packed, "inside it is an ELF memory core of QEMU", "zstd -d vm.core.zst"},
		{"vm.core.zst", append(bytes.Clone(skip), zst(t, head)...), "zstd", fault.Packed, "inside it is an ELF memory core of QEMU", "zstd -d"},
		{"x", skip, "zstd", fault.Packed, "zstd", ""},
		{"x", append(bytes.Clone(skip), word(0x184d2204)...), "lz4", fault.Packed, "lz4", ""},
		{"vm.core.xz", xzOf(t, head), "xz", fault.Packed, "inside it is an ELF memory core of QEMU", "xz -dk vm.core.xz"},
		{"vm.core.bz2", unbase64(t, bzip2Core), "bzip2", fault.Packed, "bzip2; inside it is an ELF memory core of QEMU", "bzip2 -dk vm.core.bz2"},
		{"vm.core.lz4", word(0x184d2204), "lz4", fault.Packed, "lz4", "lz4 -d vm.core.lz4"},
		{"vm.core.lz4", word(0x184c2102), "lz4-legacy", fault.Packed, "lz4 (legacy", "lz4 -d vm.core.lz4"},
		{"vm.core.lzo", []byte("\x89LZO\x00\r\n\x1a\n\x10"), "lzop", fault.Packed, "lzop", "lzop -d vm.core.lzo"},
		{"vm.core.Z", []byte("\x1f\x9d\x90"), "compress", fault.Packed, ".Z", "gunzip -k vm.core.Z"},
		{"vm.core.lzma", unbase64(t, lzmaCore), "lzma", fault.Packed, "lzma; inside it is an ELF memory core of QEMU", "xz -dk --format=lzma vm.core.lzma"},
		{"vm.tar", tarOf(t, "guests/vm.core", head), "tar", fault.Packed, `first file is "vm.core"; inside it is an ELF memory core`, "tar xf vm.tar"},
		{"vm.tgz", gz(t, tarOf(t, "guests/vm.core", head)), "gzip", fault.Packed, `a tar archive whose first file is "vm.core"; inside it is an ELF memory core`, "then open vm.core: tar xf vm.tgz"},
		{"vm.tgz", gz(t, head), "gzip", fault.Packed, "gzip", "then open vm.tar: gunzip -k vm.tgz"},
		{"old.tar", oldTar(), "tar", fault.Packed, "tar archive", "tar xf old.tar"},
		{"vm.zip", zipOf(t, "guests/vm.core", head), "zip", fault.Packed, `first file is "vm.core"; inside it is an ELF memory core`, "unzip vm.zip"},
		{"vm.zip", zipOf(t, "", nil), "zip-empty", fault.EmptyFile, "nothing in it", "pack it again"},
		{"vm.z01", []byte("PK\x07\x08PK\x03\x04"), "zip-spanned", fault.Packed, "several parts", "zip -s 0 vm.z01"},
		{"vm.7z", []byte("7z\xbc\xaf\x27\x1c\x00\x04"), "7z", fault.Packed, "7z", "7z x vm.7z"},
		{"vm.rar", []byte("Rar!\x1a\x07\x01\x00"), "rar", fault.Packed, "rar", "unrar x vm.rar"},
		{"vm.cpio", cpioOf("vm.core", head), "cpio", fault.Packed, `first file is "vm.core"; inside it is an ELF memory core`, "cpio -idv < vm.cpio"},
		{"vm.cpio", []byte("070707000000"), "cpio", fault.Packed, "cpio", ""},
		{"vm.sqsh", []byte("hsqs\x02\x00\x00\x00"), "squashfs", fault.Packed, "squashfs", "unsquashfs vm.sqsh"},
		{"disk.qcow2.gz", gz(t, []byte("QFI\xfb\x00\x00\x00\x03")), "gzip", fault.Packed, "inside it is a qcow2 disk image", "dump-guest-memory vm.core"},
		{"state.gz", gz(t, []byte("QEVM\x00\x00\x00\x03")), "gzip", fault.Packed, "inside it is a saved VM state of QEMU (savevm, migrate, virsh dump without --memory-only)", "coredrop convert -unpack state.gz state.dmp"},
		{"vm.core.gz", gz(t, head), "gzip", fault.Packed, "inside it is an ELF memory core", "coredrop convert -unpack vm.core.gz vm.dmp"},
		{"vm.core.lz4", word(0x184d2204), "lz4", fault.Packed, "lz4", "coredrop convert -unpack vm.core.lz4 vm.dmp"},
		{"vm.qcow2.gz", gz(t, withSnapshots), "gzip", fault.Packed, "inside it is a qcow2 disk image with snapshots", "coredrop convert -unpack vm.qcow2.gz"},
		{"vm.qcow2", withSnapshots, "qcow2", "", "a qcow2 disk image with snapshots", ""},
		{"dmesg.gz", gz(t, []byte("[    0.000000] Linux version 6.1.0\n")), "gzip", fault.Packed, "inside it is the text of a kernel log", "gzip -dc dmesg.gz | coredrop kcsan -"},

		{"a", []byte("<!DOCTYPE html><html>"), "web-page", fault.NotTheFile, "web page", "curl -fLO"},
		{"a", []byte("\xef\xbb\xbf<!doctype html><title>Sign in</title>"), "web-page", fault.NotTheFile, "Sign in", ""},
		{"a", []byte("\n<!-- x --><HTML><body>"), "web-page", fault.NotTheFile, "web page", ""},
		{"a", utf16le("<html><head>", true), "web-page", fault.NotTheFile, "web page", ""},
		{"a", []byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message></Error>"), "s3-error", fault.NotTheFile, "NoSuchKey: The specified key", ""},
		{"a", []byte(`<Error><Code>AccessDenied</Code></Error>`), "s3-error", fault.NotTheFile, "AccessDenied", ""},
		{"a", []byte(`{"error":{"code":"NoSuchKey","message":"not here"}}`), "json-error", fault.NotTheFile, "NoSuchKey: not here", ""},
		{"a", []byte(` {"message":"404 Project Not Found"}`), "json-error", fault.NotTheFile, "404 Project", ""},
		{"a", []byte(`{"kind":"Status","status":"Failure","message":"virtualmachineexports not found","reason":"NotFound","code":404}`), "json-error", fault.NotTheFile, "NotFound", ""},
		{"a", []byte(`{"schema": 1, "file": {"name": "vm.core"}}`), "text", fault.UnknownFormat, "a text", ""},
		{"a", []byte(`{"__REALTIME_TIMESTAMP":"1","MESSAGE":"BUG: KCSAN: data-race in a / b","ERROR":1}`), "kernel-log", fault.IsLog, "log", ""},
		{"vm.core", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"), "lfs-pointer", fault.NotTheFile, "Git LFS pointer", "git lfs pull --include vm.core"},
		{"vm.core", []byte("/annex/objects/SHA256E-s5--1.core\n"), "annex-pointer", fault.NotTheFile, "git-annex pointer", "git annex get vm.core"},
		{"a", []byte("00000000: 7f45 4c46 0201 0100 0000 0000 0000 0000  .ELF............\n"), "hexdump", fault.NotTheFile, "hexadecimal", "xxd -r"},
		{"a", []byte("f0VMRgIBAQAAAAAAAAAAAAQAPgABAAAA"), "base64", fault.Packed, "base64", "base64 -di a"},
		{"log", []byte("[    0.000000] Linux version 6.1.0\n"), "kernel-log", fault.IsLog, "kernel log", "coredrop kcsan log"},
		{"log", utf16le("[    0.000000] Linux version 6.1.0\r\n", true), "kernel-log", fault.IsLog, "kernel log", ""},
		{"a", []byte("hello, world"), "text", fault.UnknownFormat, "a text", "coredrop kcsan a"},

		{"a", nil, "empty", fault.EmptyFile, "empty", ""},
		{"a", raw, "raw", fault.RawImage, "no CPU state", ""},
		{"a", raw[:1<<20-1], "unknown", fault.UnknownFormat, "", ""},
		{"a", raw[:4096], "unknown", fault.UnknownFormat, "", ""},
		{"a", []byte("M"), "text", fault.UnknownFormat, "", ""},

		{"a", append(bytes.Clone(raw[:100000]), tail...), "core-headless", fault.DamagedCopy, "beginning is missing", "cat vm.core.part"},
		{"a", qemuCore()[64:], "core-headless", fault.DamagedCopy, "beginning is missing", ""},
		{"a", append(make([]byte, 100000), tail...), "core-head-zeros", fault.DamagedCopy, "beginning is zeros or missing", ""},
		{"a", make([]byte, 1<<20), "zeros", fault.RawImage, "zeros", ""},
		{"a", make([]byte, 1000), "zeros", fault.DamagedCopy, "zeros", "copy it again"},
		{"a", utf16le(latin1(head), true), "core-utf16", fault.DamagedCopy, "UTF-16", ""},
		{"a", []byte(latin1(mixed)), "binary-utf8", fault.DamagedCopy, "UTF-8", ""},
		{"a", []byte(strings.ToValidUTF8(string(mixed), "\ufffd")), "binary-utf8", fault.DamagedCopy, "UTF-8", ""},

		{"a", elf(2, 1, 4, 183), "elf-core", fault.UnsupportedCPU, "ARM64", ""},
		{"a", elf(1, 1, 4, 40), "elf-core", fault.UnsupportedCPU, "32-bit ARM", ""},
		{"a", elf(2, 1, 4, 243), "elf-core", fault.UnsupportedCPU, "RISC-V", ""},
		{"a", elf(2, 1, 4, 258), "elf-core", fault.UnsupportedCPU, "LoongArch", ""},
		{"a", elf(2, 1, 4, 21), "elf-core", fault.UnsupportedCPU, "PowerPC", ""},
		{"a", elf(2, 2, 4<<8, 22<<8), "elf-big-endian", fault.UnsupportedCPU, "S/390", ""},
		{"a", elf(2, 1, 4, 999), "elf-core", fault.UnsupportedCPU, "999", ""},
		{"a", elf(2, 1, 1, 62), "elf-object", fault.OtherFormat, "object file", ""},
		{"a", elf(2, 1, 2, 62), "elf-program", fault.OtherFormat, "vmlinux", ""},
		{"a", elf(2, 1, 3, 62), "elf-library", fault.OtherFormat, "shared library", ""},
		{"a", elf(2, 1, 77, 62), "elf-damaged", fault.DamagedHeader, "77", ""},
		{"a", elf(9, 1, 4, 62), "elf-damaged", fault.DamagedHeader, "damaged", ""},
		{"a", elf(2, 0, 4, 62), "elf-damaged", fault.DamagedHeader, "damaged", ""},
		{"a", elf(2, 1, 4, 62)[:19], "elf-damaged", fault.DamagedHeader, "damaged", ""},
		{"core.1", core(62, 0, note("CORE", 1, make([]byte, 336)), psinfo("qemu-system-x86"), note("CORE", 6, make([]byte, 320))), "vmm-core", fault.ProcessCore, `"qemu-system-x86"`, "dump-guest-memory"},
		{"core.1", core(62, 0, psinfo("kvm")), "vmm-core", fault.ProcessCore, `"kvm"`, ""},
		{"core.1", core(62, 0, psinfo("nginx")), "process-core", fault.ProcessCore, `"nginx"`, "gdb nginx core.1"},
		{"core.1", core(62, 0, psinfo("a; rm -rf /")), "process-core", fault.ProcessCore, `"a; rm -rf /"`, "gdb PROGRAM core.1"},
		{"core.1", core(62, 0, note("CORE", 1, make([]byte, 336)), note("CORE", 0x46494c45, make([]byte, 16))), "process-core", fault.ProcessCore, "a process", ""},
		{"vm.elf", core(62, 0, note("VBCORE", 0xb00, make([]byte, 24))), "virtualbox-core", fault.OtherFormat, "VirtualBox", ""},

		{"vm.core", qemuCore(), "qemu-core", "", "QEMU, x86-64", ""},
		{"vm.core", core(3, 0, note("QEMU", 0, make([]byte, 440))), "qemu-core", "", "QEMU, 32-bit x86", ""},
		{"vmcore", core(62, 0x1000, note("CORE", 1, make([]byte, 336))), "elf-core", "", "ELF memory core", ""},
	}
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	p, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestKinds(t *testing.T) {
	for _, c := range cases(t) {
		f, err := identify.Look(file(c.data, c.name))
		if err != nil {
			t.Errorf("%s: %v", c.id, err)
			continue
		}
		if f.ID != c.id || f.Code != c.code || !strings.Contains(f.Sentence(), c.text) {
			t.Errorf("%s: %s [%s] %s", c.id, f.ID, f.Code, f.Sentence())
		}
		refusal := f.Fault()
		if (refusal == nil) != (c.code == "") {
			t.Errorf("%s: refused: %v", c.id, refusal)
		}
		if refusal == nil {
			continue
		}
		steps := strings.Join(fault.Lines(refusal.Steps(c.name)), "\n")
		if steps == "" || !strings.Contains(steps, c.step) {
			t.Errorf("%s: steps\n%s", c.id, steps)
		}
		if refusal.Code == fault.Packed && (f.Inside == nil || f.Inside.Class != identify.Other) && strings.Contains(steps, "dump-guest-memory") {
			t.Errorf("%s: a packed file is sent back to the guest:\n%s", c.id, steps)
		}
	}
}

// The page has the first 64 KiB only; what needs no end and no inside is the
// same, and a file cut anywhere is still answered.
func TestHeadAlone(t *testing.T) {
	for _, c := range cases(t) {
		f := identify.Head(c.data, int64(len(c.data)), c.name)
		if len(c.data) <= identify.HeadBytes && f.ID != c.id {
			t.Errorf("%s: %s from the head", c.id, f.ID)
		}
		for n := range min(len(c.data), 300) {
			if f := identify.Head(c.data[:n:n], int64(n), c.name); f == nil || f.ID == "" || f.Noun == "" {
				t.Fatalf("%s, %d bytes: %+v", c.id, n, f)
			}
			if f := identify.Head(c.data[:n], 1<<40, c.name); f == nil || f.ID == "" {
				t.Fatalf("%s, %d bytes of many: %+v", c.id, n, f)
			}
		}
	}
}

// A block of zstd can be longer than the head; a reader gives the rest.
func TestInsideIsReadBeyondTheHead(t *testing.T) {
	packed := zst(t, append(qemuCore(), noise(600<<10)...))
	f, err := identify.Look(file(packed, "vm.core.zst"))
	if err != nil || f.Inside == nil || f.Inside.ID != "qemu-core" {
		t.Errorf("%+v %v", f, err)
	}
	if f := identify.Head(packed, int64(len(packed)), "vm.core.zst"); f.ID != "zstd" {
		t.Errorf("%+v", f)
	}
}

// Packed in packed in packed ends.
func TestNestingIsBounded(t *testing.T) {
	data := qemuCore()
	for range 12 {
		data = gz(t, data)
	}
	f, err := identify.Look(file(data, "vm.gz"))
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for in := f; in != nil; in = in.Inside {
		depth++
	}
	if depth > 6 {
		t.Errorf("%d deep", depth)
	}
}

type torn struct{ err error }

func (r torn) ReadAt([]byte, int64) (int, error) { return 0, r.err }

func TestAFileThatCannotBeRead(t *testing.T) {
	broken := errors.New("disk on fire")
	if _, err := identify.Look(source.Source{ReaderAt: torn{broken}, Size: 100, Name: "x"}); !errors.Is(err, broken) {
		t.Error(err)
	}
	if _, err := identify.Look(source.Source{ReaderAt: torn{nil}, Size: 100, Name: "x"}); err == nil {
		t.Error("a short read passed")
	}
}

// 64 KiB of anything are judged within the page's 50 ms; a benchmark, because a
// test must not depend on the machine.
func BenchmarkHead(b *testing.B) {
	t := &testing.T{}
	for _, c := range []struct {
		name string
		data []byte
	}{{"core", qemuCore()}, {"gzip", gz(t, append(qemuCore(), noise(100<<10)...))}, {"xz", xzOf(t, append(qemuCore(), noise(100<<10)...))},
		{"text", bytes.Repeat([]byte("[    0.000000] hello\n"), 4000)}, {"noise", noise(64 << 10)}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				identify.Head(c.data, 1<<36, "vm")
			}
		})
	}
}

func FuzzLook(f *testing.F) {
	for _, s := range []string{"", "MZ", "\x7fELF\x02\x01\x01", "KDUMP   ", "\x1f\x8b\x08\x00", "BZh91AY&SY", "PK\x03\x04", "070701", "\x50\x2a\x4d\x18"} {
		f.Add([]byte(s))
	}
	for _, c := range cases(&testing.T{}) {
		if len(c.data) < 8<<10 {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := identify.Look(file(data, "x"))
		if err != nil || got.ID == "" || got.Noun == "" {
			t.Fatal(got, err)
		}
		if e := got.Fault(); e != nil && (e.Code == fault.Internal || e.Text == "" || strings.ContainsAny(e.Text, "\n\r\x1b")) {
			t.Fatalf("%q", e.Text)
		}
	})
}
