package identify

import (
	"bytes"
	"io"
	"strings"

	"coredrop/core/fault"
)

// packing is a way of compressing one file.
type packing struct {
	id, noun string
	match    func(head []byte) bool
	endings  []string // of names that the program unpacks in place
	inPlace  string   // unpacks beside the file, which stays
	pipe     string   // unpacks to standard output
	ours     bool     // -unpack undoes it
}

// decoders unpack what is packed in a form of that id; another form is named only.
// A program that is built with the tag lean has none: it names such a file without
// what is inside.
var decoders = map[string]func(io.Reader) (io.Reader, error){}

func starts(magic string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(magic)) }
}

// Sources: RFC 1952, RFC 8878, the xz and lzma file formats, lz4_Frame_format.md,
// lzop 1.04, ncompress.
var packings = []packing{
	{"gzip", "a file compressed with gzip", starts("\x1f\x8b"), []string{".gz", ".tgz"}, "gunzip -k {file}", "gzip -dc {file}", true},
	{"zstd", "a file compressed with zstd", isZstd, []string{".zst", ".tzst"}, "zstd -d {file}", "zstd -dc {file}", true},
	{"xz", "a file compressed with xz", starts("\xfd7zXZ\x00"), []string{".xz", ".txz"}, "xz -dk {file}", "xz -dc {file}", true},
	{"bzip2", "a file compressed with bzip2", isBzip2, []string{".bz2", ".tbz2", ".bz"}, "bzip2 -dk {file}", "bzip2 -dc {file}", true},
	{"lz4", "a file compressed with lz4", isLz4, []string{".lz4"}, "lz4 -d {file}", "lz4 -dc {file}", true},
	{"lz4-legacy", "a file compressed with lz4 (legacy frame)", starts("\x02\x21\x4c\x18"), []string{".lz4"}, "lz4 -d {file}", "lz4 -dc {file}", true},
	{"lzop", "a file compressed with lzop", starts("\x89LZO\x00\r\n\x1a\n"), []string{".lzo"}, "lzop -d {file}", "lzop -dc {file}", true},
	{"compress", "a file compressed with compress (.Z)", starts("\x1f\x9d"), []string{".Z"}, "gunzip -k {file}", "gzip -dc {file}", false},
	{"lzip", "a file compressed with lzip", starts("LZIP"), []string{".lz"}, "lzip -dk {file}", "lzip -dc {file}", false},
	{"lrzip", "a file compressed with lrzip", starts("LRZI"), []string{".lrz"}, "lrzip -d {file}", "lrzip -dqo - {file}", false},
	{"lzma", "a file compressed with lzma", isLzma, []string{".lzma"}, "xz -dk --format=lzma {file}", "xz -dc --format=lzma {file}", true},
	{"snappy", "a file compressed with snappy (framed)", starts("\xff\x06\x00\x00sNaPpY"), nil, "", "snzip -dc {file}", false},
}

// unpackCommand converts a packed core as it is.
const unpackCommand = "coredrop convert -unpack {file} {dump}"

// skippable tells a frame that zstd and lz4 both step over, and its length.
func skippable(head []byte) (int64, bool) {
	if len(head) < 8 || u32(head)&^0xf != 0x184d2a50 {
		return 0, false
	}
	return 8 + int64(u32(head[4:])), true
}

// behindSkippable gives the bytes behind the skippable frames at the beginning;
// ok: there was at least one.
func behindSkippable(head []byte) (rest []byte, ok bool) {
	for {
		n, is := skippable(head)
		if !is {
			return head, ok
		}
		head, ok = head[min(n, int64(len(head))):], true
	}
}

func isZstd(head []byte) bool {
	rest, skipped := behindSkippable(head)
	// Frames that are skipped and nothing behind that can be seen: pzstd and the
	// seekable form write such.
	return bytes.HasPrefix(rest, []byte("\x28\xb5\x2f\xfd")) || skipped && !isLz4Frame(rest)
}

func isLz4Frame(head []byte) bool { return bytes.HasPrefix(head, []byte("\x04\x22\x4d\x18")) }

func isLz4(head []byte) bool {
	rest, _ := behindSkippable(head)
	return isLz4Frame(rest)
}

