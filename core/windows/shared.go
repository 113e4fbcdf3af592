package windows

import (
	"coredrop/core/paging"
)

// ShowsShared reports whether a space maps what is KUSER_SHARED_DATA by its
// content.
func ShowsShared(s *paging.Space) bool {
	var p [kusdBytes]byte
	return s.ReadAt(p[:], SharedVA) == nil && looksShared(p[:])
}

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
func ReadShared(s *paging.Space) SharedData {
	var p [kusdBytes]byte
	if s.ReadAt(p[:], SharedVA) != nil {
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
