package stacks

import (
	"errors"

	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/windows"
	"coredrop/core/windows/unwind"
)

// view is memory as a process sees it, with the images in it.
type view struct {
	space  *paging.Space
	kernel modules // shared by all views
	user   modules // of the process; nil: not read, or not there
}

// at gives the image at an address, read.
func (v *view) at(va uint64) *module {
	m := v.kernel.at(va)
	if m == nil {
		m = v.user.at(va)
	}
	if m == nil {
		return nil
	}
	m.load()
	return m
}

func (v *view) walker() *unwind.Walker {
	return &unwind.Walker{Memory: v.space, Guess: true, At: func(va uint64) *unwind.Image {
		if m := v.at(va); m != nil {
			return &m.image
		}
		return nil
	}}
}

// viewOf gives the memory of a process, whose EPROCESS is known; 0, or one
// whose page tables are not in the core: the kernel's.
func (r *Reader) viewOf(process mem.VA) *view {
	if v, ok := r.views[process]; ok {
		return v
	}
	v := &view{space: r.k.Space, kernel: r.kernel}
	if process != 0 {
		if root, err := r.k.Space.Uint64(process + mem.VA(r.layout.dtb)); err == nil && root != 0 {
			own := r.k.Space.At(root)
			// Tables that lead to the same kernel are a process's.
			if sameFrame(own, r.k.Space, r.k.Image.Base) {
				v.space = own
			}
		}
	}
	r.views[process] = v
	return v
}

// sameFrame reports whether two spaces have an address in the same place.
func sameFrame(a, b *paging.Space, va mem.VA) bool {
	at, _, err := a.Translate(va)
	if err != nil {
		return false
	}
	other, _, err := b.Translate(va)
	return err == nil && at == other
}

// The process environment block, and the loader's list in it. Source: winternl.h
// and public structure listings, the same on every x86-64 Windows.
const (
	pebLdr        = 0x18
	ldrLoadOrder  = 0x10 // PEB_LDR_DATA.InLoadOrderModuleList
	entryBase     = 0x30
	entrySize     = 0x40
	entryBaseName = 0x58 // UNICODE_STRING
	entryBytes    = 0x68

	maxUserModules = 1024
	maxNameBytes   = 512
)

var errNoModules = errors.New("the process's modules are not in the core")

// readUser reads the list of a process's images.
func (r *Reader) readUser(v *view, process mem.VA) error {
	if v.user != nil {
		return nil
	}
	if process == 0 || r.layout.peb == 0 || v.space == r.k.Space {
		return errNoModules
	}
	peb, err := v.space.Uint64(process + mem.VA(r.layout.peb))
	if err != nil || peb == 0 {
		return errNoModules
	}
	ldr, err := v.space.Uint64(mem.VA(peb) + pebLdr)
	if err != nil || ldr == 0 {
		return errNoModules
	}
	head := mem.VA(ldr) + ldrLoadOrder
	at, err := v.space.Uint64(head)
	var list []windows.Module
	for n := 0; err == nil && mem.VA(at) != head && n < maxUserModules; n++ {
		var p [entryBytes]byte
		if v.space.ReadAt(p[:], mem.VA(at)) != nil {
			break
		}
		name := make([]byte, min(int(u16(p[:], entryBaseName)), maxNameBytes))
		if v.space.ReadAt(name, mem.VA(u64(p[:], entryBaseName+8))) != nil {
			name = nil
		}
		list = append(list, windows.Module{Name: utf16Text(name), Base: mem.VA(u64(p[:], entryBase)), Size: u32(p[:], entrySize)})
		at = u64(p[:], 0)
	}
	if len(list) == 0 {
		return errNoModules
	}
	v.user = newModules(list, 0, v.space)
	return nil
}
