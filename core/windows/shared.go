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
		// The upper four bits of the build number are flags.
		Build: u32(p[:], kusdBuild) & 0x0fffffff,
		Major: u32(p[:], kusdMajor), Minor: u32(p[:], kusdMinor),
		SystemTime:       systemTime(p[:], kusdSystemTime),
		InterruptTime:    systemTime(p[:], kusdInterruptTime),
		ActiveProcessors: u32(p[:], kusdActive),
		SystemRoot:       utf16String(p[kusdSystemRoot : kusdSystemRoot+2*kusdRootChars]),
	}
	if d.ActiveProcessors > maxProcessors {
		d.ActiveProcessors = 0
	}
	return d
}

// systemTime gives a KSYSTEM_TIME: low part, high part and the high part again.
// The writer stores high2, low, high1 in this order, so the two differ only
// where the guest was stopped in between. A low part that has just wrapped is
// the new one and belongs to high2; one that is about to wrap is the old one.
func systemTime(p []byte, off int) uint64 {
	low, high := u32(p, off), u32(p, off+4)
	if high2 := u32(p, off+8); high2 != high && low < 1<<31 {
		high = high2
	}
	return uint64(high)<<32 | uint64(low)
}

// readBugCheck reads KiBugCheckData; a code of 0 means that the guest is alive.
func readBugCheck(s *paging.Space, k KDBG) (*BugCheck, error) {
	var p [5 * 8]byte
	if err := s.ReadAt(p[:], k.BugCheckData()); err != nil {
		return nil, err
	}
	if u32(p[:], 0) == 0 {
		return nil, nil
	}
	b := &BugCheck{Code: u32(p[:], 0)}
	for i := range b.Parameters {
		b.Parameters[i] = u64(p[:], 8+8*i)
	}
	return b, nil
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
