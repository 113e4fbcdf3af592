package identify

import (
	"encoding/binary"
	"strings"

	"coredrop/core/fault"
)

// signature is a kind that is told by bytes at a place.
type signature struct {
	at    int64
	magic string
	kind  Kind
}

// Notes and steps that several kinds share.
const notMemory = "not a memory core"

var (
	memoryOfVM = fault.TakeCore()
	noCPU      = append([]fault.Step{say("a core has the processors' registers too, which this form lacks")}, fault.TakeCore()...)
	diskSteps  = append([]fault.Step{say("a disk image holds files, not memory; take the core of the running VM")}, fault.TakeCore()...)
	vmware     = []fault.Step{say("VMware's memory is in the .vmem file beside it; its own vmss2core makes a Windows dump of both")}
)

func disk(id, noun string) Kind {
	return Kind{ID: id, Class: Other, Noun: noun, Note: notMemory, Code: fault.OtherFormat, Steps: diskSteps}
}

func other(id, noun string, steps ...fault.Step) Kind {
	if steps == nil {
		steps = memoryOfVM
	}
	return Kind{ID: id, Class: Other, Noun: noun, Note: notMemory, Code: fault.OtherFormat, Steps: steps}
}

func memory(id, noun string, code fault.Code, steps ...fault.Step) Kind {
	return Kind{ID: id, Class: Core, Noun: noun, Code: code, Steps: steps}
}

func dump(id, noun string) Kind {
	return Kind{ID: id, Class: Dump, Noun: noun, Note: "which WinDbg opens as it is", Code: fault.IsDmp}
}

func pdb(id, noun string) Kind {
	return Kind{ID: id, Class: Symbols, Noun: noun, Note: notMemory, Code: fault.IsSymbols}
}

