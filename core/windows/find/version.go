package find

import (
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// findVersion looks through an image's data for the version block, which is
// never encoded: writable sections first, then the others that hold no code.
// modules is the address of the module list, 0 where it is not known.
func (f *finder) findVersion(s *paging.Space, img *pe.Image, modules mem.VA) (windows.VersionBlock, bool) {
	left := f.share()
	window := make([]byte, scanWindow+windows.VersionBytes)
	for _, list := range [][]area{
		areas(img, pe.Section.Writable),
		areas(img, func(sec pe.Section) bool { return !sec.Writable() && !sec.Executable() }),
	} {
		for _, a := range list {
			size := min(a.bytes, left)
			left, f.scan = left-size, f.scan-size
			for at := uint64(-a.start & 7); at < size; at += scanWindow {
				p := window[:min(uint64(len(window)), size-at)]
				if s.ReadBest(p, a.start+mem.VA(at)) == 0 {
					continue
				}
				for off := 0; off+windows.VersionBytes <= len(p) && off < scanWindow; off += 8 {
					if windows.IsVersion(p[off:], img.Base, modules) {
						return windows.ParseVersion(p[off:], a.start+mem.VA(at)+mem.VA(off)), true
					}
				}
			}
		}
	}
	return windows.VersionBlock{}, false
}

// readVersion fills the version block: by the PDB, by CPU 0's control region,
// by a search in the image, and where all that fails from KUSER_SHARED_DATA.
func (f *finder) readVersion(k *windows.Kernel, c *found) {
	var p [windows.VersionBytes]byte
	if rva, ok := c.symbols.rvas[symVersionBlock]; ok {
		va := c.image.Base + mem.VA(rva)
		if k.Space.ReadAt(p[:], va) == nil && windows.IsVersion(p[:], c.image.Base, 0) {
			k.Version = windows.ParseVersion(p[:], va)
			return
		}
	}
	if len(k.Processors) > 0 {
		at, err := k.Space.Uint64(k.Processors[0].KPCR + windows.PcrVersionBlock)
		if err == nil && windows.InImage(mem.VA(at), c.image.Base, c.image.SizeOfImage, windows.VersionBytes) &&
			k.Space.ReadAt(p[:], mem.VA(at)) == nil && windows.IsVersion(p[:], c.image.Base, k.KDBG.ModuleList()) {
			k.Version = windows.ParseVersion(p[:], mem.VA(at))
			return
		}
	}
	if v, ok := f.findVersion(k.Space, c.image, k.KDBG.ModuleList()); ok {
		k.Version = v
		return
	}
	// What every 64-bit kernel's block says, with the build from the shared page.
	k.Version = windows.VersionBlock{Major: 0xf, Minor: uint16(k.Shared.Build), Protocol: 6, MachineType: c.image.Machine,
		KernBase: uint64(c.image.Base), PsLoadedModuleList: uint64(k.KDBG.ModuleList())}
	if k.Shared.Readable {
		k.Warn(fault.VersionUnreadable, "the kernel's version block could not be read; the build number %d was taken from KUSER_SHARED_DATA", k.Shared.Build)
	} else {
		k.Warn(fault.VersionUnreadable, "neither the kernel's version block nor KUSER_SHARED_DATA could be read; the build number is not known")
	}
}
