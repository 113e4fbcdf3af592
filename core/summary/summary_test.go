package summary

import (
	"math"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/mem"
)

func TestSummaryMemory(t *testing.T) {
	s := New()
	s.memory([]mem.Extent{
		{Start: 0x1080, Bytes: 0xf80, Offset: 0x500}, {Start: 0x2000, Bytes: 0x1000, Offset: 0x9000},
		{Start: 0x8000, Bytes: 0x2000, Origin: mem.Decoded}, {Start: 1 << 60, Bytes: 1 << 62, Origin: mem.Decoded}, {Start: 6 << 60, Bytes: 1 << 62, Origin: mem.Zero},
	})
	if len(s.Memory.Runs) != 4 || s.Memory.Bytes != math.MaxInt64 {
		t.Fatalf("%+v", s.Memory)
	}
	if r := s.Memory.Runs[0]; r.Start != "0x1000" || r.Bytes != 0x2000 || r.FileOffset == nil || *r.FileOffset != 0x500 {
		t.Errorf("%+v", r)
	}
	if r := s.Memory.Runs[1]; r.FileOffset != nil {
		t.Errorf("%+v", r)
	}
}

func TestVersionNames(t *testing.T) {
	for _, tc := range []struct {
		build, product uint32
		want           string
	}{
		{0, 1, ""},
		{100, 1, "Windows (build 100)"},
		{20348, 0, "build 20348"},
		{7601, 1, "Windows 7 SP1 (build 7601)"},
		{7601, 3, "Windows Server 2008 R2 SP1 (build 7601)"},
		{17763, 2, "Windows Server 2019 (build 17763)"},
		{19041, 1, "Windows 10 2004 to 22H2 (build 19041)"},
		{19045, 1, "Windows 10 2004 to 22H2 or later (build 19045)"},
		{20348, 1, "Windows Server 2022 (build 20348)"},
		{22000, 3, "Windows 11 21H2 (build 22000)"},
		{26100, 3, "Windows Server 2025 (build 26100)"},
		{99999, 1, "Windows 11 24H2 or 25H2 or later (build 99999)"},
	} {
		if got := versionName(tc.build, tc.product); got != tc.want {
			t.Errorf("%d, %d: %q, want %q", tc.build, tc.product, got, tc.want)
		}
	}
	for i := 1; i < len(releases); i++ {
		if releases[i].build <= releases[i-1].build {
			t.Errorf("%d is not behind %d", releases[i].build, releases[i-1].build)
		}
	}
}

func TestProductAndTime(t *testing.T) {
	for product, want := range map[uint32]string{0: "", 1: "workstation", 2: "domain controller", 3: "server", 4: ""} {
		if got := productName(product); got != want {
			t.Errorf("%d: %q", product, got)
		}
	}
	for v, want := range map[uint64]string{0: "", 116444736000000000: "1970-01-01T00:00:00.0000000Z", 0x01da05f3a5c7b2d4: "2023-10-23T20:58:17.7370836Z"} {
		if got := systemTime(v); got != want {
			t.Errorf("%#x: %q", v, got)
		}
	}
}

func TestFail(t *testing.T) {
	s := New()
	s.Fail(fault.New(fault.SymbolsNotFound, "").Hint("try %s", "this"))
	if s.Error.Code != fault.SymbolsNotFound || len(s.Error.Remedy) < 2 || s.Error.Remedy[0].Text != "try this" {
		t.Errorf("%+v", s.Error)
	}
	s.Fail(nil)
	if s.Error != nil {
		t.Error("not cleared")
	}
}
