package fault

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestStepsNameTheFileAndQuoteIt(t *testing.T) {
	s := Step{Text: "unpack {file}", Command: "gunzip -k {file} > {dump}"}
	for _, c := range []struct{ file, text, command string }{
		{"", "unpack FILE", "gunzip -k FILE > OUT.dmp"},
		{"vm.core", "unpack vm.core", "gunzip -k vm.core > vm.dmp"},
		{"/var/my vm's.elf", "unpack /var/my vm's.elf", `gunzip -k '/var/my vm'\''s.elf' > '/var/my vm'\''s.dmp'`},
		{"-x", "unpack -x", "gunzip -k ./-x > ./-x.dmp"},
		{"$(id).core", "unpack $(id).core", "gunzip -k '$(id).core' > '$(id).dmp'"},
		{"größe.core", "unpack größe.core", "gunzip -k größe.core > größe.dmp"},
	} {
		got := s.About(c.file)
		if got.Text != c.text || got.Command != c.command {
			t.Errorf("%q: %q, %q", c.file, got.Text, got.Command)
		}
	}
	for file, want := range map[string]string{"vm.core": "vm.dmp", "a/.core": "a/.core.dmp", "x": "x.dmp", "vm.dmp": "vm.dmp.dmp", "core.123": "core.123.dmp"} {
		if got := DumpName(file); got != want {
			t.Errorf("%s: dump %s, want %s", file, got, want)
		}
	}
}

// An address is read by the tool alone; what others do, they do to a file.
func TestStepsNameAnAddress(t *testing.T) {
	const address = "https://host:9000/a dir/vm.core.gz"
	for _, c := range []struct{ step, want Step }{
		{Step{Text: "unpack {file}", Command: "gunzip -k {file} > {dump}"}, Step{Text: "unpack vm.core.gz", Command: "gunzip -k vm.core.gz > vm.dmp"}},
		{Step{Command: "coredrop convert -unpack {file} {dump}"}, Step{Command: "coredrop convert -unpack 'https://host:9000/a dir/vm.core.gz' vm.dmp"}},
	} {
		if got := c.step.About(address); got.Text != c.want.Text || got.Command != c.want.Command {
			t.Errorf("%q, %q", got.Text, got.Command)
		}
	}
	for file, want := range map[string]string{
		"s3://bucket/a/vm.core": "vm.dmp", "https://host/": "OUT.dmp", "./https://host/vm.core": "./https://host/vm.dmp",
		`C:\dumps\vm.core`: `C:\dumps\vm.dmp`, "a/b://c.core": "a/b://c.dmp",
	} {
		if got := (Step{Text: "{dump}"}).About(file); got.Text != want {
			t.Errorf("%s: %s, want %s", file, got.Text, want)
		}
	}
}

func TestRemediesBySurfaceAndCause(t *testing.T) {
	e := New(KDBGMissing, "").Add(Step{Text: "only here", For: []Surface{CLI}})
	page, cli := e.Remedy(Page), e.Remedy(CLI)
	if cli[0] != "only here" || slices.Contains(page, "only here") {
		t.Errorf("%q %q", page, cli)
	}
	if strings.Contains(strings.Join(page, ""), "coredrop get") || !strings.Contains(strings.Join(page, ""), "drop the PDB") {
		t.Errorf("page: %q", page)
	}
	if !strings.Contains(strings.Join(cli, ""), "coredrop get") || strings.Contains(strings.Join(cli, ""), "drop the PDB") {
		t.Errorf("command line: %q", cli)
	}
	if got := New(UnknownFormat, "").Instead(Step{Text: "this"}).Remedy(); len(got) != 1 || got[0] != "this" {
		t.Errorf("instead: %q", got)
	}
	data, err := json.Marshal(New(IsWindows, "").Steps("vm.core"))
	if want := `[{"text":"make the crash dump","command":"coredrop convert vm.core vm.dmp","for":["cli"]},{"text":"press Convert: the dump opens in WinDbg","for":["page"]}]`; err != nil || string(data) != want {
		t.Errorf("%s %v", data, err)
	}
	if data, _ := json.Marshal(New(Cancelled, "").Steps("")); string(data) != "[]" {
		t.Errorf("none: %s", data)
	}
	if New(EmptyFile, "").Steps("")[0].For[0] != Page {
		t.Error("a step for all names its surfaces")
	}
}

func TestANestedFaultIsItsSentence(t *testing.T) {
	inner := New(KDBGMissing, "")
	outer := New(PDBDamaged, "image at 0x10: %v", inner)
	if want := "image at 0x10: no kernel debugger block was found"; outer.Text != want || fmt.Sprint(inner) != inner.Text {
		t.Error(outer.Text)
	}
}

// QEMU stops the guest for every dump by itself: telling people to pause it
// sends them to do the same once more.
func TestNoRemedyIsToPauseTheGuest(t *testing.T) {
	for _, c := range Codes() {
		for _, line := range New(c, "").Remedy() {
			for _, word := range []string{"paused", "pause ", "--live", "virsh suspend"} {
				if strings.Contains(line, word) && !strings.Contains(line, "restore --paused") && !strings.Contains(line, "snapshot-revert") {
					t.Errorf("%s: %q", c, line)
				}
			}
			if strings.Contains(line, "{") || strings.TrimSpace(line) == "" {
				t.Errorf("%s: %q is not a line for people", c, line)
			}
		}
	}
}

// The command line has no page to drop things on, the page no flags.
func TestStepsFitTheirSurface(t *testing.T) {
	for _, c := range Codes() {
		e := New(c, "")
		for _, line := range e.Remedy(Page) {
			if strings.Contains(line, " -symbols") || strings.Contains(line, "-allow-http") {
				t.Errorf("%s on the page: %q", c, line)
			}
		}
		for _, line := range e.Remedy(CLI) {
			if strings.Contains(line, "onto the page") || strings.Contains(line, "press ") {
				t.Errorf("%s on the command line: %q", c, line)
			}
		}
	}
}
