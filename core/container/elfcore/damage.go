package elfcore

import (
	"bytes"
	"fmt"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/source"
)

// names is the section that QEMU 7.2 and later end a core with, the names of its
// sections: whoever finds it at its place has the file to its last byte.
const names = "\x00.shstrtab\x00"

// damage compares the file with what its headers say of its length and end. An
// error: bytes are gone or were added in between, so that memory is not where
// the headers say. Warnings: what is there can be used.
func (g *segments) damage(file source.Source, head []byte, named uint64) (list []fault.Warning, err error) {
	s := &probe{Source: file}
	defer func() {
		if s.err != nil {
			list, err = nil, s.err
		}
	}()
	at, known := g.namesAt(s, head)
	end := s.Size // of the memory
	switch {
	case known && !g.isAt(s, at):
		expected := at + int64(len(names))
		moved := g.isAt(s, s.Size-int64(len(names)))
		switch {
		case moved && s.Size != expected:
			return nil, damagedCopy(shifted(s, expected))
		case s.Size >= expected:
			end = at
			if w := zeroed(s, min(expected, s.Size)); w != "" {
				list = append(list, fault.Warn(fault.DamagedCopy, "%s", w))
			} else {
				list = append(list, fault.Warn(fault.DamagedCopy, "the end of the core is not the one that QEMU wrote: the copy may be damaged"))
			}
		}
	case known:
		end = at
	default:
		if s.Size != int64(min(g.end, 1<<62)) {
			if what := texted(s, s.Size < int64(min(g.end, 1<<62))); what != "" {
				return nil, damagedCopy(what)
			}
		}
		if w := g.firmware(s); w != "" {
			list = append(list, fault.Warn(fault.DamagedCopy, "%s", w))
		}
	}
	if w := g.unnamed(end, named); w != "" {
		list = append(list, fault.Warn(fault.PagingCore, "%s", w))
	}
	return list, nil
}

// probe is a file that is looked at here and there; it remembers the first read
// that failed, so that a failure is not taken for an answer.
type probe struct {
	source.Source
	err error
}

// full fills p from off, which lies in the file; false: it could not be read.
func (s *probe) full(p []byte, off int64) bool {
	if s.err == nil {
		s.err = s.Full(p, off)
	}
	return s.err == nil
}

// damagedCopy refuses a copy whose bytes are no longer where they were.
func damagedCopy(what string) error {
	return fault.New(fault.DamagedCopy, "the core was damaged when it was copied: %s", what).Instead(
		fault.Step{Text: "copy it again in binary mode (FTP: binary; no terminal in between: docker exec and kubectl exec without -t, ssh without -t)"},
		fault.Step{Text: "compare the copy with the original", Command: "sha256sum {file}"})
}

// namesAt gives the offset of the section names; false: the file has none, or
// another writer's.
func (g *segments) namesAt(s *probe, head []byte) (int64, bool) {
	table, index, count, stride := g.at(head, g.shoff), le.Uint16(head[g.shNames:]), le.Uint16(head[g.shCount:]), int(le.Uint16(head[g.shSize:]))
	if count == 0 || index == 0 || index >= count || stride < g.shdr || table > uint64(s.Size) {
		return 0, false
	}
	p := make([]byte, g.shdr)
	off := int64(table) + int64(index)*int64(stride)
	if s.Size-off < int64(len(p)) || !s.full(p, off) {
		return 0, false
	}
	at, size := g.at(p, g.shOffset), g.at(p, g.shBytes)
	if size != uint64(len(names)) || at > 1<<62 || at < g.begin {
		return 0, false
	}
	return int64(at), true
}

// isAt reports whether the section names are at an offset.
func (g *segments) isAt(s *probe, off int64) bool {
	p := make([]byte, len(names))
	return off >= 0 && s.Size-off >= int64(len(p)) && s.full(p, off) && string(p) == names
}

