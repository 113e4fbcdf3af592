package dmp

import (
	"coredrop/core/dump"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// form is the header's: x64 guests' dumps have the 64-bit one.
var form = dump.Form64

// headerOf makes the part of the header that every profile fills alike; what is
// left unset has the fill. runs may be nil (bitmap dump).
func headerOf(k *windows.Kernel, fill string, dumpType uint64, runs []mem.Run, space int64) []byte {
	h := form.Blank(fill)
	form.MajorVersion.Put(h, uint64(k.Version.Major))
	form.MinorVersion.Put(h, uint64(k.Version.Minor))
	form.PfnDatabase.Put(h, uint64(k.KDBG.PfnDatabase()))
	form.PsLoadedModuleList.Put(h, uint64(k.KDBG.ModuleList()))
	form.PsActiveProcess.Put(h, uint64(k.KDBG.ProcessHead()))
	form.MachineImageType.Put(h, uint64(k.Version.MachineType))
	form.KdDebuggerDataBlock.Put(h, uint64(k.KDBG.VA))
	form.DumpType.Put(h, dumpType)
	form.RequiredDumpSpace.Put(h, uint64(space))
	form.ProductType.Put(h, uint64(k.Shared.ProductType))
	form.SuiteMask.Put(h, uint64(k.Shared.SuiteMask))
	if runs != nil {
		form.PutRuns(h, runs)
	}
	return h
}

// headerWindows fills what Windows itself fills on a bug check, as read
// out of crash dumps of build 19041. context is the record of the processor that
// the dump opens on; nil: no registers are known.
func headerWindows(h []byte, k *windows.Kernel, context []byte) []byte {
	form.DirectoryTableBase.Put(h, uint64(k.HeaderDTB))
	if k.HeaderDTB == 0 {
		form.DirectoryTableBase.Put(h, uint64(k.DTB))
	}
	form.NumberProcessors.Put(h, uint64(processors(k)))
	if k.Version.MachineType == 0 {
		form.MachineImageType.Put(h, machineAMD64)
	}

	check := windows.BugCheck{Code: bugCheckLiveDump}
	if k.BugCheck != nil {
		check = *k.BugCheck
	}
	form.BugCheckCode.Put(h, uint64(check.Code))
	for i, v := range check.Parameters {
		form.BugCheckParameters[i].Put(h, v)
	}

	form.SystemTime.Put(h, k.Shared.SystemTime)
	form.SystemUpTime.Put(h, k.Shared.InterruptTime)
	form.WriterStatus.Put(h, 0)
	form.KdSecondaryVersion.Put(h, 0)

	// Behind the record Windows leaves zeros; of the exception it sets what comes
	// before the padding in front of the parameters.
	clear(form.Context.In(h))
	copy(form.Context.In(h), context)
	clear(h[form.Exception.Off:][:exceptionSet])
	form.ExceptionCode.Put(h, exceptionBreak)
	form.ExceptionFlags.Put(h, exceptionNoReturn)
	if context != nil {
		form.ExceptionAddress.Put(h, windows.RecordOf(context).PC)
	}
	return h
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
