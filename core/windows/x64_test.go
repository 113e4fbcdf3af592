package windows_test

import (
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/windows"
)

func TestWhereTheKPCRIs(t *testing.T) {
	const kernel, user = 0xffffa78000000000, 0xa45d0f1000
	for _, c := range []struct {
		name string
		s    cpu.Values
		want uint64
	}{
		{"kernel", cpu.Values{cpu.GSBase: kernel, cpu.KernelGSBase: user}, kernel},
		{"user", cpu.Values{cpu.GSBase: user, cpu.KernelGSBase: kernel}, kernel},
		{"user, older note", cpu.Values{cpu.GSBase: user}, 0},
		{"between", cpu.Values{cpu.GSBase: user, cpu.KernelGSBase: user}, 0},
	} {
		if got := windows.KPCR(cpu.Of(cpu.X64, c.s)); uint64(got) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