// shifted words a file whose end is there, but not where it should be.
func shifted(s *probe, expected int64) string {
	if what := texted(s, s.Size < expected); what != "" {
		return what
	}
	if s.Size > expected {
		return fmt.Sprintf("%d bytes were added in between, as a copy in text mode does", s.Size-expected)
	}
	return fmt.Sprintf("%d bytes are gone in between, as after a copy in text mode", expected-s.Size)
}

// How much is sampled for line ends: this many places of that many bytes. It is
// done only where something is wrong already, and most of memory may be zeros.
const (
	textSamples     = 256
	textSampleBytes = 64 << 10
	textEnough      = 16 // line feeds that tell
)

// texted reports, from samples, that every line feed has a carriage return
// before it: a copy in text mode put them there. "": nothing shows it.
//
// A file that became shorter and has line feeds, but no carriage return at all,
// lost those.
func texted(s *probe, shorter bool) string {
	p := make([]byte, min(textSampleBytes, s.Size))
	var feeds, pairs, returns int
	count := min(textSamples, (s.Size+textSampleBytes-1)/textSampleBytes) // of a small file all, once
	for i := range count {
		if !s.full(p, (s.Size-int64(len(p)))/max(count-1, 1)*i) {
			return ""
		}
		feeds += bytes.Count(p[1:], []byte("\n")) // of the first byte it is not known
		pairs += bytes.Count(p, []byte("\r\n"))
		returns += bytes.Count(p, []byte("\r"))
	}
	switch {
	case shorter && returns == 0 && feeds >= 16*textEnough:
		return "there is no carriage return in it, as after a copy in text mode"
	case feeds < textEnough || pairs != feeds:
		return ""
	}
	return "every line feed has a carriage return before it, as a copy in text mode puts it there"
}

// zeroBlock is what is looked at at a time for zeros.
const zeroBlock = 64 << 10

// zeroed says from where on a file of full length is zeros, by samples; "": it
// does not end in zeros.
func zeroed(s *probe, end int64) string {
	p := make([]byte, zeroBlock)
	zero := func(off int64) bool {
		q := p[:min(zeroBlock, end-off)]
		return s.full(q, off) && len(bytes.TrimLeft(q, "\x00")) == 0
	}
	// Backwards in growing steps to a block with something in it, then between
	// the last two.
	last := max(end-zeroBlock, 0)
	if !zero(last) {
		return ""
	}
	good, bad := int64(0), last
	for step := int64(zeroBlock); bad > 0; step *= 2 {
		at := max(bad-step, 0)
		if !zero(at) {
			good = at
			break
		}
		bad = at
	}
	for bad-good > zeroBlock {
		if mid := good + (bad-good)/2; zero(mid) {
			bad = mid
		} else {
			good = mid
		}
	}
	return fmt.Sprintf("the file has its full length, but from about %d on it is zeros to its end: %d bytes, %s; the copy was not finished, or the disk was full",
		bad, end-bad, percent(uint64(end-bad), uint64(end)))
}

// The processor begins at this address after a reset, in the firmware's last
// sixteen bytes: they are never zero (Intel SDM volume 3, 11.1.4).
const (
	resetVector = 0xfffffff0
	resetBytes  = 16
)

// firmware judges a core without section names by the firmware that ends at
// 4 GiB, where a core has it.
func (g *segments) firmware(s *probe) string {
	for _, b := range g.blocks {
		if b.Start > resetVector || b.Start+mem.PA(b.Bytes) != resetVector+resetBytes {
			continue
		}
		p := make([]byte, resetBytes)
		off := b.Offset + int64(resetVector-b.Start)
		if !s.full(p, off) || len(bytes.TrimLeft(p, "\x00")) > 0 {
			return ""
		}
		if w := zeroed(s, s.Size); w != "" {
			return w
		}
		return "the firmware's last bytes are zeros: the copy may be damaged"
	}
	return ""
}
