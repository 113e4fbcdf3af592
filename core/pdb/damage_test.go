package pdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/pdb/pdbtest"
)

var le = binary.LittleEndian

// try opens and looks up; it fails the test when an error carries no code.
func try(t *testing.T, r io.ReaderAt, size int64, names ...string) (map[string]uint32, error) {
	t.Helper()
	f, err := pdb.Open(r, size)
	var found map[string]uint32
	if err == nil {
		found, err = f.Lookup(names...)
	} else if f != nil {
		t.Error("a file with an error")
	}
	var coded *fault.Error
	if err != nil && !errors.As(err, &coded) {
		t.Errorf("an error without a code: %v", err)
	}
	return found, err
}

func tryBytes(t *testing.T, data []byte, names ...string) (map[string]uint32, error) {
	t.Helper()
	return try(t, bytes.NewReader(data), int64(len(data)), names...)
}

func TestOtherFiles(t *testing.T) {
	pad := make([]byte, 8192)
	for name, c := range map[string]struct {
		data string
		code fault.Code
	}{
		"empty":        {"", fault.SymbolsNotAPDB},
		"one byte":     {"M", fault.SymbolsNotAPDB},
		"zeros":        {"\x00\x00\x00\x00", fault.SymbolsNotAPDB},
		"page":         {"<!DOCTYPE html><html>", fault.SymbolsNotAPDB},
		"cabinet":      {"MSCF\x00\x00\x00\x00", fault.SymbolsCompressed},
		"PDB 2.00":     {"Microsoft C/C++ program database 2.00\r\n\x1aJG\x00\x00", fault.SymbolsNotAPDB},
		"MSFZ":         {"Microsoft MSFZ Container\r\n\x1aALD\x00\x00", fault.SymbolsNotAPDB},
		"portable PDB": {"BSJB\x01\x00\x01\x00", fault.SymbolsNotAPDB},
		"magic only":   {"Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00", fault.PDBDamaged},
	} {
		for _, data := range [][]byte{[]byte(c.data), append([]byte(c.data), pad...)} {
			if _, err := tryBytes(t, data); !fault.Is(err, c.code) && !(name == "empty" && len(data) > 0) {
				t.Errorf("%s, %d bytes: %v", name, len(data), err)
			}
		}
	}
}

