package linux

import (
	"context"
	"strings"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/progress"
)

// Options of finding a kernel. The detections can be turned off one by one, for
// comparison: each has a fallback.
type Options struct {
	IgnoreNote bool // do not use the VMCOREINFO note
	IgnoreInfo bool // do not use any vmcoreinfo text, note or memory
	IgnoreKeys bool // do not use the SYMBOL(kallsyms_…) keys
	progress.Sink
}

// Kernel is a Linux kernel found in a core.
type Kernel struct {
	Machine *machine.Machine
	Space   *paging.Space // the kernel's own address space

	Info     *VMCoreInfo // nil when none was found
	InfoFrom string      // "note", "memory" or ""

	Release string // utsname release
	Version string // utsname version, "#1 SMP …"
	Banner  string // linux_banner without its line end

	Text     uint64 // address of _text (or _stext)
	Slide    uint64 // KASLR slide of virtual addresses
	PhysBase int64  // phys(a) = a - 0xffffffff80000000 + PhysBase, for addresses of the image

	Symbols     *Symbols // nil when no table was found
	SymbolsFrom string   // "keys", "scan" or ""
	Modules     []Module

	Warnings []fault.Warning

	view        view
	image       []span
	code        span // asked for often; set with the symbols
	tasks       *taskLayout
	currentDisp uint64 // of current behind GS, when found by code
	orc         *orcTables
	log         *ring
}

// tryInfo takes page tables and addresses from a vmcoreinfo text, when memory
// agrees with it: the tables it names must map _stext where phys_base says.
func (k *Kernel) tryInfo(v *VMCoreInfo, from string) bool {
	text, ok1 := v.Symbol("_stext")
	base, ok2 := v.Number("phys_base")
	root, ok3 := v.Symbol("swapper_pg_dir")
	if !ok3 {
		root, ok3 = v.Symbol("init_top_pgt")
	}
	if !ok1 || !ok2 || !ok3 || text < kernelMap || root < kernelMap {
		return false
	}
	modes := []*paging.Mode{paging.X64, paging.X64L5}
	if l5, ok := v.Number("pgtable_l5_enabled"); ok && l5 != 0 {
		modes[0], modes[1] = modes[1], modes[0]
	}
	for _, mode := range modes {
		s := paging.New(k.Machine.Mem, root-kernelMap+uint64(base), mode)
		pa, _, err := s.Translate(mem.VA(text))
		if err != nil || uint64(pa) != text-kernelMap+uint64(base) {
			continue
		}
		k.Space, k.Info, k.InfoFrom = s, v, from
		k.Text, k.PhysBase = text&^(mem4K-1), base
		if off, ok := v.KernelOffset(); ok {
			k.Slide = off
		} else {
			k.Slide = k.Text - linkText
		}
		return true
	}
	return false
}

// cpuSpaces are the address spaces of the CPUs. The kernel half is shared, but
// for the user tables of page-table isolation: bit 12 of CR3 tells those from
// the kernel's.
func cpuSpaces(m *machine.Machine) []*paging.Space {
	var out []*paging.Space
	seen := map[uint64]bool{}
	for _, c := range m.CPUs {
		if c.State == nil || !c.State.System() || !c.State.Paging() {
			continue
		}
		mode := paging.X64
		if c.State.Get(cpu.CR4)&cpu.CR4LA57 != 0 {
			mode = paging.X64L5
		}
		const userTables = 1 << 12 // PTI_USER_PGTABLE_BIT, arch/x86/include/asm/processor-flags.h
		for _, root := range []uint64{c.State.Root() &^ userTables, c.State.Root()} {
			if !seen[root] {
				seen[root] = true
				out = append(out, paging.New(m.Mem, root, mode))
			}
		}
	}
	return out
}

// imageText is where the kernel image's mapping begins.
func imageText(s *paging.Space) (uint64, bool) {
	spans := mapped(s, kernelMap, kernelMap+kernelMapSize, 2<<20)
	if len(spans) == 0 {
		return 0, false
	}
	return spans[0].start, true
}