// Sources of the signatures: QEMU (migration, block, dump), libvirt
// qemu_saveimage.h, LiME, AVML, crash's vmware_vmss.c, Microsoft's dump headers
// and MSF, Xen's libxc (xg_save_restore.h, libxl_internal.h), Proxmox's
// vma_spec.txt, VirtualBox's VDICore.h, file(1)'s magic database.
var signatures = []signature{
	{0, "KDUMP   ", memory("kdump", "a kdump-compressed core (zlib, lzo, snappy or zstd)", "")},
	{0, "DISKDUMP", memory("diskdump", "a diskdump core, the form before kdump's", fault.KdumpCompressed)},
	{0, "makedumpfile\x00\x00\x00\x00", memory("kdump-flat", "a flattened kdump core (makedumpfile)", "")},
	{0, "QEVM", memory("savevm", "a saved VM state of QEMU (savevm, migrate, virsh dump without --memory-only)", "")},
	{0, "LibvirtQemudSave", memory("libvirt-save", "a saved VM state of libvirt (virsh save, a snapshot with memory)", "")},
	{0, "LibvirtQemudPart", memory("libvirt-part", "an unfinished saved VM state of libvirt", "")},
	{0, "PAGEDU64", dump("dmp64", "a Windows crash dump (64-bit)")},
	{0, "PAGEDUMP", dump("dmp32", "a Windows crash dump (32-bit)")},
	{0, "MDMP\x93\xa7", Kind{ID: "minidump", Class: Dump, Noun: "a Windows minidump of a process", Note: "which WinDbg opens as it is", Code: fault.IsDmp}},
	{0, "EMiL", memory("lime", "a LiME memory image, which has no CPU state", fault.OtherFormat, noCPU...)},
	{0, "AVML", memory("avml", "an AVML memory image, which has no CPU state", fault.OtherFormat, noCPU...)},
	{0, "\xd2\xbe\xd2\xbe", memory("vmss", "a VMware suspended state (.vmss)", fault.OtherFormat, vmware...)},
	{0, "\xd3\xbe\xd3\xbe", memory("vmss", "a VMware suspended state (.vmss)", fault.OtherFormat, vmware...)},
	{0, "\xd0\xbe\xd2\xbe", memory("vmsn", "a VMware snapshot state (.vmsn)", fault.OtherFormat, vmware...)},
	{0, "\xd1\xba\xd1\xba", memory("vmsn", "a VMware snapshot state (.vmsn)", fault.OtherFormat, vmware...)},
	{0, "\xd2\xba\xd2\xba", memory("vmsn", "a VMware snapshot state (.vmsn)", fault.OtherFormat, vmware...)},
	{0, "HIBR", memory("hiberfile", "a Windows hibernation file", fault.OtherFormat, say("start the guest from it, then take the core"))},
	{0, "hibr", memory("hiberfile", "a Windows hibernation file", fault.OtherFormat, say("start the guest from it, then take the core"))},
	{0, "RSTR", memory("hiberfile", "a Windows hibernation file that was resumed from", fault.OtherFormat)},
	{0, "WAKE", memory("hiberfile", "a Windows hibernation file that was resumed from", fault.OtherFormat)},
	{0, "\x7fVBOX", memory("vbox-saved", "a VirtualBox saved state", fault.OtherFormat, do("start the VM from it, then", "VBoxManage debugvm VM dumpvmcore --filename vm.core"))},
	{0, "\x7fVirtualBox SavedState", memory("vbox-saved", "a VirtualBox saved state", fault.OtherFormat, do("start the VM from it, then", "VBoxManage debugvm VM dumpvmcore --filename vm.core"))},
	{0, "XenSavedDomain", memory("xen-saved", "a Xen saved domain", fault.OtherFormat, xenSteps...)},
	{0, "LinuxGuestRecord", memory("xen-saved", "a Xen saved domain", fault.OtherFormat, xenSteps...)},
	{0, "Xen saved domain, xl format", memory("xen-saved", "a Xen saved domain (xl save)", fault.OtherFormat, xenSteps...)},
	{0, "\xff\xff\xff\xff\xff\xff\xff\xff\x58\x45\x4e\x46", memory("xen-saved", "a Xen saved domain", fault.OtherFormat, xenSteps...)},
	{0, "minidump FreeBSD", memory("freebsd-core", "a FreeBSD kernel dump", fault.OtherFormat, say("kgdb reads it"))},
	{0, "ElfFile\x00", other("evtx", "a Windows event log (.evtx)")},
	{0, "EVF\x09\x0d\x0a\xff\x00", disk("ewf", "an EnCase evidence image (.E01)")},
	{0, "QFI\xfb", disk("qcow2", "a qcow2 disk image")},
	{0, "QED\x00", disk("qed", "a QED disk image")},
	{0, "KDMV", disk("vmdk", "a VMware disk image")},
	{0, "COWD", disk("vmdk", "a VMware disk image")},
	{0, "# Disk DescriptorFile", disk("vmdk-descriptor", "a VMware disk descriptor")},
	{0, "vhdxfile", disk("vhdx", "a Hyper-V disk image")},
	{0, "conectix", disk("vhd", "a VHD disk image")},
	{64, "\x7f\x10\xda\xbe", disk("vdi", "a VirtualBox disk image")},
	{0, "LUKS\xba\xbe", disk("luks", "an encrypted disk (LUKS)")},
	{512, "EFI PART", disk("gpt", "a raw disk image (GPT)")},
	{0x8001, "CD001", disk("iso", "a CD or DVD image (ISO 9660)")},
	{3, "NTFS    ", disk("ntfs", "an image of an NTFS file system")},
	{0, "hsqs", Kind{ID: "squashfs", Class: Packed, Noun: "a squashfs image", Note: "an archive of files", Code: fault.Packed, Steps: []fault.Step{do("unpack it, then open what is inside", "unsquashfs {file}")}}},
	{0, "\x3a\xff\x26\xed", disk("sparse", "an Android sparse image")},
	{0, "VMA\x00", other("vma", "a Proxmox VE backup (VMA), which holds disks",
		do("its disks", "vma extract {file} vm-disks"), do("memory is taken of the running VM: qm monitor VMID, then", "dump-guest-memory vm.core"))},
	{0, "\x89PNG\r\n\x1a\n", other("png", "a picture (PNG)")},
	{0, "\xff\xd8\xff", other("jpeg", "a picture (JPEG)")},
	{0, "GIF8", other("gif", "a picture (GIF)")},
	{0, "%PDF-", other("pdf", "a PDF document")},
	{0, "SQLite format 3\x00", other("sqlite", "an SQLite database")},
	{0, "\xd4\xc3\xb2\xa1", other("pcap", "a network capture (pcap)")},
	{0, "\x0a\x0d\x0d\x0a", other("pcapng", "a network capture (pcapng)")},
	{0, "\xce\xfa\xed\xfe", other("mach-o", "a Mach-O file (macOS)")},
	{0, "\xcf\xfa\xed\xfe", other("mach-o", "a Mach-O file (macOS)")},
	{0, "regf", other("hive", "a Windows registry hive")},
	{0, "Microsoft C/C++ MSF 7.00\r\n", pdb("pdb", "a PDB, a symbol file")},
	{0, "Microsoft MSFZ Container", pdb("msfz", "a compressed PDB (MSFZ), which is not read")},
	{0, "Microsoft C/C++ program database 2.00", pdb("pdb2", "a PDB of an old form (2.00), which no supported kernel has")},
	{0, "BSJB", pdb("portable-pdb", "a portable PDB, the symbols of a .NET program")},
	{0, "MSCF", Kind{ID: "cabinet", Class: Symbols, Noun: "a Microsoft cabinet file", Note: "perhaps a compressed PDB", Code: fault.SymbolsCompressed}},
}

