package windows

import (
	"coredrop/core/mem"
	"coredrop/core/pe"
)

// ParseVersion decodes DBGKD_GET_VERSION64.
func ParseVersion(p []byte, va mem.VA) VersionBlock {
	return VersionBlock{VA: va,
		Major: u16(p, verMajor), Minor: u16(p, verMinor),
		Protocol: p[verProtocol], KdSecondaryVersion: p[verSecondary],
		Flags: u16(p, verFlags), MachineType: u16(p, verMachine),
		KernBase: u64(p, verKernBase), PsLoadedModuleList: u64(p, verModuleList), DebuggerDataList: u64(p, verDataList),
	}
}

// IsVersion reports whether p is the version block of the kernel at base whose
// module list is at modules (0: not known yet).
func IsVersion(p []byte, base, modules mem.VA) bool {
	if len(p) < VersionBytes || u64(p, verKernBase) != uint64(base) {
		return false
	}
	v := ParseVersion(p, 0)
	return (v.Major == 0xf || v.Major == 0xc) && v.Protocol == 6 && v.MachineType == pe.MachineAMD64 &&
		(modules == 0 || v.PsLoadedModuleList == uint64(modules))
}
