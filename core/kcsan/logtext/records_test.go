package logtext

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"coredrop/core/kcsan"
)

// exported writes lines as journalctl -o export does: a record a message, one
// with a newline in it as bytes behind its length.
func exported(lines []string) string {
	var b strings.Builder
	for i := 0; i < len(lines); i++ {
		l := lines[i]
		if l == "  |" {
			l += "\n" + lines[i+1]
			i++
		}
		fmt.Fprintf(&b, "__CURSOR=s=%x\n__MONOTONIC_TIMESTAMP=%d\n_BINARY\n%s\x00\xff\n", i, 12_000_000+i, binary.LittleEndian.AppendUint64(nil, 2))
		if strings.Contains(l, "\n") {
			fmt.Fprintf(&b, "MESSAGE\n%s%s\n", binary.LittleEndian.AppendUint64(nil, uint64(len(l))), l)
		} else {
			fmt.Fprintf(&b, "MESSAGE=%s\n", l)
		}
		b.WriteString("_TRANSPORT=kernel\n\n")
	}
	return b.String()
}

// TestRecords reads the record formats, whole documents among them.
func TestRecords(t *testing.T) {
	for _, name := range reports {
		lines, want := goldenLines(t, name), golden(t, name)
		objects := make([]string, len(lines))
		for i, l := range lines {
			objects[i] = fmt.Sprintf(`{"msg":"%s","time":12.%06d,"caller":"T%d"}`, jsonText(l), i, 42)
		}
		var octets strings.Builder
		for _, l := range lines {
			fmt.Fprintf(&octets, `{"MESSAGE":[%s]}`+"\n", strings.Trim(strings.ReplaceAll(fmt.Sprint([]byte(l+" ")), " ", ","), "[],"))
		}
		for form, log := range map[string]string{
			"export":                 exported(lines),
			"one line":               `{"dmesg":[` + strings.Join(objects, ",") + `]}`,
			"one string":             `{"status":"fail","log":"` + jsonText(strings.Join(lines, `\`+"\x00")) + `"}`,
			"strings of an array":    "{\n \"log\": [\n  \"" + strings.Join(slices.Collect(jsonLines(lines)), "\",\n  \"") + "\"\n ]\n}\n",
			"in the middle of a log": "boot\n[    1.000000] x\n" + strings.Join(objects, "\n") + "\n[    2.000000] y\n",
			"UTF-16":                 "\xff\xfe" + utf16Of(want+"é𐐷\n"),
			"a BOM":                  "\xef\xbb\xbf" + want,
		} {
			log = strings.ReplaceAll(log, `\\`+"\x00", `\n`)
			found := Parse(log)
			if len(found) != 1 || found[0].Grade != kcsan.GradeWhole || found[0].Text() != want {
				t.Errorf("%s, %s: %+v in\n%s", form, name, found, log)
			}
		}
		// Bytes that end in a blank each are one report, not the kernel's bytes.
		if found := Parse(octets.String()); len(found) != 1 || found[0].Report == nil {
			t.Errorf("bytes, %s: %+v", name, found)
		}
	}
	lines := goldenLines(t, "v5.17-reordered")
	for form, c := range map[string]struct {
		log    string
		time   uint64
		caller string
	}{
		"export":       {exported(lines), 12_000_001_000, ""},
		"dmesg --json": {`{"dmesg":[{"time":12.000001,"caller":"C3","msg":"` + strings.Join(slices.Collect(jsonLines(lines)), `"},{"time":12.000002,"caller":"C3","msg":"`) + `"}]}`, 12_000_002_000, "C3"},
		"journal":      {`{"MESSAGE":"` + strings.Join(slices.Collect(jsonLines(lines)), `","__MONOTONIC_TIMESTAMP":"5"}`+"\n"+`{"MESSAGE":"`) + `"}`, 5000, ""},
		"kmsg":         {"3,1,12000001,-,caller=T7;" + strings.Join(lines, "\n3,2,12000002,-,caller=T7;"), 12_000_002_000, "T7"},
		"dmesg -d":     {"[   12.000001 <    0.000001>] " + strings.Join(lines, "\n[   12.000002 <    0.000001>] "), 12_000_002_000, ""},
	} {
		found := Parse(c.log)
		if len(found) != 1 || !found[0].Timed || found[0].Time != c.time || found[0].Caller != c.caller {
			t.Errorf("%s: %+v", form, found)
		}
	}
}

// jsonLines escapes lines.
func jsonLines(lines []string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, l := range lines {
			if !yield(jsonText(l)) {
				return
			}
		}
	}
}

func utf16Of(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

// TestTwoSources keeps apart what two machines print through one log.
func TestTwoSources(t *testing.T) {
	a, b := goldenLines(t, "v5.17-reordered"), goldenLines(t, "reference-verbose")
	var log strings.Builder
	for i := range max(len(a), len(b)) {
		if i < len(a) {
			fmt.Fprintf(&log, "vm-1  | [   12.%06d] %s\n", i, a[i])
		}
		if i < len(b) {
			fmt.Fprintf(&log, "vm-2  | [   12.%06d] %s\n", i, b[i])
		}
	}
	texts := map[string]bool{}
	for _, f := range Parse(log.String()) {
		texts[f.Text()] = f.Grade == kcsan.GradeWhole
	}
	if len(texts) != 2 || !texts[golden(t, "v5.17-reordered")] || !texts[golden(t, "reference-verbose")] {
		t.Errorf("%v", texts)
	}
}

// TestKept holds the bound on what is kept: more different reports than fit are
// counted by title, and titles by number.
func TestKept(t *testing.T) {
	text := golden(t, "reference-unknown-origin")
	var c collector
	add := func(n int, title string) {
		r := Parse(text)[0]
		r.Title = title
		r.Lines = slices.Clone(r.Lines)
		r.Lines[3] = fmt.Sprint(n)
		c.add(r)
	}
	n := maxKeptText/(len(text)-100) + 500
	for i := range n {
		add(i, "a")
	}
	kept := 0
	for _, e := range c.log.Entries {
		if e.Report != nil {
			kept++
		}
	}
	last := c.log.Entries[len(c.log.Entries)-1]
	if c.log.Count != n || c.text > maxKeptText || kept < maxKeptText/len(text)-1 || kept != len(c.log.Entries)-1 ||
		last.Report != nil || last.Title != "a" || last.Count != n-kept || last.Reason == "" || c.log.Unkept != n-kept {
		t.Errorf("%d kept of %d, %d bytes, last %+v", kept, n, c.text, last)
	}
	for i := range maxKeptTitles + 10 {
		add(n+i, fmt.Sprintf("b%d", i))
	}
	if c.log.Unnamed != 11 || len(c.titles) != maxKeptTitles {
		t.Errorf("%d titles, %d without", len(c.titles), c.log.Unnamed)
	}
	for range 3 {
		add(0, "a") // a text that is kept is counted on
	}
	if c.log.Entries[0].Count != 4 {
		t.Errorf("%d of the first", c.log.Entries[0].Count)
	}
}
