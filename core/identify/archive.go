package identify

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"coredrop/core/fault"
)

// archiving is a way of putting files into one.
type archiving struct {
	id, noun, magic string
	unpack          string
	first           func(*view) (name string, size int64, content io.Reader) // nil: named only, or in firsts
}

// firsts are the large ones, by the id of their archive, as decoders are.
var firsts = map[string]func(*view) (name string, size int64, content io.Reader){}

// Sources: APPNOTE.TXT 6.3.10 (zip), 7zFormat.txt, technote.txt (rar), cpio(5),
// ar(5), the WIM white paper.
var archivings = []archiving{
	{"zip", "a zip archive", "PK\x03\x04", "unzip {file}", nil},
	{"zip-spanned", "a part of a zip archive in several parts", "PK\x07\x08", "zip -s 0 {file} --out whole.zip && unzip whole.zip", nil},
	{"zip-spanned", "a part of a zip archive in several parts", "PK00PK\x03\x04", "zip -s 0 {file} --out whole.zip && unzip whole.zip", nil},
	{"7z", "a 7z archive", "7z\xbc\xaf\x27\x1c", "7z x {file}", nil},
	{"rar", "a rar archive", "Rar!\x1a\x07", "unrar x {file}", nil},
	{"cpio", "a cpio archive", "070701", "cpio -idv < {file}", firstOfCpio},
	{"cpio", "a cpio archive", "070702", "cpio -idv < {file}", firstOfCpio},
	{"cpio", "a cpio archive", "070707", "cpio -idv < {file}", nil},
	{"cpio", "a cpio archive", "\xc7\x71", "cpio -idv < {file}", nil},
	{"ar", "an ar archive or a Debian package", "!<arch>\n", "ar x {file}", nil},
	{"rpm", "an RPM package", "\xed\xab\xee\xdb", "rpm2cpio {file} | cpio -idv", nil},
	{"wim", "a Windows image (WIM)", "MSWIM\x00\x00\x00", "7z x {file}", nil},
}

func archive(v *view) *File {
	if v.hasAt(0, "PK\x05\x06") {
		return &File{Kind: Kind{ID: "zip-empty", Class: Packed, Noun: "a zip archive with nothing in it", Code: fault.EmptyFile,
			Steps: []fault.Step{say("pack it again: the file was missing, or could not be read, when it was packed")}}}
	}
	for i := range archivings {
		if a := &archivings[i]; v.hasAt(0, a.magic) {
			return a.file(v)
		}
	}
	if isTar(v) {
		return (&archiving{id: "tar", noun: "a tar archive", unpack: "tar xf {file}"}).file(v)
	}
	return nil
}

func (a *archiving) file(v *view) *File {
	f := &File{Kind: Kind{ID: a.id, Class: Packed, Noun: a.noun, Code: fault.Packed}}
	open := "what is inside"
	first := a.first
	if first == nil {
		first = firsts[a.id]
	}
	if first != nil {
		if name, size, content := first(v); name != "" {
			shown := clean(path.Base(strings.ReplaceAll(name, `\`, "/")))
			f.Noun += fmt.Sprintf(" whose first file is %q", shown)
			open = shown
			if content != nil {
				f.Inside = v.inside(content, shown, size)
			}
		}
	}
	f.Steps = append([]fault.Step{do("unpack it, then open "+open, a.unpack)}, f.deeper()...)
	return f
}

// isTar tells a tar archive by its signature, or an old one by the checksum of
// its first header (tar(5)).
func isTar(v *view) bool {
	const block, sumAt, sumLen, magicAt = 512, 148, 8, 257
	if v.hasAt(magicAt, "ustar") {
		return true
	}
	if len(v.head) < block || v.head[0] == 0 {
		return false
	}
	sum := 0
	for i, b := range v.head[:block] {
		if i >= sumAt && i < sumAt+sumLen {
			b = ' '
		}
		sum += int(b)
	}
	said, err := strconv.ParseInt(strings.Trim(string(v.head[sumAt:sumAt+sumLen]), " \x00"), 8, 32)
	return err == nil && int(said) == sum
}

// firstOfCpio reads the first header of the "new" forms: fields of eight
// hexadecimal digits.
func firstOfCpio(v *view) (string, int64, io.Reader) {
	const sizeAt, nameLenAt, header = 54, 94, 110
	if len(v.head) < header {
		return "", 0, nil
	}
	field := func(at int) int64 {
		n, err := strconv.ParseUint(string(v.head[at:at+8]), 16, 32)
		if err != nil {
			return -1
		}
		return int64(n)
	}
	size, nameLen := field(sizeAt), field(nameLenAt)
	if nameLen < 1 || header+nameLen > int64(len(v.head)) || size < 0 {
		return "", 0, nil
	}
	name := string(bytes.TrimRight(v.head[header:header+nameLen], "\x00"))
	r := v.stream()
	if _, err := io.CopyN(io.Discard, r, (header+nameLen+3)&^3); err != nil || size == 0 {
		return name, size, nil
	}
	return name, size, io.LimitReader(r, size)
}
