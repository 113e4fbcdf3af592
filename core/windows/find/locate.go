package find

import (
	"fmt"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// partial is the kernel so far, for a search that failed.
func (f *finder) partial() *windows.Kernel {
	if len(f.kernels) == 0 {
		return nil
	}
	return f.begin(f.kernels[0])
}

// begin makes the kernel's first fields of a candidate.
func (f *finder) begin(c *found) *windows.Kernel {
	k := &windows.Kernel{Machine: f.m, Space: c.space, DTB: c.space.Root, HeaderDTB: c.space.Root, DTBFrom: c.root.from,
		Image: c.image, PDB: c.image.CodeView, KDBG: c.block, EncodedFlag: c.flag, Shared: windows.ReadShared(c.space)}
	switch {
	case c.symbols.rvas != nil:
		k.SymbolsStatus, k.SymbolsFrom = windows.SymbolsFound, c.symbols.from
	case c.symbols.asked:
		k.SymbolsStatus, k.SymbolsError = windows.SymbolsMissing, c.symbols.err
	case c.err == nil:
		k.SymbolsStatus = windows.SymbolsNoneNeeded
	default:
		k.SymbolsStatus = windows.SymbolsNeeded
	}
	return k
}

// fill reads everything that the debugger block leads to.
func (f *finder) fill(c *found) (*windows.Kernel, error) {
	k := f.begin(c)
	f.introduce(k)
	if k.PDB == nil {
		k.Warn(fault.NoCodeView, "the kernel image at %v names no PDB: %v", k.Image.Base, k.Image.CodeViewErr)
	}
	for _, doubt := range c.doubts {
		k.Warn(fault.ImageDamaged, "the kernel image at %v: %s", k.Image.Base, doubt)
	}
	if k.SymbolsError != nil {
		w := windows.WarningOf(k.SymbolsError)
		w.Text += "; the work went on without symbols"
		k.Warnings = append(k.Warnings, w)
	}
	k.Warnings = append(k.Warnings, c.warnings...)
	f.foreign(k, c)

	if !k.Shared.Readable {
		k.Warn(fault.KUSDUnreadable, "the guest's shared page (KUSER_SHARED_DATA) could not be read: the times, the product and the suite are not known")
	}
	k.WarnClock()
	k.ReadProcessors(f.ctx)
	if err := f.ctx.Err(); err != nil {
		return k, err
	}
	f.matchProcessors(k)
	k.WarnLost()
	f.readVersion(k, c)
	f.follow(k)
	k.Opens = f.chooseOpening(k, c)
	f.chooseHeaderBase(k, c.root)
	warnNoRegisters(k)
	f.logf("%s", k.Opening(false))
	f.compareFwCfg(k)
	f.conclude(k)
	return k, f.ctx.Err()
}

// introduce says where the kernel was found.
func (f *finder) introduce(k *windows.Kernel) {
	f.logf("page-table base %#x from %s", uint64(k.DTB), k.DTBFrom)
	f.logf("kernel base %v", k.Image.Base)
	f.logf("debugger block at %v, %#x bytes, encoded %v, found by %s", k.KDBG.VA, k.KDBG.Size, k.KDBG.Encoded, k.KDBG.FoundBy)
}

// follow reads what the debugger block leads to: the bug check and the lists.
func (f *finder) follow(k *windows.Kernel) {
	if k.Version.VA != 0 {
		f.logf("version block at %v: build %d", k.Version.VA, k.Version.Minor)
	}
	k.ReadLists()
	k.Opens.Index = -1
}

// conclude says what was read.
func (f *finder) conclude(k *windows.Kernel) {
	for _, p := range k.Processors {
		f.logf("processor %d: KPRCB %v, context %v, CPU %d", p.Number, p.PRCB, p.Context, p.CPU)
	}
	f.logf("%d modules, %d processes", len(k.Modules), len(k.Processes))
}

// foreign warns about images that looked like the kernel and are not.
func (f *finder) foreign(k *windows.Kernel, c *found) {
	told := map[mem.VA]bool{k.Image.Base: true}
	var where []string
	for _, other := range f.kernels {
		if other == c || told[other.image.Base] {
			continue
		}
		told[other.image.Base] = true
		why := "contradicted by the memory its block points to"
		if other.err != nil {
			why = string(fault.As(other.err).Code)
		}
		where = append(where, fmt.Sprintf("%v (%s)", other.image.Base, why))
	}
	if len(where) > 0 {
		k.Warn(fault.ForeignKernel, "passed over, though they look like a kernel: images at %s", strings.Join(where, ", "))
	}
}