func isBzip2(head []byte) bool {
	return len(head) >= 4 && string(head[:3]) == "BZh" && head[3] >= '1' && head[3] <= '9'
}

// isLzma judges an lzma file, which has no signature: the usual properties, a
// dictionary that encoders write (2^n or 2^n + 2^(n-1)), a length that can be.
func isLzma(head []byte) bool {
	if len(head) < lzmaHeader+1 || head[0] != 0x5d {
		return false
	}
	dict, size := u32(head[1:]), u64(head[5:])
	rest := dict & (dict - 1)
	power := dict >= 1<<12 && (rest == 0 || dict^rest == rest/2 || rest == dict/3)
	return power && (size == 1<<64-1 || size < 1<<44) && head[lzmaHeader] == 0
}

const lzmaHeader = 13

// How much of a packed file is read to see what is inside (a bzip2 block is up
// to 900 kB), and how deep: a core in a tar in a gzip is two.
const (
	maxPackedRead = 2 << 20
	maxDepth      = 4
)

// packed names a compressed file or an archive.
func packed(v *view) *File {
	for i := range packings {
		if p := &packings[i]; p.match(v.head) {
			return p.file(v)
		}
	}
	return archive(v)
}

// stream reads the file from its beginning, a bounded part of it.
func (v *view) stream() io.Reader {
	if v.more == nil {
		return bytes.NewReader(v.head)
	}
	n := int64(maxPackedRead)
	if v.size >= 0 {
		n = min(n, v.size)
	}
	return io.NewSectionReader(v.more, 0, n)
}

// inside identifies what comes out of r; nil: nothing does.
func (v *view) inside(r io.Reader, name string, size int64) *File {
	if v.depth >= maxDepth {
		return nil
	}
	head := make([]byte, HeadBytes)
	n, _ := io.ReadFull(r, head) // an early end is normal: not all was given
	if n == 0 {
		return nil
	}
	if size >= 0 && int64(n) < min(size, HeadBytes) {
		size = -1 // it could not be seen whole
	}
	return identify(&view{head: head[:n], size: size, name: name, depth: v.depth + 1})
}

func (p *packing) file(v *view) *File {
	f := &File{Kind: Kind{ID: p.id, Class: Packed, Noun: p.noun, Code: fault.Packed}}
	inner, ends := v.name, false
	for _, e := range p.endings {
		if short, ok := strings.CutSuffix(v.name, e); ok && short != "" {
			inner, ends = short, true
			if strings.HasPrefix(e, ".t") { // .tgz stands for .tar.gz
				inner += ".tar"
			}
		}
	}
	if open := decoders[p.id]; open != nil {
		if r, err := open(v.stream()); err == nil {
			f.Inside = v.inside(r, inner, -1)
			if c, ok := r.(io.Closer); ok {
				c.Close() // only looked at
			}
		}
	}
	command := p.inPlace
	if !ends || command == "" {
		command = p.pipe + " > {file}.unpacked"
		inner = "{file}.unpacked"
	}
	f.Steps = []fault.Step{do("unpack it, then open "+inner, command)}
	if in := f.Inside; in != nil && in.ID == "tar" {
		f.Steps = []fault.Step{do(in.Steps[0].Text, "tar xf {file}")} // tar unpacks both at once
	}
	if in := f.Inside; p.ours && (in == nil || in.Class == Core) {
		f.Steps = append([]fault.Step{do("let it be unpacked on the way", unpackCommand)}, f.Steps...)
	}
	if in := f.Inside; in != nil && in.Class == Log {
		f.Steps = append([]fault.Step{cli("its race reports", p.pipe+" | coredrop kcsan -")}, f.Steps...)
	}
	f.Steps = append(f.Steps, f.deeper()...)
	return f
}

// deeper gives what to do with what is inside, where that is no core: its own
// steps, without the command that would name the wrong file.
func (f *File) deeper() []fault.Step {
	in := f.Inside
	if in == nil || in.Code == "" || in.Class == Log || in.Class == Packed {
		return nil
	}
	var list []fault.Step
	for _, s := range in.Fault().Steps("") {
		if !strings.Contains(s.Command, "FILE") && !strings.Contains(s.Text, "FILE") {
			list = append(list, s)
		}
	}
	return list
}