// Every prefix of a PDB is refused: a download that broke off is never used.
func TestTruncations(t *testing.T) {
	data, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; n < len(data); n += 1 + n/500 {
		_, err := tryBytes(t, data[:n], "KdDebuggerDataBlock")
		want := fault.PDBDamaged
		if n < 24 {
			want = fault.SymbolsNotAPDB
		}
		if !fault.Is(err, want) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
	if _, err := tryBytes(t, append(data, 1, 2, 3), "KdDebuggerDataBlock"); err != nil {
		t.Errorf("bytes behind the blocks: %v", err)
	}
}

func small() pdbtest.Spec {
	return pdbtest.Spec{GUID: guid, Age: 1, BlockSize: 512, Padding: 100, Sections: []uint32{0x1000}, Publics: many(100)}
}

// Streams that end early are named.
func TestShortStreams(t *testing.T) {
	for number, ends := range map[int]int{pdbtest.InfoStream: 0x1c, pdbtest.DBIStream: 64 + 108 + 22, pdbtest.SymbolStream: 0} {
		streams := pdbtest.Streams(small())
		full := streams[number]
		if ends == 0 {
			ends = len(full)
		} else if len(full) != ends {
			t.Fatalf("stream %d has %d bytes", number, len(full))
		}
		for n := range ends {
			if number == pdbtest.SymbolStream && n%28 == 0 {
				continue // whole records: the rest is merely not there
			}
			streams[number] = full[:n:n]
			_, err := tryBytes(t, pdbtest.Container(512, streams), "absent")
			if !fault.Is(err, fault.PDBDamaged) {
				t.Fatalf("stream %d with %d of %d bytes: %v", number, n, ends, err)
			}
		}
	}
	streams := pdbtest.Streams(small())
	streams[pdbtest.SymbolStream] = streams[pdbtest.SymbolStream][:29]
	found, err := tryBytes(t, pdbtest.Container(512, streams), "symbol000000", "symbol000002")
	if err == nil || err.Error() != "the PDB is damaged (stream 6 ends early: symbol records)" || !fault.Is(err, fault.PDBDamaged) || len(found) != 1 {
		t.Errorf("%v, %v", found, err)
	}
}

func TestAbsentStreams(t *testing.T) {
	for _, number := range []int{pdbtest.InfoStream, pdbtest.DBIStream, pdbtest.SymbolStream, pdbtest.SectionStream} {
		streams := pdbtest.Streams(small())
		streams[number] = nil
		if _, err := tryBytes(t, pdbtest.Container(512, streams), "symbol000000"); !fault.Is(err, fault.PDBDamaged) {
			t.Errorf("without stream %d: %v", number, err)
		}
		if _, err := tryBytes(t, pdbtest.Container(512, pdbtest.Streams(small())[:number]), "symbol000000"); !fault.Is(err, fault.PDBDamaged) {
			t.Errorf("with %d streams: %v", number, err)
		}
	}
}

// Each field that leads on, with values that cannot be.
func TestDamagedFields(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(streams [][]byte)
		code   fault.Code
	}{
		{"old version", func(s [][]byte) { le.PutUint32(s[1], 19990604) }, fault.PDBDamaged},
		{"DBI signature", func(s [][]byte) { s[3][0] = 0 }, fault.PDBDamaged},
		{"modules negative", func(s [][]byte) { le.PutUint32(s[3][0x18:], 0xffffffff) }, fault.PDBDamaged},
		{"contributions", func(s [][]byte) { le.PutUint32(s[3][0x1c:], 0x7fffffff) }, fault.PDBDamaged},
		{"section map", func(s [][]byte) { le.PutUint32(s[3][0x20:], 1000) }, fault.PDBDamaged},
		{"sources", func(s [][]byte) { le.PutUint32(s[3][0x24:], 1000) }, fault.PDBDamaged},
		{"type servers", func(s [][]byte) { le.PutUint32(s[3][0x28:], 1000) }, fault.PDBDamaged},
		{"EC", func(s [][]byte) { le.PutUint32(s[3][0x34:], 1000) }, fault.PDBDamaged},
		{"debug header", func(s [][]byte) { le.PutUint32(s[3][0x30:], 1000) }, fault.PDBDamaged},
		{"no debug header", func(s [][]byte) { le.PutUint32(s[3][0x30:], 0) }, fault.PDBDamaged},
		{"section stream", func(s [][]byte) { le.PutUint16(s[3][64+108+10:], 99) }, fault.PDBDamaged},
		{"no section stream", func(s [][]byte) { le.PutUint16(s[3][64+108+10:], 0xffff) }, fault.PDBDamaged},
		{"symbol stream", func(s [][]byte) { le.PutUint16(s[3][0x14:], 99) }, fault.PDBDamaged},
		{"record length 0", func(s [][]byte) { le.PutUint16(s[6][28:], 0) }, fault.PDBDamaged},
		{"record length 1", func(s [][]byte) { le.PutUint16(s[6][28:], 1) }, fault.PDBDamaged},
		{"record too long", func(s [][]byte) { le.PutUint16(s[6][28:], 0xffff) }, fault.PDBDamaged},
	} {
		streams := pdbtest.Streams(small())
		c.damage(streams)
		if _, err := tryBytes(t, pdbtest.Container(512, streams), "symbol000099"); !fault.Is(err, c.code) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// No symbols is no damage: they are missing.
	streams := pdbtest.Streams(small())
	le.PutUint16(streams[3][0x14:], 0xffff)
	if found, err := tryBytes(t, pdbtest.Container(512, streams), "symbol000001"); err != nil || len(found) != 0 {
		t.Errorf("%v, %v", found, err)
	}
	// A public without a terminator has the bytes that are there; one without a
	// name is none.
	streams = pdbtest.Streams(small())
	streams[6] = append(le.AppendUint16(nil, 16), "\x0e\x11\x00\x00\x00\x00\x07\x00\x00\x00\x01\x00last"...)
	streams[6] = append(streams[6], "\x0c\x00\x0e\x11\x00\x00\x00\x00\x07\x00\x00\x00\x01\x00"...)
	if found, err := tryBytes(t, pdbtest.Container(512, streams), "last", ""); err != nil || len(found) != 1 || found["last"] != 0x1007 {
		t.Errorf("%#x, %v", found, err)
	}
}

func TestDamagedSuperblock(t *testing.T) {
	good := pdbtest.New(small())
	size := len(good)
	for _, c := range []struct {
		name  string
		at    int
		value uint32
	}{
		{"block size 0", 0x20, 0}, {"block size 500", 0x20, 500}, {"block size 256", 0x20, 256},
		{"block size 128 KiB", 0x20, 1 << 17}, {"block size 2^31", 0x20, 1 << 31},
		{"one block too many", 0x28, uint32(size/512 + 1)}, {"all blocks", 0x28, 0xffffffff}, {"no blocks", 0x28, 0},
		{"no directory", 0x2c, 0}, {"directory of 3 bytes", 0x2c, 3}, {"directory of 4 bytes", 0x2c, 4}, {"endless directory", 0x2c, 0xffffffff},
		{"block map outside", 0x34, uint32(size / 512)}, {"block map far outside", 0x34, 0xffffffff}, {"block map 0", 0x34, 0},
	} {
		data := append([]byte{}, good...)
		le.PutUint32(data[c.at:], c.value)
		if _, err := tryBytes(t, data, "symbol000099"); !fault.Is(err, fault.PDBDamaged) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// Every byte of a small PDB, changed: no panic, no error without a code, no
// answer that differs where the change does not matter to it.
func TestEveryByte(t *testing.T) {
	good := pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, BlockSize: 512, Sections: []uint32{0x1000},
		Publics: many(3), Original: []uint32{0x2000}, Omap: [][2]uint32{{0, 0x100}}})
	for i := range good {
		for _, v := range []byte{0, 0xff, good[i] ^ 1, good[i] ^ 0x80} {
			data := append([]byte{}, good...)
			data[i] = v
			tryBytes(t, data, "symbol000002")
		}
	}
}

// failing fails at one offset.
type failing struct {
	io.ReaderAt
	from int64
}

var errDisk = errors.New("input/output error")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errDisk
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestReaderFails(t *testing.T) {
	data := pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, Padding: 1 << 20, Sections: []uint32{0x1000, 0x1000}, Publics: many(20000)})
	for from := int64(0); from < int64(len(data)); from += 32 << 10 {
		_, err := try(t, failing{bytes.NewReader(data), from}, int64(len(data)), "absent")
		if !fault.Is(err, fault.SymbolsUnreadable) || !errors.Is(err, errDisk) {
			t.Fatalf("failing at %#x: %v", from, err)
		}
	}
	if _, err := try(t, bytes.NewReader(data[:100000]), int64(len(data)), "absent"); !fault.Is(err, fault.SymbolsUnreadable) {
		t.Errorf("a reader that is shorter than it said: %v", err)
	}
	// One failure does not poison the cache.
	r := &once{r: bytes.NewReader(data)}
	f, err := pdb.Open(r, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	r.fail = true
	if _, err := f.Lookup("symbol019999"); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	if found, err := f.Lookup("symbol019998"); err != nil || found["symbol019998"] != 0x1000+19998 {
		t.Errorf("%#x, %v", found, err)
	}
}

