package kdump

import (
	"context"
	"runtime"
	"slices"

	"coredrop/core/container/elfcore"
	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// archs are the processors by utsname.machine as QEMU and Linux write it.
var archs = map[string]*cpu.Arch{
	"x86_64": cpu.X64, "i386": cpu.X86, "i686": cpu.X86, "aarch64": cpu.ARM64,
}

const (
	// metaCache is the cache of bitmap and descriptors.
	metaCache = 2 << 20
	// maxWorkers bounds what is unpacked ahead at once: 16 of them hold some 20 MiB.
	maxWorkers = 16
)

// Open is the machine.Opener for kdump cores. It reads the headers, the notes, the
// bitmaps, and of a flattened file the heads of its records; not the memory. What
// is known of the machine is given beside a refusal, a *fault.Error (truncated,
// damaged-header, unsupported-cpu, no-memory).
func Open(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
	head := make([]byte, min(int64(len(flatSignature)), max(s.Size, 0)))
	if err := s.Full(head, 0); err != nil {
		return nil, err
	}
	file, next := s, func(off, end int64) (int64, int64) { return off, end }
	m := &machine.Machine{Format: Format}
	switch {
	case isFlat(head):
		f, err := unflatten(ctx, s, o.Sink)
		if err != nil {
			return m, err
		}
		// The whole struct is replaced: what the file can do, its contents cannot.
		file = source.Source{ReaderAt: f, Size: f.size, Name: s.Name}
		next = f.data
		if f.cut {
			m.Warnings = append(m.Warnings, fault.Warn(fault.Truncated, "the flattened file ends before its end mark"))
		}
		o.Logf("flattened kdump core: %d pieces, %d bytes put together", len(f.pieces), f.size)
	case len(head) < len(signature) || string(head[:len(signature)]) != signature:
		return nil, machine.ErrNotMine
	}
	err := open(ctx, file, next, m, o)
	return m, err
}

// open reads the file as it is, or as it is put together.
func open(ctx context.Context, file source.Source, next func(off, end int64) (int64, int64), m *machine.Machine, o machine.Options) error {
	h, err := parseHeader(file)
	m.Arch = archs[h.machine]
	for i := range h.cpus {
		m.CPUs = append(m.CPUs, machine.CPU{Index: i})
	}
	if err != nil {
		return err
	}
	o.Logf("kdump core, version %d, machine %q, %d CPUs, blocks of %d bytes, status %#x, dump level %d", h.version, h.machine, h.cpus, h.block, h.status, h.dumpLevel)
	if err := h.readNotes(ctx, file, m); err != nil {
		return err
	}
	b, list, err := h.readBitmap(ctx, file, next)
	m.Listed = list
	if err != nil {
		return err
	}
	c := &core{header: h, file: file, bitmap: b}
	if c.meta, err = mem.NewFile(file, []mem.Extent{{Bytes: uint64(file.Size)}}, metaCache); err != nil {
		return fault.Wrap(err, fault.Internal, "")
	}
	if list, err = c.present(ctx, list, m); err != nil {
		return err
	}
	m.Listed = list
	if err := c.leftOut(ctx, next, m); err != nil {
		return err
	}
	o.Logf("%d blocks in the file, %d extents", b.set, len(list))
	if len(list) == 0 {
		return fault.New(fault.NoMemory, "")
	}
	pages := mem.NewPages(list, h.block, min(runtime.GOMAXPROCS(0), maxWorkers), o.CacheBytes,
		func() mem.BlockReader { return &reader{core: c} })
	if file.Prefetch != nil {
		pages.Fetch = c.fetch
	}
	m.Listed, m.Mem = nil, pages
	if m.Arch != cpu.X64 && m.Arch != nil {
		return fault.New(fault.UnsupportedCPU, "this is a kdump core of a guest whose processor is not supported: %s", m.Arch)
	}
	return nil
}

// readNotes takes the CPUs and the guest's notes.
func (h *header) readNotes(ctx context.Context, file source.Source, m *machine.Machine) error {
	r := h.notes
	if r.Bytes > 0 && r.Off < file.Size {
		n, err := elfcore.ReadNotes(ctx, file, r, m.Arch)
		if err != nil {
			return err
		}
		if len(n.CPUs) > 0 {
			m.CPUs, m.Arch = n.CPUs, n.Arch
		}
		m.Guest, m.Writer = n.Guest, n.Writer
		m.Warnings = append(m.Warnings, n.Warnings...)
	}
	registers := func(c machine.CPU) bool { return c.State != nil }
	if m.Arch != cpu.ARM64 && !slices.ContainsFunc(m.CPUs, registers) {
		m.Warnings = append(m.Warnings, fault.Warn(fault.NoQEMUNotes, ""))
	}
	for _, n := range m.Guest {
		if n.Name == vmcoreinfo {
			return nil
		}
	}
	// makedumpfile keeps the guest's text apart where the notes lack it.
	if r := h.info; r.Bytes > 0 && r.Bytes <= maxInfo && r.Off <= file.Size-r.Bytes {
		text := make([]byte, r.Bytes)
		if err := file.Full(text, r.Off); err != nil {
			return err
		}
		m.Guest = append(m.Guest, machine.Note{Name: vmcoreinfo, Desc: text})
	}
	return nil
}

// The note in which a Linux kernel describes itself.
const (
	vmcoreinfo = "VMCOREINFO"
	maxInfo    = 64 << 10
)

// present takes out of the memory what was never written, since the disk was full,
// and what lies behind the end of a file that was cut.
func (c *core) present(ctx context.Context, list []mem.Extent, m *machine.Machine) ([]mem.Extent, error) {
	end := c.header.descriptors() + int64(c.bitmap.set)*descriptorBytes
	if end > c.file.Size {
		return nil, fault.New(fault.Truncated, "the file ends inside the list of its pages, at %#x of %#x", c.file.Size, end)
	}
	cut, err := c.cut(end)
	if err != nil || !cut && c.status&statusIncomplete == 0 {
		return list, err
	}
	var out []mem.Extent
	lost, beyond := 0, 0
	at := c.header.descriptors()
	buf := make([]byte, descriptorBytes*(bitmapChunk/descriptorBytes))
	var left []byte
	for _, e := range list {
		for pa := e.Start; pa < e.End(); pa += mem.PA(c.block) {
			if len(left) == 0 {
				if err := ctx.Err(); err != nil {
					return nil, fault.Wrap(err, fault.Cancelled, "")
				}
				left = buf[:min(int64(len(buf)), end-at)]
				if err := c.file.Full(left, at); err != nil {
					return nil, err
				}
				at += int64(len(left))
			}
			d := parseDescriptor(left)
			left = left[descriptorBytes:]
			switch {
			case d.lost():
				lost++
				continue
			case d.at+int64(d.bytes) > c.file.Size:
				beyond++
				continue
			}
			if n := len(out) - 1; n >= 0 && out[n].End() == pa {
				out[n].Bytes += uint64(c.block)
			} else {
				out = append(out, mem.Extent{Start: pa, Bytes: uint64(c.block), Origin: mem.Decoded})
			}
		}
	}
	m.MissingEnd = int64(lost+beyond) * c.block
	switch all := c.bitmap.set; {
	case lost > 0:
		m.Warnings = append(m.Warnings, fault.Warn(fault.Truncated, "the writer of this core ran out of disk space: %d of %d blocks of memory are not in it", lost+beyond, all))
	case beyond > 0:
		m.Warnings = append(m.Warnings, fault.Warn(fault.Truncated, "the file ends early: %d of %d blocks of memory lie behind its end", beyond, all))
	case c.status&statusIncomplete != 0:
		m.Warnings = append(m.Warnings, fault.Warn(fault.Truncated, "the writer of this core marked it as incomplete, but no block of memory is missing"))
	}
	return out, nil
}

// cut reports whether the file ends before the last block's data does. Writers
// write blocks in order, so the last descriptors tell.
func (c *core) cut(end int64) (bool, error) {
	p := make([]byte, min(int64(bitmapChunk/descriptorBytes), int64(c.bitmap.set))*descriptorBytes)
	if err := c.file.Full(p, end-int64(len(p))); err != nil {
		return false, err
	}
	for ; len(p) > 0; p = p[descriptorBytes:] {
		if d := parseDescriptor(p); d.lost() || d.at+int64(d.bytes) > c.file.Size {
			return true, nil
		}
	}
	return false, nil
}

// leftOut says how much of the machine's memory the writer left out on purpose.
func (c *core) leftOut(ctx context.Context, next func(off, end int64) (int64, int64), m *machine.Machine) error {
	all, err := c.countMemory(ctx, c.file, next)
	if err != nil || all <= c.bitmap.set {
		return err
	}
	m.Warnings = append(m.Warnings, fault.Warn(fault.MemoryFiltered, "%d of the machine's %d blocks of %d bytes (%d%%) were left out when this core was written (dump level %d)",
		all-c.bitmap.set, all, c.block, (all-c.bitmap.set)*100/all, c.dumpLevel))
	return nil
}
