package linux

import (
	"bytes"
	"context"

	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/progress"
)

// The beginning of every vmcoreinfo text, by which it is found in memory.
var infoMark = []byte("OSRELEASE=")

// scanChunk is how much memory one step of a search reads; searches overlap
// their steps by scanOverlap.
const (
	scanChunk   = 1 << 20
	scanOverlap = vmcoreinfoBytes
)

// noteInfo reads the note that the guest's vmcoreinfo device supplied.
func noteInfo(m *machine.Machine) *VMCoreInfo {
	for _, n := range m.Guest {
		if n.Name != "VMCOREINFO" {
			continue
		}
		if v, err := ParseVMCoreInfo(n.Desc); err == nil {
			return v
		}
		// QEMU wraps what the guest wrote, which is itself a note: a header
		// of 12 bytes and the name come first then.
		if i := bytes.Index(n.Desc, infoMark); i >= 0 {
			if v, err := ParseVMCoreInfo(n.Desc[i:]); err == nil {
				return v
			}
		}
	}
	return nil
}

// scanInfo searches all of memory for vmcoreinfo texts and hands each to try,
// until try is satisfied. The kernel fills the page whether or not there is a
// vmcoreinfo device; it is found twice, at the start of a page and 0x18 bytes
// into another (the prebuilt note).
func scanInfo(ctx context.Context, phys mem.Physical, sink progress.Sink, try func(*VMCoreInfo) bool) error {
	return scanPhysical(ctx, phys, sink, func(chunk []byte, start mem.PA) bool {
		for rest := chunk; ; {
			i := bytes.Index(rest, infoMark)
			if i < 0 {
				return false
			}
			rest = rest[i:]
			text := rest[:min(len(rest), vmcoreinfoBytes)]
			if looksLikeInfo(text) {
				if v, err := ParseVMCoreInfo(text); err == nil && try(v) {
					return true
				}
			}
			rest = rest[len(infoMark):]
		}
	})
}

// looksLikeInfo tells a vmcoreinfo page from the kernel's format strings and
// from copies of a text in a log: PAGESIZE is its second or third line.
func looksLikeInfo(text []byte) bool {
	i := bytes.Index(text, []byte("\nPAGESIZE=4096\n"))
	return i >= 0 && i < 256
}

// scanPhysical hands all memory to visit, piece by piece in ascending order,
// until visit answers true. Consecutive pieces of an extent overlap by
// scanOverlap bytes. Memory that cannot be read is passed over.
func scanPhysical(ctx context.Context, phys mem.Physical, sink progress.Sink, visit func(chunk []byte, start mem.PA) bool) error {
	var total, done int64
	extents := phys.Extents()
	for _, e := range extents {
		total += int64(e.Bytes)
	}
	buf := make([]byte, scanChunk)
	for _, e := range extents {
		for off := uint64(0); off < e.Bytes; {
			if err := ctx.Err(); err != nil {
				return err
			}
			n := min(uint64(len(buf)), e.Bytes-off)
			if phys.ReadAt(buf[:n], e.Start+mem.PA(off)) == nil && visit(buf[:n], e.Start+mem.PA(off)) {
				return nil
			}
			sink.Report("search memory", done+int64(off+n), total)
			if off+n == e.Bytes {
				break
			}
			off += n - scanOverlap
		}
		done += int64(e.Bytes)
	}
	return nil
}
