package windows

import (
	"slices"

	"coredrop/core/mem"
	"coredrop/core/paging"
)

// BugCheck is the stop code and its parameters.
type BugCheck struct {
	Code       uint32
	Parameters [4]uint64
}

// codeRewrites is the code whose parameters KeBugCheck2 replaces along with it.
const codeRewrites = 0x4c

// rewrittenFrom lists the codes with which KeBugCheckEx was called where
// KeBugCheck2 puts another into KiBugCheckData and leaves the parameters: for
// an access at raised IRQL it finds out whose fault it was. Source: Microsoft's
// bug check reference, which gives these pairs the same parameters, and public
// analyses, whose stacks show the code of the call.
var rewrittenFrom = map[uint32][]uint32{
	0xd1: {0xa}, 0xc5: {0xa}, 0xd3: {0xa}, 0xd4: {0xa},
	0xcc: {0x50}, 0xcd: {0x50}, 0xce: {0x50}, 0xd5: {0x50}, 0xd6: {0x50},
}

// calledAs reports whether KeBugCheckEx may have been called with code for this
// bug check.
func (b *BugCheck) calledAs(code uint32) bool {
	return code == b.Code || slices.Contains(rewrittenFrom[b.Code], code) || b.replaced(code)
}

// replaced reports whether the parameters of the call are not those that
// KiBugCheckData holds.
func (b *BugCheck) replaced(code uint32) bool { return code == codeRewrites || b.Code == codeRewrites }

// proves reports whether the parameters tell this bug check from another: zeros
// stand anywhere.
func (b *BugCheck) proves() bool { return b.Parameters != [4]uint64{} }

// named reports whether code and p1 to p3 are those of the call.
func (b *BugCheck) Named(code uint32, p1, p2, p3 uint64) bool {
	return b.calledAs(code) && (b.replaced(code) || [3]uint64{p1, p2, p3} == [3]uint64(b.Parameters[:3]))
}

// readBugCheck reads KiBugCheckData; a code of 0 means that the guest is alive.
func readBugCheck(s *paging.Space, k KDBG) (*BugCheck, error) {
	var p [5 * 8]byte
	if err := s.ReadAt(p[:], k.BugCheckData()); err != nil {
		return nil, err
	}
	if u32(p[:], 0) == 0 {
		return nil, nil
	}
	b := &BugCheck{Code: u32(p[:], 0)}
	for i := range b.Parameters {
		b.Parameters[i] = u64(p[:], 8+8*i)
	}
	return b, nil
}

// The frame of a call of KeBugCheckEx, from the stack pointer at its entry on:
// the return address, the four register parameters' home, the fifth parameter.
const (
	callCode      = 0x08
	callP1        = 0x10
	callP2        = 0x18
	callP3        = 0x20
	callP4        = 0x28
	callBytes     = 0x30
	StackReach    = 0x12000 // a large kernel stack; ordinary ones have 0x6000
	callAlignment = 8
)

// readStack reads a kernel stack from sp up to the first page that is not
// mapped: a guard page divides it from its neighbour. It gives as much of the
// buffer as that is.
func ReadStack(s *paging.Space, sp mem.VA, buffer []byte) []byte {
	sp &^= callAlignment - 1
	if !s.Mode.Kernel(sp) {
		return nil
	}
	got := 0
	for at := sp; got < len(buffer) && at >= sp; {
		p := buffer[got:min(len(buffer), got+int(mem.PageSize-at%mem.PageSize))]
		if s.ReadAt(p, at) != nil {
			break
		}
		got += len(p)
		at += mem.VA(len(p))
	}
	return buffer[:got]
}

// statusSeverity is set in the codes that KeBugCheck2 takes out of a hard error:
// they are NTSTATUS values of errors.
const statusSeverity = 0xc0000000

// onStack reports whether a kernel stack holds the call's frame: the code in the
// place of the first parameter, then the parameters. Where those are all zero, or
// are not those of the call, the word before must be a return address into an
// image as well.
func (b *BugCheck) OnStack(stack []byte, image func(va mem.VA) bool) bool {
	for off := 0; off+callBytes-callCode <= len(stack); off += callAlignment {
		code := u64(stack, off)
		if code == 0 || code != uint64(uint32(code)) || !b.calledAs(uint32(code)) {
			continue
		}
		same := [3]uint64{u64(stack, off+8), u64(stack, off+16), u64(stack, off+24)} == [3]uint64(b.Parameters[:3])
		hard := code == codeRewrites && b.Code&statusSeverity == statusSeverity
		if same && b.proves() || (same || hard) && off >= 8 && image(mem.VA(u64(stack, off-8))) {
			return true
		}
	}
	return false
}

// atRecord reports whether the memory at a record's stack pointer holds the call
// whose registers the record has.
func (b *BugCheck) AtRecord(s *paging.Space, r *Record) bool {
	var p [callBytes]byte
	if s.ReadAt(p[:], mem.VA(r.SP)) != nil || !s.Mode.Kernel(mem.VA(u64(p[:], 0))) {
		return false
	}
	return uint32(u64(p[:], callCode)) == uint32(r.Args[0]) && u64(p[:], callP1) == r.Args[1] && u64(p[:], callP2) == r.Args[2] &&
		u64(p[:], callP3) == r.Args[3] && (b.replaced(uint32(r.Args[0])) || u64(p[:], callP4) == b.Parameters[3])
}
