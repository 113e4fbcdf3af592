package words

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"coredrop/core/windows"
)

var update = flag.Bool("update", false, "rewrite web/words.js")

// TestPageHasTheSameWords holds the page's module to the table.
func TestPageHasTheSameWords(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("reads the source tree")
	}
	var b bytes.Buffer
	b.WriteString("// Generated from core/words by go test ./core/words -update. What people read\n// for the fixed words of the summary; braces are filled in by of().\n/** @type {Record<string, Record<string, string>>} */\nexport const words = ")
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(All); err != nil {
		t.Fatal(err)
	}
	b.Truncate(b.Len() - 1)
	b.WriteString(";\n\n/**\n * of gives the words of a value, the value itself where it has none.\n * @param {string} table\n * @param {string} value\n * @param {Record<string, any>} [names]\n */\nexport function of(table, value, names = {}) {\n" +
		"  const text = words[table][value];\n  if (text === undefined) return value;\n" +
		"  return text.replace(/\\{(\\w+)\\}/g, (all, name) => name in names ? String(names[name]) : all);\n}\n")
	path := filepath.Join("..", "..", "web", "words.js")
	if *update {
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("web/words.js is not what the table says (%v): go test ./core/words -update", err)
	}
}

// TestEveryWayHasWords: a new way to page tables needs words.
func TestEveryWayHasWords(t *testing.T) {
	for _, w := range windows.Ways() {
		cpu := 3
		text := DTBFrom(string(w), &cpu)
		if text == string(w) || strings.Contains(text, "{") || strings.Contains(text, "3") != w.OfCPU() {
			t.Errorf("%s: %q", w, text)
		}
	}
	if len(All.DTBFrom) != len(windows.Ways()) {
		t.Errorf("%d ways have words, there are %d", len(All.DTBFrom), len(windows.Ways()))
	}
	for _, by := range []string{windows.FoundByPDB, windows.FoundByPlain, windows.FoundByKnownPlaintext, windows.FoundByFwCfg} {
		if All.FoundBy[by] == "" {
			t.Errorf("%q has no words", by)
		}
	}
	for _, status := range []string{windows.SymbolsNoneNeeded, windows.SymbolsNeeded, windows.SymbolsFound, windows.SymbolsMissing} {
		if All.Symbols[status] == "" {
			t.Errorf("%q has no words", status)
		}
	}
	if Of(All.Formats, "new") != "new" {
		t.Error("an unknown value is not itself")
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{0: "0 bytes", 999: "999 bytes", 1000: "1.0 kB", 12_600_000: "13 MB", 4_831_838_208: "4.8 GB", 1 << 62: "4612 PB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	if Count(1, "process") != "1 process" || Count(2, "process") != "2 processes" || Count(0, "run") != "0 runs" {
		t.Error("plurals")
	}
}

// TestPageHasTheSameUnits holds the rule of units, which is the page's too: its
// tests read the same table.
func TestPageHasTheSameUnits(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "bytes.json"))
	if err != nil {
		t.Fatal(err)
	}
	var table [][2]any
	if err := json.Unmarshal(data, &table); err != nil || len(table) < 15 {
		t.Fatalf("%d rows, %v", len(table), err)
	}
	for _, row := range table {
		if got := Bytes(int64(row[0].(float64))); got != row[1] {
			t.Errorf("%v bytes are %q, not %q", row[0], got, row[1])
		}
	}
}

func TestMachine(t *testing.T) {
	for name, want := range map[string]string{
		"pc-q35-7.2":         "pc-q35-7.2, of QEMU 7.2 or later",
		"pc-i440fx-9.0+pve0": "pc-i440fx-9.0+pve0, of QEMU 9.0 or later",
		"pc-q35-rhel9.4.0":   "pc-q35-rhel9.4.0",
		"microvm":            "microvm",
		"":                   "",
	} {
		if got := Machine(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
