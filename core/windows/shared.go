package windows

import (
	"coredrop/core/mem"
	"coredrop/core/paging"
)

// looksShared reports whether a page is KUSER_SHARED_DATA: a version of 6 or
// 10, one of the three product types, and a system root with a drive letter.
func looksShared(p []byte) bool {
	if len(p) < kusdBytes {
		return false
	}
	major, product := u32(p, kusdMajor), u32(p, kusdProductType)
	return (major == 5 || major == 6 || major == 10) && product >= 1 && product <= 3 &&
		u16(p, kusdSystemRoot+2) == ':' && u16(p, kusdSystemRoot+4) == '\\'
}

// readShared reads KUSER_SHARED_DATA; Readable is false where that fails.
func readShared(s *paging.Space) SharedData {
	var p [kusdBytes]byte
	if s.ReadAt(p[:], sharedData) != nil {
		return SharedData{}
	}
	d := SharedData{
		Readable:    true,
		ProductType: u32(p[:], kusdProductType), SuiteMask: u32(p[:], kusdSuiteMask),
		Major: u32(p[:], kusdMajor), Minor: u32(p[:], kusdMinor),
		ActiveProcessors: u32(p[:], kusdActive),
		SystemRoot:       utf16String(p[kusdSystemRoot : kusdSystemRoot+2*kusdRootChars]),
	}
	if d.Major >= kusdMajorWithBuild {
		// The upper four bits of the build number are flags.
		d.Build = u32(p[:], kusdBuild) & 0x0fffffff
	}
	d.clocks(p[:])
	if d.ActiveProcessors > maxProcessors {
		d.ActiveProcessors = 0
	}
	return d
}

// parseVersion decodes DBGKD_GET_VERSION64.
func parseVersion(p []byte, va mem.VA) VersionBlock {
	return VersionBlock{VA: va,
		Major: u16(p, verMajor), Minor: u16(p, verMinor),
		Protocol: p[verProtocol], KdSecondaryVersion: p[verSecondary],
		Flags: u16(p, verFlags), MachineType: u16(p, verMachine),
		KernBase: u64(p, verKernBase), PsLoadedModuleList: u64(p, verModuleList), DebuggerDataList: u64(p, verDataList),
	}
}

// isVersion reports whether p is the version block of the kernel at base whose
// module list is at modules (0: not known yet).
func isVersion(p []byte, base, modules mem.VA) bool {
	if len(p) < verBytes {
		return false
	}
	v := parseVersion(p, 0)
	return (v.Major == 0xf || v.Major == 0xc) && v.Protocol == 6 && v.MachineType == machineAMD64 &&
		v.KernBase == uint64(base) && (modules == 0 || v.PsLoadedModuleList == uint64(modules))
}
