package linux

import (
	"bytes"
	"encoding/binary"

	"coredrop/core/mem"
)

// memory is the guest's virtual memory: a *paging.Space, or bytes in a test.
type memory interface {
	ReadAt(p []byte, va mem.VA) error
}

// view reads small things by virtual address; what cannot be read is told by
// the second result.
type view struct{ memory }

func (v view) u32(va uint64) (uint32, bool) {
	var b [4]byte
	err := v.ReadAt(b[:], mem.VA(va))
	return binary.LittleEndian.Uint32(b[:]), err == nil
}

func (v view) u64(va uint64) (uint64, bool) {
	var b [8]byte
	err := v.ReadAt(b[:], mem.VA(va))
	return binary.LittleEndian.Uint64(b[:]), err == nil
}

// bytes reads n bytes, which the caller has bounded.
func (v view) bytes(va uint64, n int) ([]byte, bool) {
	p := make([]byte, n)
	return p, v.ReadAt(p, mem.VA(va)) == nil
}

// prefix reads up to n bytes: as far as memory is mapped page by page.
func (v view) prefix(va uint64, n int) []byte {
	p := make([]byte, 0, n)
	for len(p) < n {
		step := min(n-len(p), int(mem.PageSize-va%mem.PageSize))
		if v.ReadAt(p[len(p):len(p)+step], mem.VA(va)) != nil {
			break
		}
		p = p[:len(p)+step]
		va += uint64(step)
	}
	return p
}

// cstring reads a NUL-terminated string of at most n bytes; one without an end
// is cut there.
func (v view) cstring(va uint64, n int) (string, bool) {
	p := v.prefix(va, n)
	if len(p) == 0 {
		return "", false
	}
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i]
	}
	return string(p), true
}

// le64 and le32 read from a structure's bytes; what lies outside is 0.
func le64(p []byte, off int) uint64 {
	if off < 0 || off+8 > len(p) {
		return 0
	}
	return binary.LittleEndian.Uint64(p[off:])
}

func le32(p []byte, off int) uint32 {
	if off < 0 || off+4 > len(p) {
		return 0
	}
	return binary.LittleEndian.Uint32(p[off:])
}

// prefixInto fills p as far as memory can be read, page by page.
func (v view) prefixInto(p []byte, va uint64) []byte {
	if v.ReadAt(p, mem.VA(va)) == nil {
		return p
	}
	n := 0
	for n < len(p) {
		step := min(len(p)-n, int(mem.PageSize-va%mem.PageSize))
		if v.ReadAt(p[n:n+step], mem.VA(va)) != nil {
			break
		}
		n += step
		va += uint64(step)
	}
	return p[:n]
}
