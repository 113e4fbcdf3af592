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

// scanChunk is how much of the image one step of a search reads.
const scanChunk = 1 << 20

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

// infoTexts hands the vmcoreinfo texts that begin in whole page frames at pa to
// try, until try is satisfied. The kernel fills its page whether or not there is
// a vmcoreinfo device; the text is found twice, at the start of a page and 0x18
// bytes into another (the prebuilt note), so none begins across two parts.
func infoTexts(phys mem.Physical, pa mem.PA, p []byte, try func(*VMCoreInfo) bool) bool {
	for at := 0; ; {
		i := bytes.Index(p[at:], infoMark)
		if i < 0 {
			return false
		}
		at += i
		text := p[at:]
		if len(text) < vmcoreinfoBytes { // the rest is in the next part
			whole := make([]byte, vmcoreinfoBytes)
			if phys.ReadAt(whole, pa+mem.PA(at)) == nil {
				text = whole
			}
		}
		text = text[:min(len(text), vmcoreinfoBytes)]
		if looksLikeInfo(text) {
			if v, err := ParseVMCoreInfo(text); err == nil && try(v) {
				return true
			}
		}
		at += len(infoMark)
	}
}

// scanInfo is infoTexts over all of memory.
func scanInfo(ctx context.Context, phys mem.Physical, sink progress.Sink, try func(*VMCoreInfo) bool) error {
	return mem.ScanPages(ctx, phys, func(pa mem.PA, p []byte, done, total int64) error {
		sink.Report("searching memory", done, total)
		if infoTexts(phys, pa, p, try) {
			return mem.ErrEnough
		}
		return nil
	})
}

// looksLikeInfo tells a vmcoreinfo page from the kernel's format strings and
// from copies of a text in a log: PAGESIZE is its second or third line.
func looksLikeInfo(text []byte) bool {
	i := bytes.Index(text, []byte("\nPAGESIZE=4096\n"))
	return i >= 0 && i < 256
}
