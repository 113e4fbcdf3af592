package kdump

import (
	"context"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// archs are the processors by utsname.machine as QEMU and Linux write it.
var archs = map[string]machine.Arch{
	"x86_64": machine.X64, "i386": machine.X86, "i686": machine.X86, "aarch64": machine.ARM64,
}

// bitmapChunk is how much of the bitmap is held at a time.
const bitmapChunk = 256 << 10

// Open is the machine.Opener for kdump cores. What the headers say of the
// machine is given beside the refusal: the memory is not read yet.
func Open(ctx context.Context, s source.Source, o machine.Options) (*machine.Machine, error) {
	h, ok, err := readHeader(s)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, machine.ErrNotMine
	}
	m := &machine.Machine{Format: Format, Arch: archs[h.machine]}
	for i := range h.cpus {
		m.CPUs = append(m.CPUs, machine.CPU{Index: i})
	}
	o.Logf("kdump core, flattened %v, machine %q, %d CPUs, blocks of %d bytes", h.flat, h.machine, h.cpus, h.block)
	if !h.flat && h.block > 0 {
		if m.Blocks, err = h.memory(ctx, s); err != nil {
			return m, err
		}
	}
	return m, fault.New(fault.KdumpCompressed, "")
}

// memory lists the frames that the second bitmap, the one of pages in the file,
// has bits for. A bitmap that ends early gives those before its end.
func (h header) memory(ctx context.Context, s source.Source) ([]mem.Extent, error) {
	half := h.bitmapBlocks / 2 * h.block
	start := (1+h.subBlocks)*h.block + half
	end := min(start+half, s.Size)
	var list []mem.Extent
	buf := make([]byte, bitmapChunk)
	for at := start; at < end; at += bitmapChunk {
		if err := ctx.Err(); err != nil {
			return list, fault.Wrap(err, fault.Cancelled, "")
		}
		p := buf[:min(bitmapChunk, end-at)]
		if err := s.Full(p, at); err != nil {
			return list, err
		}
		for i, b := range p {
			for bit := 0; b != 0 && bit < 8; bit++ {
				if b&(1<<bit) == 0 {
					continue
				}
				pa := mem.PA(uint64(8*(at-start+int64(i))+int64(bit)) * uint64(h.block))
				if n := len(list); n > 0 && list[n-1].End() == pa {
					list[n-1].Bytes += uint64(h.block)
				} else if len(list) < maxExtents {
					list = append(list, mem.Extent{Start: pa, Bytes: uint64(h.block), Origin: mem.Decoded})
				}
			}
		}
	}
	return list, nil
}

// maxExtents bounds what a hostile bitmap can make of memory here.
const maxExtents = 1 << 20
