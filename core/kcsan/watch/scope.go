//go:build kcsan

package watch

import (
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"coredrop/core/kcsan"
)

// A scope is a scoped access, the kernel's struct kcsan_scoped_access: it is
// checked again with every watched access of its goroutine.
type scope struct {
	p         unsafe.Pointer
	a         kcsan.Access
	goroutine int
}

// scopes are those that have begun. n is asked first, so that programs without
// scopes do not pay for the goroutine's number.
var scopes scopeList

type scopeList struct {
	n    atomic.Int64
	lock sync.Mutex
	by   map[int][]*scope // by goroutine
}

// begin checks the access a first time and puts it into the list.
//
//go:noinline
func begin(p unsafe.Pointer, size uintptr, t kcsan.AccessType) *scope {
	var pcs [1]uintptr
	runtime.Callers(3, pcs[:]) // without Callers, begin and the exported function
	sc := &scope{p: p, goroutine: goroutine(), a: kcsan.Access{Addr: uint64(uintptr(p)), Size: uint64(size),
		Type: t | kcsan.AccessScoped, IP: uint64(pcs[0])}}
	current.Load().check(p, sc.a)
	scopes.lock.Lock()
	defer scopes.lock.Unlock()
	if scopes.by == nil {
		scopes.by = map[int][]*scope{}
	}
	scopes.by[sc.goroutine] = append(scopes.by[sc.goroutine], sc)
	scopes.n.Add(1)
	return sc
}

// end takes the access off the list and checks it a last time.
func (sc *scope) end() {
	scopes.lock.Lock()
	list := scopes.by[sc.goroutine]
	for i, other := range list {
		if other != sc {
			continue
		}
		list = append(list[:i:i], list[i+1:]...)
		scopes.n.Add(-1)
		break
	}
	if scopes.by[sc.goroutine] = list; len(list) == 0 {
		delete(scopes.by, sc.goroutine)
	}
	scopes.lock.Unlock()
	current.Load().check(sc.p, sc.a)
}

// check checks the scoped accesses of the goroutine that runs.
func (l *scopeList) check(s *sampler) {
	l.lock.Lock()
	list := l.by[goroutine()]
	l.lock.Unlock()
	for _, sc := range list {
		s.check(sc.p, sc.a)
	}
}
