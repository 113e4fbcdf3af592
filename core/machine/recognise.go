package machine

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/source"
)

// neighbour is a file format that is told by its first bytes.
type neighbour struct {
	magic string
	at    int
	code  fault.Code
	text  string
}

// Sources of the signatures: QEMU (migration, block, dump), libvirt
// qemu_saveimage.h, LiME, AVML, crash's vmware_vmss.c, Microsoft's dump headers.
var neighbours = []neighbour{
	{"KDUMP   ", 0, fault.KdumpCompressed, "this is a kdump-compressed core (zlib, lzo or snappy)"},
	{"DISKDUMP", 0, fault.KdumpCompressed, "this is a diskdump core"},
	{"makedumpfile\x00\x00\x00\x00", 0, fault.KdumpCompressed, "this is a flattened kdump core (makedumpfile)"},
	{"QEVM", 0, fault.SavevmImage, "this is a saved VM state of QEMU (savevm, virsh save), not a memory core"},
	{"LibvirtQemudSave", 0, fault.SavevmImage, "this is a saved VM state of libvirt (virsh save, virsh dump without --memory-only), not a memory core"},
	{"LibvirtQemudPart", 0, fault.SavevmImage, "this is an unfinished saved VM state of libvirt, not a memory core"},
	{"PAGEDU64", 0, fault.IsDmp, "this already is a Windows crash dump (64-bit)"},
	{"PAGEDUMP", 0, fault.IsDmp, "this already is a Windows crash dump (32-bit)"},
	{"MDMP\x93\xa7", 0, fault.IsDmp, "this already is a Windows minidump"},
	{"EMiL", 0, fault.OtherFormat, "this is a LiME memory image, which has no CPU state"},
	{"AVML", 0, fault.OtherFormat, "this is an AVML memory image, which has no CPU state"},
	{"\xd2\xbe\xd2\xbe", 0, fault.OtherFormat, "this is a VMware suspended state (.vmss)"},
	{"\xd3\xbe\xd3\xbe", 0, fault.OtherFormat, "this is a VMware suspended state (.vmss)"},
	{"\xd0\xbe\xd2\xbe", 0, fault.OtherFormat, "this is a VMware snapshot state (.vmsn)"},
	{"\xd1\xba\xd1\xba", 0, fault.OtherFormat, "this is a VMware snapshot state (.vmsn)"},
	{"\xd2\xba\xd2\xba", 0, fault.OtherFormat, "this is a VMware snapshot state (.vmsn)"},
	{"HIBR", 0, fault.OtherFormat, "this is a Windows hibernation file"},
	{"hibr", 0, fault.OtherFormat, "this is a Windows hibernation file"},
	{"WAKE", 0, fault.OtherFormat, "this is a Windows hibernation file"},
	{"QFI\xfb", 0, fault.OtherFormat, "this is a qcow2 disk image, not a memory core"},
	{"KDMV", 0, fault.OtherFormat, "this is a VMware disk image, not a memory core"},
	{"# Disk DescriptorFile", 0, fault.OtherFormat, "this is a VMware disk descriptor, not a memory core"},
	{"vhdxfile", 0, fault.OtherFormat, "this is a Hyper-V disk image, not a memory core"},
	{"conectix", 0, fault.OtherFormat, "this is a VHD disk image, not a memory core"},
	{"\x7fVBOX", 0, fault.OtherFormat, "this is a VirtualBox saved state, not a memory core"},
	{"\x7fVirtualBox SavedState", 0, fault.OtherFormat, "this is a VirtualBox saved state, not a memory core"},
	{"XenSavedDomain", 0, fault.OtherFormat, "this is a Xen saved domain"},
	{"LinuxGuestRecord", 0, fault.OtherFormat, "this is a Xen saved domain"},
	{"Microsoft C/C++ MSF 7.00\r\n", 0, fault.OtherFormat, "this is a PDB, a symbol file: open it together with a core"},
	{"MZ", 0, fault.OtherFormat, "this is a Windows program or driver, not a memory core"},
	{"\x1f\x8b", 0, fault.OtherFormat, "this file is compressed with gzip: unpack it first"},
	{"\x28\xb5\x2f\xfd", 0, fault.OtherFormat, "this file is compressed with zstd: unpack it first"},
	{"\xfd7zXZ\x00", 0, fault.OtherFormat, "this file is compressed with xz: unpack it first"},
	{"BZh", 0, fault.OtherFormat, "this file is compressed with bzip2: unpack it first"},
	{"\x04\x22\x4d\x18", 0, fault.OtherFormat, "this file is compressed with lz4: unpack it first"},
	{"PK\x03\x04", 0, fault.OtherFormat, "this is a zip archive: unpack it first"},
	{"7z\xbc\xaf\x27\x1c", 0, fault.OtherFormat, "this is a 7z archive: unpack it first"},
	{"ustar", 257, fault.OtherFormat, "this is a tar archive: unpack it first"},
	{"MSCF", 0, fault.SymbolsCompressed, "this is a Microsoft cabinet file, perhaps a compressed PDB"},
	{"<!DOCTYPE", 0, fault.OtherFormat, "this is a web page, not a memory core"},
	{"<html", 0, fault.OtherFormat, "this is a web page, not a memory core"},
}

// Recognise names a file that no opener took, as a *fault.Error with the
// remedy. It reads at most the first 4 KiB.
func Recognise(s source.Source) error {
	if s.Size <= 0 {
		return fault.New(fault.EmptyFile, "")
	}
	head := make([]byte, min(4096, s.Size))
	if err := s.Full(head, 0); err != nil {
		return err
	}
	for _, n := range neighbours {
		if len(head) >= n.at && bytes.HasPrefix(head[n.at:], []byte(n.magic)) {
			return fault.New(n.code, "%s", n.text)
		}
	}
	if bytes.HasPrefix(head, []byte("\x7fELF")) {
		return recogniseELF(head)
	}
	if s.Size >= 1<<20 && s.Size%4096 == 0 {
		return fault.New(fault.RawImage, "no known signature: if this is raw memory, it has no CPU state")
	}
	return fault.New(fault.UnknownFormat, "")
}

// recogniseELF names an ELF file that is not a core of a machine supported.
func recogniseELF(head []byte) error {
	if len(head) < 20 || head[4] < 1 || head[4] > 2 || head[5] < 1 || head[5] > 2 {
		return fault.New(fault.DamagedHeader, "the ELF header is damaged")
	}
	if head[5] != 1 {
		return fault.New(fault.UnsupportedCPU, "this ELF file is big endian: no Windows guest is")
	}
	kind := binary.LittleEndian.Uint16(head[16:])
	if kind != 4 {
		names := map[uint16]string{1: "an object file", 2: "a program or a kernel (vmlinux)", 3: "a shared library"}
		name, ok := names[kind]
		if !ok {
			return fault.New(fault.DamagedHeader, "the ELF header is damaged: type %d", kind)
		}
		return fault.New(fault.OtherFormat, "this ELF file is %s, not a core", name)
	}
	arch := binary.LittleEndian.Uint16(head[18:])
	names := map[uint16]string{3: "32-bit x86", 183: "ARM64", 40: "32-bit ARM", 243: "RISC-V", 21: "PowerPC", 22: "S/390", 8: "MIPS", 258: "LoongArch"}
	name, ok := names[arch]
	if !ok {
		name = fmt.Sprintf("of an unknown kind (%d)", arch)
	}
	return fault.New(fault.UnsupportedCPU, "the guest's processor is %s", name)
}