// findInfo finds the vmcoreinfo text of a kernel that was found without it:
// through the kernel's own pointer to it, by name or by what it points to, and at
// last by searching memory.
func (k *Kernel) findInfo(ctx context.Context, o Options) error {
	if at, ok := k.Symbols.Lookup("vmcoreinfo_data"); ok {
		if p, ok := k.view.u64(at); ok && k.useInfo(p) {
			return nil
		}
	}
	scanSpans(k.view, k.image, 0, func(chunk []byte, _ uint64) bool {
		for off := 0; off+8 <= len(chunk); off += 8 {
			if p := le64(chunk, off); p >= kernelHalf && p%mem4K == 0 && k.useInfo(p) {
				return true
			}
		}
		return ctx.Err() != nil
	})
	// All that the text is still needed for is the log. When the log is found
	// without it, the rest of memory need not be searched.
	if k.Info == nil && ctx.Err() == nil {
		if _, err := k.openLog(); err == nil {
			return nil
		}
		text, base := k.Text, k.PhysBase
		err := scanInfo(ctx, k.Machine.Mem, o.Sink, func(v *VMCoreInfo) bool {
			at, _ := v.Symbol("_stext")
			pb, _ := v.Number("phys_base")
			if at&^(mem4K-1) != text || pb != base {
				return false // of another kernel
			}
			k.takeInfo(v)
			return true
		})
		if err != nil {
			return fault.Wrap(err, fault.Cancelled, "")
		}
	}
	return nil
}

// useInfo takes the vmcoreinfo text at an address, if there is one.
func (k *Kernel) useInfo(p uint64) bool {
	var mark [16]byte
	if p < kernelHalf || k.Space.ReadAt(mark[:], mem.VA(p)) != nil || !strings.HasPrefix(string(mark[:]), string(infoMark)) {
		return false
	}
	v, err := ParseVMCoreInfo(k.view.prefix(p, vmcoreinfoBytes))
	if err == nil {
		k.takeInfo(v)
	}
	return err == nil
}

func (k *Kernel) takeInfo(v *VMCoreInfo) {
	k.Info, k.InfoFrom = v, "memory"
	if off, ok := v.KernelOffset(); ok {
		k.Slide = off
	}
}

func (k *Kernel) warn(code fault.Code, format string, args ...any) {
	k.Warnings = append(k.Warnings, fault.Warn(code, format, args...))
}

// Address finds a symbol in the symbol table, or else in vmcoreinfo.
func (k *Kernel) Address(name string) (uint64, bool) {
	if a, ok := k.Symbols.Lookup(name); ok {
		return a, true
	}
	return k.Info.Symbol(name)
}

// String reads a NUL-terminated string of at most limit bytes from the guest.
func (k *Kernel) String(va uint64, limit int) (string, bool) { return k.view.cstring(va, limit) }

// Read reads n bytes of the guest's virtual memory.
func (k *Kernel) Read(va uint64, n int) ([]byte, bool) { return k.view.bytes(va, n) }

// Uint64 reads a word of the guest's virtual memory.
func (k *Kernel) Uint64(va uint64) (uint64, bool) { return k.view.u64(va) }

// Uint32 reads half a word of the guest's virtual memory.
func (k *Kernel) Uint32(va uint64) (uint32, bool) { return k.view.u32(va) }

// KernelPointer reports whether an address lies in the kernel's half.
func (k *Kernel) KernelPointer(a uint64) bool {
	return a >= kernelHalf && k.Space.Mode.Canonical(mem.VA(a))
}

// InText reports whether an address lies in the kernel's code.
func (k *Kernel) InText(a uint64) bool {
	start, end := k.textBounds()
	return a >= start && a < end || k.moduleAt(a) != nil
}

// textBounds are _stext and _etext, or all of the image without symbols.
func (k *Kernel) textBounds() (start, end uint64) {
	if k.code.end != 0 {
		return k.code.start, k.code.end
	}
	k.code = span{k.Text, k.Text}
	if e, ok := k.Symbols.Lookup("_etext"); ok && e > k.Text {
		k.code.end = e
	} else if n := len(k.image); n > 0 {
		k.code.end = k.image[n-1].end
	}
	return k.code.start, k.code.end
}

// MinorRelease gives the release's first two numbers, "6.1.192-kcsan-a" being
// 6 and 1.
func (k *Kernel) MinorRelease() (major, minor int) {
	parts := strings.SplitN(k.Release, ".", 3)
	if len(parts) < 2 {
		return 0, 0
	}
	return leadingInt(parts[0]), leadingInt(parts[1])
}

func leadingInt(s string) int {
	n := 0
	for _, c := range s {
		if c < '0' || c > '9' || n > 1<<20 {
			break
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// Prefix reads up to n bytes of the guest's virtual memory, as far as it is
// there.
func (k *Kernel) Prefix(va uint64, n int) []byte { return k.view.prefix(va, n) }
