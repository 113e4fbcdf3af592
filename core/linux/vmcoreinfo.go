package linux

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
)

// Bounds of vmcoreinfo text. The kernel's own buffer is one page
// (VMCOREINFO_BYTES, include/linux/vmcore_info.h); a tool may have appended to
// the note.
const (
	vmcoreinfoBytes = 4096
	maxVMCoreInfo   = 64 << 10
	maxInfoKeys     = 4096
)

// VMCoreInfo is what the kernel says of itself for dump tools: lines KEY=VALUE.
// Source: kernel/crash_core.c, kernel/vmcore_info.c.
type VMCoreInfo struct {
	values map[string]string
}

// ErrNoVMCoreInfo says that a text holds nothing of a vmcoreinfo.
var ErrNoVMCoreInfo = errors.New("no OSRELEASE line in the vmcoreinfo")

// ParseVMCoreInfo reads the text up to its first NUL. Lines that are not of the
// form KEY=VALUE are passed over; the first of two lines with the same key
// counts, except CRASHTIME, of which the kernel may append several.
func ParseVMCoreInfo(text []byte) (*VMCoreInfo, error) {
	if len(text) > maxVMCoreInfo {
		text = text[:maxVMCoreInfo]
	}
	if i := bytes.IndexByte(text, 0); i >= 0 {
		text = text[:i]
	}
	v := &VMCoreInfo{values: map[string]string{}}
	for len(text) > 0 && len(v.values) < maxInfoKeys {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		key, value, ok := bytes.Cut(line, []byte{'='})
		if !ok || len(key) == 0 {
			continue
		}
		if _, seen := v.values[string(key)]; !seen {
			v.values[string(key)] = string(value)
		}
	}
	if v.values["OSRELEASE"] == "" {
		return nil, ErrNoVMCoreInfo
	}
	return v, nil
}

// Keys tells how many keys there are.
func (v *VMCoreInfo) Keys() int {
	if v == nil {
		return 0
	}
	return len(v.values)
}

// Value is the text of a key, "" when there is none.
func (v *VMCoreInfo) Value(key string) string {
	if v == nil {
		return ""
	}
	return v.values[key]
}

// Release is the kernel's release, "6.1.192-kcsan-a".
func (v *VMCoreInfo) Release() string { return v.Value("OSRELEASE") }

// BuildID is the kernel's build ID in lower-case hexadecimal, "" before 5.15.
func (v *VMCoreInfo) BuildID() string { return v.Value("BUILD-ID") }

// Symbol is the address of a symbol, already slid by KASLR.
func (v *VMCoreInfo) Symbol(name string) (uint64, bool) {
	return v.hex("SYMBOL(" + name + ")")
}

// KernelOffset is the KASLR slide of virtual addresses in bytes.
func (v *VMCoreInfo) KernelOffset() (uint64, bool) { return v.hex("KERNELOFFSET") }

func (v *VMCoreInfo) hex(key string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimPrefix(v.Value(key), "0x"), 16, 64)
	return n, err == nil
}

// Number is a signed decimal, such as phys_base, which is often negative.
func (v *VMCoreInfo) Number(name string) (int64, bool) {
	n, err := strconv.ParseInt(v.Value("NUMBER("+name+")"), 10, 64)
	return n, err == nil
}

// Offset is a member's offset in bytes, fallback where the key is missing or
// not sensible.
func (v *VMCoreInfo) Offset(member string, fallback uint64) uint64 {
	return v.small("OFFSET("+member+")", fallback)
}

// Size is a structure's size in bytes, fallback where the key is missing or not
// sensible.
func (v *VMCoreInfo) Size(structure string, fallback uint64) uint64 {
	return v.small("SIZE("+structure+")", fallback)
}

// maxStructure bounds what is believed of a structure's size or offset.
const maxStructure = 1 << 20

func (v *VMCoreInfo) small(key string, fallback uint64) uint64 {
	n, err := strconv.ParseUint(v.Value(key), 10, 64)
	if err != nil || n > maxStructure {
		return fallback
	}
	return n
}
