package identify

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf16"

	"coredrop/core/fault"
)

// text names a file of characters: a log, or what a server or a tool put in the
// place of the file that was wanted.
func text(v *view) *File {
	s, encoding, ok := decode(v.head)
	if !ok {
		return nil
	}
	if f := mangledCore(s, encoding); f != nil {
		return f
	}
	trimmed := strings.TrimLeft(s, " \t\r\n")
	lower := strings.ToLower(trimmed[:min(len(trimmed), 2048)])
	for _, t := range texts {
		if t.match(lower) {
			f := &File{Kind: Kind{ID: t.id, Class: Other, Noun: t.noun, Note: notMemory, Code: fault.NotTheFile, Steps: t.steps}}
			if quoted := t.quote(trimmed); quoted != "" {
				f.Noun += fmt.Sprintf(" (%s)", quoted)
			}
			return f
		}
	}
	if isHexDump(trimmed) {
		return &File{Kind: Kind{ID: "hexdump", Class: Other, Noun: "a hexadecimal listing of a file", Note: "not the file", Code: fault.NotTheFile,
			Steps: []fault.Step{do("turn it back into bytes", "xxd -r {file} > {file}.bin"), say("a listing made by hexdump or od has left lines out: take the file itself")}}}
	}
	if strings.HasPrefix(trimmed, "begin-base64 ") || strings.HasPrefix(trimmed, "f0VMRg") {
		return &File{Kind: Kind{ID: "base64", Class: Packed, Noun: "a file in base64", Code: fault.Packed,
			Steps: []fault.Step{do("turn it back into bytes, then open {file}.bin", "base64 -di {file} > {file}.bin")}}}
	}
	if isKernelLog(s) {
		return &File{Kind: Kind{ID: "kernel-log", Class: Log, Noun: "the text of a kernel log", Note: notMemory, Code: fault.IsLog}}
	}
	return &File{Kind: Kind{ID: "text", Class: Log, Noun: "a text", Note: "not a memory core we know", Code: fault.UnknownFormat,
		Steps: append([]fault.Step{cli("if it is a kernel's log, its race reports", "coredrop kcsan {file}")}, fault.TakeCore()...)}}
}

// message is a text that stands where a file was to be.
type message struct {
	id, noun string
	match    func(lower string) bool
	quote    func(text string) string
	steps    []fault.Step
}

func begins(prefixes ...string) func(string) bool {
	return func(s string) bool {
		for _, p := range prefixes {
			if strings.HasPrefix(s, p) {
				return true
			}
		}
		return false
	}
}

func nothing(string) string { return "" }

var fetchAgain = []fault.Step{say("the server answered with this instead of the file: open the address in a browser, sign in where it asks, and fetch the file again"), do("make the next fetch fail instead of saving the answer", "curl -fLO URL")}

var texts = []message{
	{"lfs-pointer", "a Git LFS pointer", begins("version https://git-lfs.github.com/spec/"), nothing,
		[]fault.Step{do("fetch the file that it stands for", "git lfs pull --include {file}")}},
	{"annex-pointer", "a git-annex pointer", begins("/annex/objects/"), nothing,
		[]fault.Step{do("fetch the file that it stands for", "git annex get {file}")}},
	{"web-page", "a web page", isHTML, htmlTitle, fetchAgain},
	{"s3-error", "an object store's error message (XML)", isXMLError, xmlFields, fetchAgain},
	{"xml", "an XML document", begins("<?xml"), nothing, fetchAgain},
	{"json-error", "a server's error message (JSON)", isJSONError, jsonFields, fetchAgain},
}

func isHTML(s string) bool {
	for strings.HasPrefix(s, "<!--") || strings.HasPrefix(s, "<?xml") {
		_, rest, ok := strings.Cut(s, ">")
		if !ok {
			return false
		}
		s = strings.TrimLeft(rest, " \t\r\n")
	}
	return begins("<!doctype html", "<html", "<head", "<body", "<title", "<script", "<meta")(s)
}

func isXMLError(s string) bool {
	return begins("<?xml", "<error", "<errorresponse")(s) && strings.Contains(s, "<error") && strings.Contains(s, "<code>")
}

// isJSONError tells a server's refusal from other JSON, such as a log or a
// summary: it is short and speaks of an error.
func isJSONError(s string) bool {
	return strings.HasPrefix(s, "{") && len(s) < 2048 && !strings.Contains(s, "__realtime_timestamp") && speaksOfError(s)
}

// decode gives a head as text; encoding is "" (ASCII or UTF-8) or "UTF-16". A
// character cut at the end is no fault, control characters are.
func decode(head []byte) (s, encoding string, ok bool) {
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		head = head[3:]
	case bytes.HasPrefix(head, []byte("\xff\xfe")), bytes.HasPrefix(head, []byte("\xfe\xff")):
		big := head[0] == 0xfe
		var units []uint16
		for i := 2; i+1 < len(head); i += 2 {
			u := uint16(head[i]) | uint16(head[i+1])<<8
			if big {
				u = u<<8 | u>>8
			}
			units = append(units, u)
		}
		s = string(utf16.Decode(units))
		return s, "UTF-16", len(units) > 0 && printableOrELF(s)
	}
	s = string(head)
	return s, "", printableOrELF(s)
}

// printableOrELF reports whether a text has no other control characters than
// texts have; a core that was sent through a text channel is let through.
func printableOrELF(s string) bool {
	if strings.HasPrefix(s, "\x7fELF") {
		return true
	}
	odd := 0
	for _, r := range s {
		if r == 0 {
			return false
		}
		if r < ' ' && !strings.ContainsRune("\t\n\r\x1b\x08\x0c\x07", r) || r == 0x7f {
			odd++
		}
	}
	return s != "" && odd*200 <= len(s) // a console's log has a few
}

// mangledCore names a core whose bytes were taken for characters.
func mangledCore(s, encoding string) *File {
	if !strings.HasPrefix(s, "\x7fELF") || encoding != "UTF-16" {
		return nil
	}
	return &File{Kind: Kind{ID: "core-utf16", Class: Damaged, Noun: "a core that was rewritten as UTF-16 text", Note: "as PowerShell's > does", Code: fault.DamagedCopy,
		Steps: []fault.Step{say("copy it again as bytes: cmd's > keeps them, and so do scp, curl -o and Copy-Item")}}}
}
