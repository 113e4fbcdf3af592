package dmp

import (
	"cmp"
	"context"
	"strings"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/windows"
)

func TestContextsThatCannotBeWritten(t *testing.T) {
	whole := func() []mem.Extent { return nil }
	// Page 10 holds the second half of CPU 0's context.
	hole := func() []mem.Extent {
		return []mem.Extent{{Start: guestPA, Bytes: 10 * 4096, Offset: 0x333}, {Start: pa(11, 0), Bytes: (guestPages - 11) * 4096, Offset: 0x333 + 11*4096}}
	}
	for name, tc := range map[string]struct {
		blocks func() []mem.Extent
		change func(k *windows.Kernel)
		cpu    string
	}{
		"not in the file": {hole, func(*windows.Kernel) {}, "CPU 0"},
		"unmapped":        {whole, func(k *windows.Kernel) { k.Processors[1].Context = 0xffff900000000000 }, "CPU 1"},
		"no address":      {whole, func(k *windows.Kernel) { k.Processors[1].Context = 0 }, "CPU 1"},
		"no registers":    {whole, func(k *windows.Kernel) { k.Machine.CPUs[0].State = nil }, "CPU 0"},
		"refused": {whole, func(k *windows.Kernel) {
			k.Processors[0].Err = fault.New(fault.ContextUnreadable, "its block is unreadable")
		}, ""}, // core/windows told it
	} {
		t.Run(name, func(t *testing.T) {
			g := newGuest(2, true)
			k := g.kernel(t, tc.blocks())
			tc.change(k)
			im := build(t, k, Options{})
			if tc.cpu == "" && len(im.Warnings) != 0 {
				t.Fatalf("told twice: %v", im.Warnings)
			}
			if tc.cpu != "" && (len(im.Warnings) != 1 || im.Warnings[0].Code != fault.ContextUnreadable || !strings.HasPrefix(im.Warnings[0].Text, tc.cpu)) {
				t.Fatalf("warnings %v", im.Warnings)
			}
			if len(im.Contexts) != 1 {
				t.Errorf("contexts %v", im.Contexts)
			}
			for _, p := range im.Patches {
				if p.What == "context of "+cmp.Or(tc.cpu, "CPU 0") {
					t.Errorf("half a context was written: %v", p)
				}
			}
			verified(t, k, im)
		})
	}
	// Upstream writes up to the missing page.
	g := newGuest(1, true)
	im := build(t, g.kernel(t, hole()), Options{Compat: true})
	found := false
	for _, p := range im.Patches {
		found = found || p.What == "context of CPU 0" && p.Bytes == 0x300
	}
	if !found || len(im.Warnings) != 1 {
		t.Errorf("compat: %v, %v", im.Patches, im.Warnings)
	}
}

func TestSpecialRegistersOffsetUnknown(t *testing.T) {
	g := newGuest(1, true)
	clear(g.plain[0x2f2:0x2f4])
	im := build(t, g.kernel(t, nil), Options{})
	for _, p := range im.Patches {
		if strings.HasPrefix(p.What, "special") {
			t.Errorf("written at an unknown place: %v", p)
		}
	}
}

// KDBG whose second page is not in the core cannot be shown in clear.
func TestKDBGCannotBeWritten(t *testing.T) {
	g := newGuest(1, true)
	k := g.kernel(t, []mem.Extent{{Start: guestPA, Bytes: 6 * 4096, Offset: 0x333}, {Start: pa(7, 0), Bytes: 20 * 4096, Offset: 0x333 + 7*4096}})
	if _, err := New(context.Background(), k, Options{}); !fault.Is(err, fault.KDBGUndecodable) {
		t.Error(err)
	}
	if err := Check(k, false); !fault.Is(err, fault.KDBGUndecodable) {
		t.Errorf("promised: %v", err)
	}
}
