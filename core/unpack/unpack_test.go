package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"coredrop/core/fault"
	"coredrop/server/corpustest"
)

// state is what every file of testdata holds: see testdata/make.sh.
var state = func() []byte {
	x, out := uint64(1), []byte("QEVM")
	for len(out) < 600000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		if len(out)&0xffff < 512 {
			out = append(out, byte(x>>56))
		} else {
			out = append(out, byte(0x20|len(out)>>16))
		}
	}
	return out
}()

var forms = map[string]string{"state.gz": "gzip", "state.zst": "zstd", "state.xz": "xz", "state.lzma": "lzma", "state.bz2": "bzip2",
	"state.lz4": "lz4", "state.legacy.lz4": "lz4-legacy", "state.lzo": "lzop"}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// unpacked reads all that comes out.
func unpacked(data []byte, name string) (out []byte, forms []string, err error) {
	s, err := Open(bytes.NewReader(data), name)
	if err != nil {
		return nil, nil, err
	}
	defer s.Close()
	if len(s.Forms) == 0 {
		return nil, nil, nil
	}
	out, err = io.ReadAll(s)
	return out, s.Forms, err
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data)
	z.Close()
	return b.Bytes()
}

func TestEveryForm(t *testing.T) {
	for name, form := range forms {
		data := fixture(t, name)
		got, found, err := unpacked(data, name)
		if err != nil || !bytes.Equal(got, state) || !slices.Equal(found, []string{form}) {
			t.Errorf("%s: %d bytes, %v, %v", name, len(got), found, err)
		}
		// One inside another, and under any name.
		got, found, err = unpacked(gzipped(data), "core")
		if err != nil || !bytes.Equal(got, state) || !slices.Equal(found, []string{"gzip", form}) {
			t.Errorf("%s in gzip: %d bytes, %v, %v", name, len(got), found, err)
		}
		// Two, one behind the other: the bytes of both.
		if form == "lzma" {
			continue // the form has no such thing
		}
		got, _, err = unpacked(slices.Concat(data, data), name)
		if err != nil || !bytes.Equal(got, slices.Concat(state, state)) {
			t.Errorf("%s twice: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestNotPacked(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("QEVM"), state, {0x1f}} {
		if got, found, err := unpacked(data, "core"); err != nil || len(found) > 0 || got != nil {
			t.Errorf("%d bytes: %v %v", len(data), found, err)
		}
	}
}

// What is cut gives all that came before the cut, and is said to be cut; what is
// damaged is said to be.
func TestCutAndDamaged(t *testing.T) {
	for name, form := range forms {
		data := fixture(t, name)
		some := 0
		for n := len(data) - 1; n > 0; n -= 97 {
			got, found, err := unpacked(data[:n], name)
			if len(found) == 0 && err == nil {
				continue // too short to be told
			}
			// A checksum, an index or an end mark may be all that is missing; lz4's
			// legacy form has no end mark.
			if !fault.Is(err, fault.Truncated) && !(err == nil && (form == "lz4-legacy" || bytes.Equal(got, state))) {
				t.Fatalf("%s cut at %d: %v", name, n, err)
			}
			if !bytes.HasPrefix(state, got) {
				t.Fatalf("%s cut at %d: other bytes", name, n)
			}
			if len(got) > 0 {
				some++
			}
		}
		if some == 0 && form != "bzip2" && form != "lz4-legacy" && form != "lzma" { // one block is all of it
			t.Errorf("%s: nothing of a part", name)
		}
		bad := slices.Clone(data)
		for i := len(bad) / 2; i < len(bad)/2+16; i++ {
			bad[i] ^= 0x5a
		}
		if got, _, err := unpacked(bad, name); !fault.Is(err, fault.DamagedCopy) && !fault.Is(err, fault.Truncated) {
			if form != "lz4-legacy" && form != "lzma" || bytes.Equal(got, state) { // these have no checksums
				t.Errorf("%s damaged: %v", name, err)
			}
		}
	}
}

// What gzip and bzip2 leave alone behind the last stream is left alone.
func TestWhatFollows(t *testing.T) {
	for _, name := range []string{"state.gz", "state.bz2", "state.lzo"} {
		for _, more := range [][]byte{make([]byte, 1024), []byte("no more of it")} {
			if got, _, err := unpacked(slices.Concat(fixture(t, name), more), name); err != nil || !bytes.Equal(got, state) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
			if got, _, err := unpacked(slices.Concat(fixture(t, name), fixture(t, name), more), name); err != nil || !bytes.Equal(got, slices.Concat(state, state)) {
				t.Errorf("%s twice: %d bytes, %v", name, len(got), err)
			}
		}
	}
}

func TestTooDeepAndTooMuch(t *testing.T) {
	data := state[:1000]
	for range maxLayers {
		data = gzipped(data)
	}
	if got, found, err := unpacked(data, "x"); err != nil || len(found) != maxLayers || !bytes.Equal(got, state[:1000]) {
		t.Error(found, err)
	}
	if _, _, err := unpacked(gzipped(data), "x"); !fault.Is(err, fault.Packed) || !strings.Contains(err.Error(), "more than 4 times") {
		t.Error(err)
	}

	window := []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00") // 2^(10+21)
	xz := slices.Clone(fixture(t, "state.xz"))
	at := bytes.Index(xz[12:], []byte{0x21, 1}) + 14
	xz[at] = 40
	lzma := slices.Clone(fixture(t, "state.lzma"))
	binary.LittleEndian.PutUint32(lzma[1:], 1<<31)
	for name, data := range map[string][]byte{"zstd": window, "xz": xz, "lzma": lzma} {
		_, _, err := unpacked(data, "x")
		if !fault.Is(err, fault.Packed) || !strings.Contains(err.Error(), "512 MiB") || len(fault.As(err).Hints) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What nothing here reads is not unpacked in vain.
func TestInVain(t *testing.T) {
	tar := make([]byte, 1024)
	copy(tar[257:], "ustar")
	for name, data := range map[string][]byte{"tar": tar, "disk": []byte("vhdxfile"), "pdb": []byte("Microsoft C/C++ MSF 7.00\r\n\x1aDS"), "lzip": []byte("LZIP")} {
		if _, _, err := unpacked(gzipped(data), "x.gz"); !fault.Is(err, fault.Packed) || !strings.Contains(err.Error(), "compressed with gzip; inside it is") {
			t.Errorf("%s: %v", name, err)
		}
	}
	core := make([]byte, 64)
	copy(core, "\x7fELF\x02\x01\x01")
	core[16], core[18] = 4, 62
	for name, data := range map[string][]byte{"elf": core, "log": []byte("[    0.000000] Linux version 6.1.0\n"), "any": []byte("\x00\x01\x02")} {
		if got, _, err := unpacked(gzipped(data), "x.gz"); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// saved is libvirt's header with a stream behind it.
func saved(order binary.ByteOrder, version, format uint32, stream []byte) []byte {
	xml := append([]byte("<domain/>\x00"), make([]byte, 500)...)
	h := make([]byte, headerBytes)
	copy(h, "LibvirtQemudSave")
	order.PutUint32(h[versionAt:], version)
	order.PutUint32(h[dataLenAt:], uint32(len(xml)))
	order.PutUint32(h[formatAt:], format)
	return slices.Concat(h, xml, stream)
}

func TestLibvirt(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		raw := saved(order, 2, 0, state)
		for name, form := range forms {
			packed := saved(order, 1, 3, fixture(t, name)) // whatever the number says
			if got, found, err := unpacked(packed, "vm.save"); err != nil || !slices.Equal(found, []string{form}) ||
				!bytes.Equal(got, saved(order, 1, 0, state)) {
				t.Errorf("%s: %d bytes, %v, %v", name, len(got), found, err)
			}
		}
		for _, plain := range [][]byte{raw, saved(order, 2, 6, state), raw[:50], saved(order, 2, 1, nil)} {
			if _, found, err := unpacked(plain, "vm.save"); err != nil || len(found) > 0 {
				t.Errorf("%d bytes: %v %v", len(plain), found, err)
			}
			if got, found, err := unpacked(gzipped(plain), "vm.save.gz"); err != nil || len(found) != 1 || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes in gzip: %v %v", len(plain), found, err)
			}
		}
		huge := saved(order, 2, 1, nil)
		order.PutUint32(huge[dataLenAt:], 1<<32-1)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, found, err := unpacked(huge, "vm.save"); err != nil || len(found) > 0 {
			t.Error(found, err)
		}
		if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
			t.Errorf("%d bytes for what a length says", after.TotalAlloc-before.TotalAlloc)
		}
	}
}

// A block of lzop's is no larger than lzop makes it, and what it says is checked.
func TestLzop(t *testing.T) {
	data := fixture(t, "state.lzo")
	first := bytes.Index(data, []byte("state")) + len("state") + 4
	huge := slices.Clone(data)
	binary.BigEndian.PutUint32(huge[first:], lzopMaxBlock+1)
	if _, _, err := unpacked(huge, "x"); !fault.Is(err, fault.DamagedCopy) || !strings.Contains(err.Error(), "a block of 67108865 bytes") {
		t.Error(err)
	}
	for name, edit := range map[string]func([]byte){
		"a longer block":  func(p []byte) { binary.BigEndian.PutUint32(p[first+4:], 1<<20) },
		"another size":    func(p []byte) { binary.BigEndian.PutUint32(p[first:], 1<<18-1) },
		"a checksum":      func(p []byte) { p[first+8]++ },
		"another method":  func(p []byte) { p[15] = 9 },
		"a filter":        func(p []byte) { p[18+1] |= 8 },
		"a packed sum":    func(p []byte) { p[first+12]++ },
		"the block's end": func(p []byte) { p[first+200] ^= 0xff },
	} {
		bad := slices.Clone(data)
		edit(bad)
		if _, _, err := unpacked(bad, "x"); !fault.Is(err, fault.DamagedCopy) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The packed file's own failure keeps its words.
func TestReadError(t *testing.T) {
	broken := fault.New(fault.FileChanged, "it became shorter")
	data := fixture(t, "state.gz")
	s, err := Open(io.MultiReader(bytes.NewReader(data[:3000]), failingReader{broken}), "x")
	if err == nil {
		_, err = io.ReadAll(s)
	}
	if !errors.Is(err, broken) || !fault.Is(err, fault.FileChanged) {
		t.Error(err)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// The saved state that libvirt packed.
func TestCorpus(t *testing.T) {
	dir := filepath.Join(corpustest.Dir(t, "savevm"), "savevm", "libvirt-zstd")
	packed, err := os.ReadFile(filepath.Join(dir, "mini.save.zst"))
	if err != nil {
		t.Fatal(err)
	}
	got, found, err := unpacked(packed, "mini.save.zst")
	if err != nil || !slices.Equal(found, []string{"zstd", "zstd"}) || string(got[:16]) != "LibvirtQemudSave" {
		t.Fatal(found, err)
	}
	if between := binary.LittleEndian.Uint32(got[dataLenAt:]); string(got[headerBytes+between:][:4]) != "QEVM" {
		t.Error("no stream behind the header")
	}
}

// FuzzOpen unpacks anything, up to a bound.
func FuzzOpen(f *testing.F) {
	for name := range forms {
		f.Add(fixture(f, name))
		f.Add(saved(binary.LittleEndian, 2, 1, fixture(f, name)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Open(bytes.NewReader(data), "x")
		if err == nil {
			defer s.Close()
			_, err = io.Copy(io.Discard, io.LimitReader(s, 1<<20))
		}
		if err != nil && fault.As(err).Code == fault.Internal {
			t.Fatal(err)
		}
	})
}

func TestName(t *testing.T) {
	for _, c := range []struct {
		name  string
		forms []string
		want  string
	}{
		{"vm.core.gz", []string{"gzip"}, "vm.core"},
		{"vm.core.zst.gz", []string{"gzip", "zstd"}, "vm.core"},
		{"vm.core", []string{"gzip"}, "vm.core"},
		{".gz", []string{"gzip"}, ".gz"},
		{"vm.lz4", []string{"lz4-legacy"}, "vm"},
	} {
		if got := Name(c.name, c.forms); got != c.want {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}
