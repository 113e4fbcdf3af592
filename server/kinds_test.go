package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/synth"
	"coredrop/server/corpustest"
)

func demoCoreBytes(t *testing.T) []byte {
	t.Helper()
	data, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func gzipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What people give to convert instead of a core, as they meet the answer: the
// sentence, the step with the file's own name, and nothing about the guest where
// the file only has to be unpacked. What identify knows is tested there.
func TestWhatIsNoCoreIsNamedWithItsStep(t *testing.T) {
	core := demoCoreBytes(t)
	psinfo := make([]byte, 136)
	copy(psinfo[40:], "qemu-system-x86")
	process := synth.WriteELF(synth.ELF{Loads: []synth.Load{{Data: make([]byte, 4096)}}, RawNotes: synth.Note("CORE", 3, psinfo)})
	xen := make([]byte, 64+128)
	copy(xen, "\x7fELF\x02\x01\x01")
	xen[0x10], xen[0x12] = 4, 62
	binary.LittleEndian.PutUint64(xen[0x28:], 64)
	binary.LittleEndian.PutUint16(xen[0x3a:], 64)
	binary.LittleEndian.PutUint16(xen[0x3c:], 2)
	note := synth.Note("Xen", 0x2000001, make([]byte, 8))
	binary.LittleEndian.PutUint32(xen[128+4:], 7)
	binary.LittleEndian.PutUint64(xen[128+24:], uint64(len(xen)))
	binary.LittleEndian.PutUint64(xen[128+32:], uint64(len(note)))
	xen = append(xen, note...)
	for name, c := range map[string]struct {
		data      []byte
		say, hint string
		guest     bool // a hint may send people back to the guest
	}{
		"vm.core.gz":   {gzipped(t, core), "this is a file compressed with gzip; inside it is an ELF memory core of QEMU, x86-64 [packed]", "gunzip -k ", false},
		"my vm.gz":     {gzipped(t, core), "compressed with gzip", "gunzip -k '", false},
		"-vm.gz":       {gzipped(t, core), "compressed with gzip", "gunzip -k ", false},
		"dmesg.gz":     {gzipped(t, []byte("[    0.000000] Linux version 6.1.0\n")), "inside it is the text of a kernel log", "| coredrop kcsan -", false},
		"core.4711":    {process, `this is the core of the process "qemu-system-x86"`, "dump-guest-memory vm.core", true},
		"dom.core":     {xen, "a core of a Xen domain (xl dump-core)", "xl trigger", true},
		"vm.lfs":       {[]byte("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n"), "Git LFS pointer", "git lfs pull", false},
		"vm.s3":        {[]byte("<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"), "AccessDenied: Request has expired", "curl -fLO", false},
		"vm.html":      {[]byte("\xef\xbb\xbf\r\n<html><head><title>Sign in</title>"), "a web page (Sign in)", "sign in", false},
		"vzdump.vma":   {[]byte("VMA\x00\x00\x00\x00\x01"), "a Proxmox VE backup", "vma extract ", true},
		"core.tail":    {core[1_178_700:], "a part of a QEMU core whose beginning is missing", "join them", false},
		"core.nohead":  {append(make([]byte, 1<<20), core[1<<20:]...), "whose beginning is zeros or missing", "copy it again", false},
		"core.crlf":    {bytes.ReplaceAll(core, []byte("\n"), []byte("\r\n")), "every line feed has a carriage return", "binary mode", false},
		"core.lf":      {bytes.ReplaceAll(core, []byte("\r\n"), []byte("\n")), "2 bytes are gone in between", "binary mode", false},
		"zip.zip":      {append([]byte("PK\x05\x06"), make([]byte, 18)...), "a zip archive with nothing in it", "pack it again", false},
		"ntkrnlmp.pd_": {append(append([]byte("MSCF\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x2c\x00\x00\x00"), make([]byte, 40)...), "ntkrnlmp.pdb\x00"...), "a compressed PDB", "cabextract ", false},
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"convert", "-symbols", "none", path, filepath.Join(dir, "out.dmp")}, {"info", path}} {
			var out, errs strings.Builder
			run(t.Context(), args, nil, &out, &errs)
			text := out.String() + errs.String()
			if !strings.Contains(text, c.say) || !strings.Contains(text, c.hint) {
				t.Errorf("%s %s: %s", args[0], name, text)
			}
			if strings.HasSuffix(c.hint, " ") && !strings.Contains(text, c.hint+path) || strings.HasSuffix(c.hint, "'") && !strings.Contains(text, c.hint+path+"'") {
				t.Errorf("%s %s: the step does not name %s: %s", args[0], name, path, text)
			}
			if !c.guest && (strings.Contains(text, "dump-guest-memory") || strings.Contains(text, "virsh dump")) {
				t.Errorf("%s %s: it says to take the core again: %s", args[0], name, text)
			}
			if strings.Contains(strings.ToLower(text), "paused") {
				t.Errorf("%s %s: pausing helps nobody: %s", args[0], name, text)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "out.dmp")); err == nil {
			t.Errorf("%s: a dump was written", name)
		}
	}
}

// What is missing is said in bytes and per cent where the conversion works.
func TestMissingMemoryIsSaidWhereTheConversionWorks(t *testing.T) {
	core := demoCoreBytes(t)
	zeros := bytes.Clone(core)
	clear(zeros[11_000_000:])
	for name, c := range map[string]struct {
		data []byte
		say  []string
	}{
		"cut off": {core[:12_000_000], []string{"[truncated]", "584848 bytes of memory are missing, 4.6 %"}},
		"zeros":   {zeros, []string{"[damaged-copy]", "it is zeros to its end", "the copy was not finished"}},
	} {
		dir := t.TempDir()
		path, dump := filepath.Join(dir, "vm.core"), filepath.Join(dir, "out.dmp")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs strings.Builder
		if code := run(t.Context(), []string{"convert", "-symbols", "none", path, dump}, nil, &out, &errs); code != exitDone {
			t.Errorf("%s: exit %d: %s", name, code, &errs)
		}
		for _, say := range c.say {
			if !strings.Contains(errs.String(), say) {
				t.Errorf("%s: lacks %q: %s", name, say, &errs)
			}
		}
	}
}

// A core taken with paging names a few per cent of its file: the dump is made,
// and what is not in it is said.
func TestAPagingCoreSaysWhatItDoesNotName(t *testing.T) {
	dir := corpustest.Dir(t, "")
	core := corpustest.File(t, filepath.Join(dir, "windows", "09-paging", "core.elf.zst"))
	dump := filepath.Join(t.TempDir(), "out.dmp")
	var out, errs strings.Builder
	if code := run(t.Context(), []string{"convert", "-json", "-symbols", "none", core.Name(), dump}, nil, &out, &errs); code != exitDone {
		t.Fatalf("exit %d: %s", code, &errs)
	}
	var s struct {
		Warnings []struct{ Code, Text string }
	}
	if err := json.Unmarshal([]byte(out.String()), &s); err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) != 1 || s.Warnings[0].Code != "paging-core" || !strings.Contains(s.Warnings[0].Text, "name 2.8 % of the file") {
		t.Errorf("%+v", s.Warnings)
	}
}