// once fails the next read when asked to.
type once struct {
	r    io.ReaderAt
	fail bool
}

func (o *once) ReadAt(p []byte, off int64) (int, error) {
	if o.fail {
		o.fail = false
		return 0, errDisk
	}
	return o.r.ReadAt(p, off)
}

// sparse is a file of any size that holds zeros but for its first blocks.
type sparse struct {
	head        []byte
	size        int64
	read, calls int64
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	s.read, s.calls = s.read+int64(len(p)), s.calls+1
	clear(p)
	if off < int64(len(s.head)) {
		copy(p, s.head[off:])
	}
	if off+int64(len(p)) > s.size {
		return int(max(0, s.size-off)), io.EOF
	}
	return len(p), nil
}

// allocated gives how many bytes run allocates.
func allocated(run func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What a hostile header claims is neither allocated nor believed.
func TestMemoryIsBounded(t *testing.T) {
	head := func(dirBytes, streams uint32) []byte {
		h := make([]byte, 4*4096)
		copy(h, "Microsoft C/C++ MSF 7.00\r\n\x1aDS\x00\x00\x00")
		le.PutUint32(h[0x20:], 4096)
		le.PutUint32(h[0x28:], 1<<19) // 2 GiB
		le.PutUint32(h[0x2c:], dirBytes)
		le.PutUint32(h[0x34:], 1)
		for i := range 1024 {
			le.PutUint32(h[4096+4*i:], 2) // all blocks of the directory are the same
		}
		le.PutUint32(h[2*4096:], streams)
		return h
	}
	for name, h := range map[string][]byte{
		"a million streams": head(4096*1000, 1<<19), "a large directory": head(4<<20, 10), "as large as the file": head(1<<31-1, 1<<28),
		"streams without end": head(4<<20, 0xffffffff),
	} {
		s := &sparse{head: h, size: 1 << 31}
		var err error
		n := allocated(func() { _, err = pdb.Open(s, s.size) })
		if !fault.Is(err, fault.PDBDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if n > 4<<20 || s.read > 16<<20 {
			t.Errorf("%s: %d bytes allocated, %d read", name, n, s.read)
		}
	}
}

// counter counts what is read.
type counter struct {
	r                    io.ReaderAt
	calls, bytes, widest int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.calls, c.bytes, c.widest = c.calls+1, c.bytes+len(p), max(c.widest, len(p))
	return c.r.ReadAt(p, off)
}

// A PDB of a kernel's size is read with little memory and few calls, and its
// types are not read at all.
func TestLargePDB(t *testing.T) {
	data := pdbtest.New(pdbtest.Spec{GUID: guid, Age: 1, Padding: 40 << 20, Sections: []uint32{0x1000, 0x200000}, Publics: many(100000)})
	c := &counter{r: bytes.NewReader(data)}
	n := allocated(func() {
		f, err := pdb.Open(c, int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		if c.bytes > 512<<10 {
			t.Errorf("%d bytes read to identify it", c.bytes)
		}
		if found, err := f.Lookup("symbol099999"); err != nil || len(found) != 1 {
			t.Error(err)
		}
	})
	if n > 2<<20 || c.bytes > 5<<20 || c.calls > 100 || c.widest > 64<<10 {
		t.Errorf("%d bytes allocated; %d read in %d calls, the widest %d", n, c.bytes, c.calls, c.widest)
	}
	c.bytes = 0
	f, err := pdb.Open(c, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if found, err := f.Lookup("symbol000000", "symbol000001"); err != nil || len(found) != 2 || c.bytes > 1<<20 {
		t.Errorf("%d bytes read for the first two symbols (%v)", c.bytes, err)
	}
}
