package dmp

import (
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// headerOf makes the first 0x2000 bytes. runs may be nil (bitmap dump).
func (im *Image) headerOf(k *windows.Kernel, compat bool, dumpType uint32, runs []mem.Run, pages uint64, space int64) []byte {
	h := make([]byte, headerBytes)
	if !compat {
		for i := range h {
			h[i] = pageFill[i%len(pageFill)]
		}
	}
	copy(h[offSignature:], "PAGE")
	copy(h[offValidDump:], "DU64")
	le.PutUint32(h[offMajorVersion:], uint32(k.Version.Major))
	le.PutUint32(h[offMinorVersion:], uint32(k.Version.Minor))
	le.PutUint64(h[offPfnDatabase:], uint64(k.KDBG.PfnDatabase()))
	le.PutUint64(h[offPsLoadedModuleList:], uint64(k.KDBG.ModuleList()))
	le.PutUint64(h[offPsActiveProcessHead:], uint64(k.KDBG.ProcessHead()))
	le.PutUint32(h[offMachineImageType:], uint32(k.Version.MachineType))
	le.PutUint64(h[offKdDebuggerDataBlock:], uint64(k.KDBG.VA))
	le.PutUint32(h[offDumpType:], dumpType)
	le.PutUint64(h[offRequiredDumpSpace:], uint64(space))
	le.PutUint32(h[offProductType:], k.Shared.ProductType)
	le.PutUint32(h[offSuiteMask:], k.Shared.SuiteMask)
	if dumpType == dumpTypeFull {
		le.PutUint32(h[offNumberOfRuns:], uint32(len(runs)))
		le.PutUint32(h[offNumberOfRuns+4:], 0)
		le.PutUint64(h[offNumberOfPages:], pages)
		for i, r := range runs {
			le.PutUint64(h[offRuns+i*runBytes:], uint64(r.Start)/mem.PageSize)
			le.PutUint64(h[offRuns+i*runBytes+8:], r.Pages)
		}
	}
	if compat {
		headerUpstream(h, k)
	} else {
		headerWindows(h, k, im.context)
	}
	return h
}

// headerUpstream fills what upstream elf2dmp 10.2.2 fills its own way: always
// the code of a live dump, one processor a note, and the version block's
// secondary version in a field that means something else.
func headerUpstream(h []byte, k *windows.Kernel) {
	le.PutUint64(h[offDirectoryTableBase:], uint64(k.DTB))
	le.PutUint32(h[offNumberProcessors:], uint32(notes(k)))
	le.PutUint32(h[offBugCheckCode:], bugCheckLiveDump)
	copy(h[offComment:], compatComment)
	le.PutUint32(h[offSecondaryDataState:], uint32(k.Version.KdSecondaryVersion))
}

// notes counts the CPUs that have a QEMU note: the only ones upstream sees.
func notes(k *windows.Kernel) int {
	n := 0
	for _, c := range k.Machine.CPUs {
		if c.X64 != nil && c.X64.System {
			n++
		}
	}
	return n
}

// headerWindows fills what Windows itself fills on a bug check, as read
// out of crash dumps of build 19041. context is the record of the processor that
// the dump opens on; nil: no registers are known.
func headerWindows(h []byte, k *windows.Kernel, context []byte) {
	le.PutUint64(h[offDirectoryTableBase:], uint64(k.HeaderDTB))
	if k.HeaderDTB == 0 {
		le.PutUint64(h[offDirectoryTableBase:], uint64(k.DTB))
	}
	le.PutUint32(h[offNumberProcessors:], uint32(processors(k)))
	if k.Version.MachineType == 0 {
		le.PutUint32(h[offMachineImageType:], machineAMD64)
	}

	check := windows.BugCheck{Code: bugCheckLiveDump}
	if k.BugCheck != nil {
		check = *k.BugCheck
	}
	le.PutUint32(h[offBugCheckCode:], check.Code)
	for i, v := range check.Parameters {
		le.PutUint64(h[offBugCheckParameters+8*i:], v)
	}

	le.PutUint64(h[offSystemTime:], k.Shared.SystemTime)
	le.PutUint64(h[offSystemUpTime:], k.Shared.InterruptTime)
	le.PutUint32(h[offWriterStatus:], 0)
	h[offKdSecondaryVersion] = 0

	// Behind the record Windows leaves zeros; of the exception it sets what comes
	// before the parameters.
	clear(h[offContext:offException])
	copy(h[offContext:], context)
	clear(h[offException : offException+exceptionSet])
	le.PutUint32(h[offExceptionCode+offException:], exceptionBreak)
	le.PutUint32(h[offExceptionFlag+offException:], exceptionNoReturn)
	if context != nil {
		copy(h[offExceptionAddr+offException:][:8], context[offRip:])
	}
}

// processors is the number that Windows would write: what the shared page says
// is active, but never more than there are processor blocks; at least one.
func processors(k *windows.Kernel) int {
	n := 0
	for _, p := range k.Processors {
		if p.PRCB != 0 {
			n++
		}
	}
	if active := int(k.Shared.ActiveProcessors); k.Shared.Readable && active > 0 && (active < n || n == 0) {
		n = active
	}
	if n == 0 {
		n = len(k.Machine.CPUs)
	}
	return max(n, 1) // no debugger opens a dump of no processors
}
