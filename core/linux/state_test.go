package linux

import (
	"testing"

	"coredrop/server/corpustest"
)

func TestLookup(t *testing.T) {
	if f := (Frame{Addr: 0x1000}); f.Lookup() != 0xfff {
		t.Errorf("a return address is looked up at %#x", f.Lookup())
	}
	if f := (Frame{Addr: 0x1000, Exact: true}); f.Lookup() != 0x1000 {
		t.Errorf("an interrupted address is looked up at %#x", f.Lookup())
	}
}

// TestReturnAddresses has a call that does not return as a function's last
// instruction: what called is named, not the function behind it.
func TestReturnAddresses(t *testing.T) {
	ends := 0
	for _, name := range corpustest.KCSANCores {
		k := locate(t, name, Options{})
		for cpu, c := range k.State().CPUs {
			for _, p := range c.Stack {
				if p.Exact || p.Symbol.Name == "" {
					continue
				}
				if p.Symbol.Addr == p.Addr {
					t.Errorf("%s, cpu %d: a call returns to the start of %s", name, cpu, p.Symbol.Name)
				}
				if p.Addr == p.Symbol.Addr+p.Symbol.Size {
					ends++
				}
			}
		}
	}
	if ends == 0 {
		t.Error("no stack has a call as a function's last instruction: nothing is tested")
	}
}
