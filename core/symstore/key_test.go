package symstore

import (
	"strings"
	"testing"

	"coredrop/core/fault"
)

const demoKey = "ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1/ntkrnlmp.pdb"

var demoGUID = [16]byte{0x4d, 0xba, 0x8f, 0xbb, 0xc8, 0xbd, 0xf7, 0xea, 0x4c, 0x4c, 0x44, 0x20, 0x50, 0x44, 0x42, 0x2e}

func TestParseKey(t *testing.T) {
	long := strings.Repeat("n", 124) + ".pdb"
	for in, want := range map[string]string{
		demoKey:                  demoKey,
		strings.ToLower(demoKey): demoKey,
		"ntkrnlmp.pdb/bb8fba4dbdc8eaf74c4c44205044422e1f/NTKRNLMP.PDB": "ntkrnlmp.pdb/BB8FBA4DBDC8EAF74C4C44205044422E1F/ntkrnlmp.pdb",
		"ntoskrnl.exe/5f5e1000A1B000/ntoskrnl.exe":                     "ntoskrnl.exe/5F5E1000a1b000/ntoskrnl.exe",
		"a.pdb/123456789/a.pdb":                                        "a.pdb/123456789/a.pdb",
		"a+b-c_d.e.Sys/123456789/a+b-c_d.e.Sys":                        "a+b-c_d.e.Sys/123456789/a+b-c_d.e.Sys",
		long + "/123456789/" + long:                                    long + "/123456789/" + long,
		"a.dll/" + strings.Repeat("F", 16) + "/a.dll":                  "a.dll/FFFFFFFF" + strings.Repeat("f", 8) + "/a.dll",
	} {
		k, err := ParseKey(in)
		if err != nil || k.String() != want {
			t.Errorf("%q: %q, %v", in, k, err)
		}
	}
	for _, in := range []string{"console.pdb", "com.pdb", "com10.pdb", "comx.pdb", "x.con.pdb", "null.pdb"} { // no devices
		if _, err := ParseKey(in + "/123456789/" + in); err != nil {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{
		"", "/", "//", "a.pdb", "a.pdb/123456789", "a.pdb/123456789/", "a.pdb/123456789/b.pdb", "a.pdb/123456789/a.pdb/",
		"a.pdb/123456789/a.pdb/x", "/a.pdb/123456789/a.pdb", "a.pdb/12345678/a.pdb", "a.pdb/" + strings.Repeat("1", 41) + "/a.pdb",
		"a.pdb/12345678g/a.pdb", "a.pdb/12345678-/a.pdb", ".pdb/123456789/.pdb", "..pdb/123456789/..pdb", ".a.pdb/123456789/.a.pdb",
		"../a.pdb/123456789/../a.pdb", "..\\a.pdb/123456789/..\\a.pdb", "a b.pdb/123456789/a b.pdb", "a\x00.pdb/123456789/a\x00.pdb",
		"a%2f.pdb/123456789/a%2f.pdb", "ä.pdb/123456789/ä.pdb", "a.pd_/123456789/a.pd_", "file.ptr/123456789/file.ptr",
		"a.txt/123456789/a.txt", "a/123456789/a", "n" + long + "/123456789/n" + long, "a.pdb/1２3456789/a.pdb", "a:.pdb/123456789/a:.pdb",
		"a.dll/" + strings.Repeat("1", 17) + "/a.dll",
		"con.pdb/123456789/con.pdb", "NUL.x.pdb/123456789/NUL.x.pdb", "Com1.pdb/123456789/Com1.pdb", "lpt9.dll/123456789/lpt9.dll", "aux.sys/123456789/aux.sys", "prn.exe/123456789/prn.exe",
	} {
		if k, err := ParseKey(in); !fault.Is(err, fault.BadOption) {
			t.Errorf("%q: %q, %v", in, k, err)
		}
	}
	if _, err := ParseKey(strings.Repeat("x", 1<<20)); len(err.Error()) > 1000 {
		t.Errorf("an error of %d bytes", len(err.Error()))
	}
}

func TestPDBKey(t *testing.T) {
	for name, want := range map[string]string{
		"ntkrnlmp.pdb":                      demoKey,
		`d:\build\x64\ntkrnlmp.pdb`:         demoKey,
		"/build/ntkrnlmp.pdb":               demoKey,
		"NtKrnlMp.PDB":                      strings.ReplaceAll(demoKey, "ntkrnlmp.pdb", "NtKrnlMp.PDB"),
		`a\`:                                "",
		"":                                  "",
		"kernel":                            "",
		"ntoskrnl.exe":                      "",
		"nt krnlmp.pdb":                     "",
		"..pdb":                             "",
		strings.Repeat("n", 1<<20) + ".pdb": "",
	} {
		k, err := PDBKey(name, demoGUID, 1)
		if want == "" {
			if !fault.Is(err, fault.NoCodeView) {
				t.Errorf("%.20q: %q, %v", name, k, err)
			}
		} else if err != nil || k.String() != want {
			t.Errorf("%.20q: %q, %v", name, k, err)
		}
	}
	for age, end := range map[uint32]string{0: "2E0", 0x10: "2E10", 0xabcdef01: "2EABCDEF01"} {
		k, err := PDBKey("ntkrnlmp.pdb", demoGUID, age)
		if err != nil || !strings.HasSuffix(k.ID, end) {
			t.Errorf("age %#x: %q, %v", age, k, err)
		}
		if guid, got, ok := k.GUIDAge(); !ok || guid != demoGUID || got != age {
			t.Errorf("age %#x comes back as %#x, GUID %x", age, got, guid)
		}
	}
	for _, k := range []Key{{}, {"a.exe", strings.Repeat("1", 33)}, {"a.pdb", strings.Repeat("1", 32)}, {"a.pdb", strings.Repeat("z", 33)}, {"a.pdb", strings.Repeat("1", 32) + "z"}} {
		if _, _, ok := k.GUIDAge(); ok {
			t.Errorf("%q has a GUID", k)
		}
	}
}

func FuzzKey(f *testing.F) {
	f.Add("ntkrnlmp.pdb", "BB8FBA4DBDC8EAF74C4C44205044422E1", "")
	f.Add("ntkrnlmp.pdb", "bb8fba4dbdc8eaf74c4c44205044422e1f", "NTKRNLMP.pdb")
	f.Add("a.exe", "5F5E1000a1b000", "")
	f.Add("a.pdb", "12345678g", "")
	f.Add(".a.pdb", "123456789", "")
	f.Add("..", "/", "../a.pdb")
	f.Fuzz(func(t *testing.T, name, id, file string) {
		if file == "" {
			file = name // else random names would hardly ever be equal
		}
		s := name + "/" + id + "/" + file
		k, err := ParseKey(s)
		if err != nil {
			if !fault.Is(err, fault.BadOption) {
				t.Fatal(err)
			}
			return
		}
		if !strings.EqualFold(k.String(), s) {
			t.Fatalf("%q became %q", s, k)
		}
		if again, err := ParseKey(k.String()); err != nil || again != k {
			t.Fatalf("%q is not canonical: %q, %v", k, again, err)
		}
		// What paths are built from: three plain elements.
		if strings.Count(s, "/") != 2 || strings.ContainsAny(s, "\\:\x00 %") || strings.Contains("/"+s, "/.") {
			t.Fatalf("%q was accepted", s)
		}
		if len(k.Name) > 128 || len(k.ID) < 9 || len(k.ID) > 40 || strings.Trim(k.ID, "0123456789ABCDEFabcdef") != "" {
			t.Fatalf("%q was accepted", s)
		}
		if guid, age, ok := k.GUIDAge(); ok {
			back, err := PDBKey(k.Name, guid, age)
			if err != nil || back.ID[:32] != k.ID[:32] {
				t.Fatalf("%q came back as %q, %v", k, back, err)
			}
		}
	})
}