// xenSteps is what is left to the owner of a Xen guest.
var xenSteps = []fault.Step{say("neither Xen's saved domains nor its dump-core files are read: set the guest up to write a dump itself (memory.dmp), and let it crash with xl trigger DOMAIN nmi")}

func bySignature(v *view) *File {
	if f := packed(v); f != nil {
		return f
	}
	for _, s := range signatures {
		if v.hasAt(s.at, s.magic) {
			f := &File{Kind: s.kind}
			switch f.ID {
			case "cabinet":
				cabinet(v, f)
			case "qcow2":
				snapshots(v, f)
			}
			return f
		}
	}
	if v.hasAt(0, "MZ") {
		return &File{Kind: other("pe", "a Windows program or driver", say("a program's own memory and the guest's are different things: take the core of the VM"))}
	}
	return nil
}

// snapshots takes a disk image that has some for one that may hold memory: only
// opening it tells. Source: QEMU docs/interop/qcow2.txt, "Header".
func snapshots(v *view, f *File) {
	const versionAt, countAt = 4, 60
	var h [countAt + 4]byte
	if !v.read(h[:], 0) || binary.BigEndian.Uint32(h[versionAt:]) < 2 {
		return
	}
	if n := binary.BigEndian.Uint32(h[countAt:]); n > 0 {
		f.Kind = memory("qcow2", "a qcow2 disk image with snapshots", "")
	}
}

// cabinet names the first file of a cabinet: symbol servers keep PDBs in them
// (.pd_). Source: [MS-CAB] 2.1 and 2.3.
func cabinet(v *view, f *File) {
	const fileOffset, nameAt = 16, 16 // coffFiles in CFHEADER, szName in CFFILE
	p := make([]byte, 4)
	if !v.read(p, fileOffset) {
		return
	}
	at := int64(u32(p)) + nameAt
	left := int64(len(v.head)) - at
	if v.more != nil {
		left = v.size - at
	}
	name := make([]byte, max(0, min(256, left)))
	if !v.read(name, at) {
		return
	}
	text, _, ok := strings.Cut(string(name), "\x00")
	if !ok || text == "" || strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return
	}
	f.Noun, f.Note = "a Microsoft cabinet file that holds "+text, ""
	if strings.HasSuffix(strings.ToLower(text), ".pdb") {
		f.Noun = "a compressed PDB (a cabinet file that holds " + text + ")"
	}
	f.Steps = []fault.Step{do("unpack it, then give "+text, "cabextract {file}"), do("or, on Windows", "expand {file} "+text)}
}
