//go:build kcsan

package watch

import (
	"runtime"
	"strconv"
	"strings"
	"sync"

	"coredrop/core/kcsan"
)

// off holds the goroutines that are reporting: their accesses are not watched,
// as they may hold the report lock. It is asked only by an access that is to be
// sampled or that hit something.
var off sync.Map // of int -> struct{}

func disabled(goroutine int) bool {
	_, is := off.Load(goroutine)
	return is
}

// A self is a goroutine's own switch.
type self int

func (s self) Disable() { off.Store(int(s), struct{}{}) }
func (s self) Enable()  { off.Delete(int(s)) }

// caller describes the goroutine that runs.
func caller() *kcsan.Caller {
	id := goroutine()
	return &kcsan.Caller{PID: id, Stack: stack, Sampling: self(id)}
}

// goroutine returns the number of the goroutine that runs, which Go tells only
// in a stack trace: "goroutine 18 [running]:".
func goroutine() int {
	var buf [48]byte
	text := string(buf[:runtime.Stack(buf[:], false)])
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "goroutine "), " ")
	id, _ := strconv.Atoi(number)
	return id
}

// ours are the packages whose frames are not shown: the part of R6's runtime
// functions that no name gives away in Go.
var ours = []string{"coredrop/core/kcsan.", "coredrop/core/kcsan/watch."}

// stack saves the stack from the access on. The callers that report.c leaves out
// by number are left out by name.
func stack(_, limit int) []uint64 {
	pcs := make([]uintptr, limit+32)
	pcs = pcs[:runtime.Callers(2, pcs)]
	for len(pcs) > 0 && isOurs(pcs[0]) {
		pcs = pcs[1:]
	}
	var out []uint64
	for _, pc := range pcs[:min(len(pcs), limit)] {
		out = append(out, uint64(pc))
	}
	return out
}

func isOurs(pc uintptr) bool {
	f := runtime.FuncForPC(pc - 1)
	if f == nil {
		return false
	}
	for _, p := range ours {
		if strings.HasPrefix(f.Name(), p) {
			return true
		}
	}
	return false
}

// symbol resolves a return address. The function's size is not in Go's tables:
// it is as far as addresses belong to it.
func symbol(addr uint64) (kcsan.Symbol, bool) {
	pc := uintptr(addr)
	// A return address may be the first of the next function: look before it.
	f := runtime.FuncForPC(pc - 1)
	if f == nil {
		return kcsan.Symbol{}, false
	}
	entry := f.Entry()
	inside := func(n uintptr) bool {
		g := runtime.FuncForPC(entry + n)
		return g != nil && g.Entry() == entry
	}
	const most = 1 << 24
	hi := uintptr(1)
	for hi < most && inside(hi) {
		hi *= 2
	}
	for lo := hi / 2; hi-lo > 1; {
		if mid := lo + (hi-lo)/2; inside(mid) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return kcsan.Symbol{Name: f.Name(), Offset: uint64(pc - entry), Size: uint64(hi)}, true
}

// footer describes the program where the kernel describes the machine.
func footer(c *kcsan.Caller) kcsan.Footer {
	return kcsan.Footer{CPU: c.CPU, PID: c.PID, Comm: "goroutine", Taint: "Not tainted",
		Release: strings.ReplaceAll(runtime.Version(), " ", "_"), Build: runtime.GOOS + "/" + runtime.GOARCH}
}
