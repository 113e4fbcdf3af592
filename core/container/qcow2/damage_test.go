package qcow2

import (
	"bytes"
	"compress/flate"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/synth"
)

func TestRefusedByName(t *testing.T) {
	base, two := edited(fixture(t, "c64k")), edited(fixture(t, "v2"))
	for _, c := range []struct {
		name string
		base edited
		edit func(edited)
		code fault.Code
		says string
	}{
		{"a backing file", base, func(e edited) { e.put64(backingAt, 0x180); e.put32(backingLenAt, 9); copy(e[0x180:], "base \x01.img") }, fault.DiskUnsupported, `its backing file, "base \x01.im"`},
		{"a backing file behind the end", base, func(e edited) { e.put64(backingAt, 1<<50); e.put32(backingLenAt, 9) }, fault.DiskUnsupported, "its backing file"},
		{"AES", base, func(e edited) { e.put32(cryptAt, 1) }, fault.DiskUnsupported, "encrypted (AES)"},
		{"LUKS", base, func(e edited) { e.put32(cryptAt, 2) }, fault.DiskUnsupported, "encrypted (LUKS)"},
		{"a data file", base, func(e edited) {
			e.put64(incompatibleAt, featureDataFile)
			at := e.get32(headerLenAt)
			e.put32(at, extensionDataFile)
			e.put32(at+4, 5)
			copy(e[at+8:], "d.raw")
		}, fault.DiskUnsupported, `another file, "d.raw"`},
		{"a data file without a name", base, func(e edited) { e.put64(incompatibleAt, featureDataFile); e.put64(e.get32(headerLenAt), 0) }, fault.DiskUnsupported, "another file"},
		{"extensions without an end", base, func(e edited) {
			e.put64(incompatibleAt, featureDataFile)
			for at := e.get32(headerLenAt); at < 1<<16-8; at += 8 {
				e.put64(at, 1<<32)
			}
		}, fault.DiskUnsupported, "another file"},
		{"an unknown feature", base, func(e edited) { e.put64(incompatibleAt, 1<<40) }, fault.DiskUnsupported, "0x10000000000"},
		{"an unknown compression", base, func(e edited) { e.put64(incompatibleAt, featureCompression); e.put8(compressionAt, 2) }, fault.DiskUnsupported, "not known (2)"},
		{"version 1", base, func(e edited) { e.put32(versionAt, 1) }, fault.OtherFormat, "version 1"},
		{"version 4", base, func(e edited) { e.put32(versionAt, 4) }, fault.DiskUnsupported, "version 4"},
		{"no snapshot", two, func(e edited) { e.put32(snapshotsAt, 0) }, fault.OtherFormat, "not a memory core"},
		{"a backing file and no snapshot", two, func(e edited) { e.put64(backingAt, 0x180); e.put32(snapshotsAt, 0) }, fault.OtherFormat, "not a memory core"},
		{"a snapshot of the disk", two, func(e edited) {
			e.put32(snapshotsAt, 1)
			e.put64(e.entry(0)+snapHead+extraStateAt, 0)
		}, fault.OtherFormat, "its snapshot has no memory"},
		{"snapshots of the disk", two, func(e edited) {
			e.put64(e.entry(0)+snapHead+extraStateAt, 0)
			e.put64(e.entry(1)+snapHead+extraStateAt, 0)
		}, fault.OtherFormat, "its 3 snapshots have no memory"},

		{"clusters of 256 bytes", base, func(e edited) { e.put32(clusterBitsAt, 8) }, fault.DamagedHeader, "2^8"},
		{"clusters of 4 MiB", base, func(e edited) { e.put32(clusterBitsAt, 22) }, fault.DamagedHeader, "2^22"},
		{"a short header", base, func(e edited) { e.put32(headerLenAt, 72) }, fault.DamagedHeader, "72 bytes"},
		{"a long header", base, func(e edited) { e.put32(headerLenAt, 1<<31) }, fault.DamagedHeader, "header of"},
		{"subclusters of 128 bytes", edited(fixture(t, "v2")), func(e edited) {
			e.put32(versionAt, 3)
			e.put64(incompatibleAt, featureExtendedL2)
			e.put32(headerLenAt, 104)
		}, fault.DamagedHeader, "subclusters of 128"},
		{"millions of snapshots", base, func(e edited) { e.put32(snapshotsAt, 5_000_000) }, fault.DamagedHeader, "5000000 snapshots"},
		{"more snapshots than there are", base, func(e edited) { e.put32(snapshotsAt, 60000) }, fault.Truncated, "table of snapshots"},
		{"a table of snapshots aslant", base, func(e edited) { e.put64(snapshotsOffAt, 0x10008) }, fault.DamagedHeader, "snapshot table at 0x10008"},
		{"a table of snapshots outside", base, func(e edited) { e.put64(snapshotsOffAt, 1<<62) }, fault.Truncated, "table of snapshots"},
		{"extra data", base, func(e edited) { e.put32(e.entry(0)+snapExtraLenAt, 1<<31) }, fault.DamagedHeader, "extra data"},
		{"a long name", base, func(e edited) { e.put16(e.entry(0)+snapNameLenAt, 65535) }, fault.DamagedHeader, "65535"},
		{"a long id", base, func(e edited) { e.put16(e.entry(0)+snapIDLenAt, 65535) }, fault.DamagedHeader, "65535"},

		{"L1 aslant", base, func(e edited) { e.put64(e.entry(1)+snapL1At, 0x10010) }, fault.DamagedHeader, "L1 table at 0x10010"},
		{"no L1", base, func(e edited) { e.put64(e.entry(1)+snapL1At, 0) }, fault.DamagedHeader, "L1 table at 0x0"},
		{"L1 of millions", base, func(e edited) { e.put32(e.entry(1)+snapL1LenAt, 1<<31) }, fault.DamagedHeader, "2147483648 entries"},
		{"L1 too short", base, func(e edited) { e.put32(e.entry(1)+snapL1LenAt, 1) }, fault.DamagedHeader, "needs 2 entries"},
		{"a state of exabytes", base, func(e edited) { e.put64(e.entry(1)+snapHead+extraStateAt, 1<<62) }, fault.DamagedHeader, "state of"},
		{"a disk of exabytes", base, func(e edited) { e.put64(e.entry(1)+snapHead+extraDiskAt, 1<<63) }, fault.DamagedHeader, "disk of"},
		{"L1 outside", base, func(e edited) { e.put64(e.entry(1)+snapL1At, 1<<50) }, fault.Truncated, "all of the memory"},
		{"L2 outside", base, func(e edited) { e.put64(e.l1(1), 1<<50) }, fault.Truncated, "all of the memory"},
		{"L2 aslant", base, func(e edited) { e.put64(e.l1(1), uint64(e.l2(1)+512)) }, fault.DamagedHeader, "an L2 table at"},
		{"a cluster aslant", base, func(e edited) { e.put64(e.l2(1), uint64(e.offset(e.l2(1))+512)) }, fault.DamagedHeader, "a cluster at"},
		{"a cluster outside", base, func(e edited) { e.put64(e.l2(1), 1<<50) }, fault.Truncated, "all of the memory"},
		{"a compressed cluster outside", base, func(e edited) { e.put64(e.l2(1), flagCompressed|1<<50) }, fault.Truncated, "all of the memory"},
		{"zeros in version 2", two, func(e edited) { e.put64(e.l2(1), 1) }, fault.DamagedHeader, "version 2"},
		{"a part both there and zero", edited(fixture(t, "ext")), func(e edited) { e.put64(e.l2(1)+8, 1|1<<32) }, fault.DamagedHeader, "bitmap"},
	} {
		e := c.base.copy()
		c.edit(e)
		_, m, err := opened(e, "second")
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.code == fault.DiskUnsupported && strings.Contains(c.says, "another") && len(m.Snapshots) != 2 {
			t.Errorf("%s: its snapshots are not listed: %v", c.name, m.Snapshots)
		}
		if err != nil && len(err.Error()) > 300 {
			t.Errorf("%s: a sentence of %d bytes", c.name, len(err.Error()))
		}
	}
}

// Tables that are the same over and over describe a state of any size: the work
// is bounded by the file's size all the same.
func TestTablesThatPointToThemselves(t *testing.T) {
	for _, to := range []string{"L1", "L2"} {
		e := edited(fixture(t, "c512")).copy()
		entry := e.entry(1)
		// An L1 table of its own at the end of the file, which covers 64 GiB.
		const entries = maxL1
		at := (len(e) + 511) &^ 511
		e = append(e, make([]byte, at-len(e)+8*entries)...)
		target := e.l2(1)
		if to == "L1" {
			target = at
		}
		e.put64(entry+snapL1At, uint64(at))
		e.put32(entry+snapL1LenAt, entries)
		e.put64(entry+snapHead+extraDiskAt, 0)
		e.put64(entry+snapHead+extraStateAt, entries*512*64)
		for i := range entries {
			e.put64(at+8*i, uint64(target))
		}
		if _, _, err := opened(e, "second"); !fault.Is(err, fault.DamagedHeader) && !fault.Is(err, fault.Truncated) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// Clusters that are not there, or said to be zeros, are zeros.
func TestZeros(t *testing.T) {
	for _, name := range []string{"c64k", "ext"} {
		for _, entry := range []uint64{0, 1} {
			e := edited(fixture(t, name)).copy()
			e.put64(e.l2(1), entry)
			n := 1 << 16
			if name == "ext" {
				n = 1 << 14
				e.put64(e.l2(1)+8, entry*0xffffffff<<32)
			}
			s, _, err := opened(e, "second")
			if err != nil {
				t.Fatal(name, err)
			}
			want := append(make([]byte, n), second[n:]...)
			if got := all(t, s); !bytes.Equal(got, want) {
				t.Errorf("%s with %d: other bytes", name, entry)
			}
		}
	}
	e := edited(fixture(t, "c64k")).copy()
	e.put64(e.l1(1), 0)
	s, _, err := opened(e, "second")
	if err != nil || !bytes.Equal(all(t, s), make([]byte, len(second))) {
		t.Error("no L2 table:", err)
	}
}

// Parts of a cluster, each with its own bit.
func TestSubclusters(t *testing.T) {
	e := edited(fixture(t, "ext")).copy()
	at := e.l2(1)
	const bitmap = 0xa5f00ff1
	e.put64(at+8, bitmap|uint64(^uint32(bitmap))<<32&^(1<<33)) // part 1: neither allocated nor zero
	s, _, err := opened(e, "second")
	if err != nil {
		t.Fatal(err)
	}
	want := slices.Clone(second)
	for i := range subclusters {
		if uint32(bitmap)>>i&1 == 0 {
			clear(want[i*512 : (i+1)*512])
		}
	}
	if got := all(t, s); !bytes.Equal(got, want) {
		t.Error("other bytes")
	}
}

// Version 2 has no extra data: the size of the state is 32 bits, the disk's the
// header's.
func TestWithoutExtraData(t *testing.T) {
	e := edited(fixture(t, "v2")).copy()
	entry := e.entry(1)
	extra := e.get32(entry + snapExtraLenAt)
	e.put32(entry+snapExtraLenAt, 0)
	e.put32(snapshotsAt, 2)
	copy(e[entry+snapHead:], e[entry+snapHead+extra:][:100])
	if s, _, err := opened(e, "second"); err != nil || !bytes.Equal(all(t, s), second) {
		t.Error(err)
	}
}

// ahead moves the snapshot table and the L1 table of a snapshot, which QEMU writes
// last, to the front: where the reference counts are, which nobody reads here.
func (e edited) ahead(n int) edited {
	cluster := 1 << e.get32(clusterBitsAt)
	entry := e.entry(n)
	l1, size := e.get64(entry+snapL1At), 8*e.get32(entry+snapL1LenAt)
	copy(e[2*cluster:3*cluster], e[l1:l1+size])
	e.put64(entry+snapL1At, uint64(2*cluster))
	from := e.get64(snapshotsOffAt)
	copy(e[cluster:2*cluster], e[from:])
	e.put64(snapshotsOffAt, uint64(cluster))
	return e
}

// Where an image is cut, what is there of the state is given, and the rest is
// counted.
func TestTruncated(t *testing.T) {
	for _, name := range []string{"c64k", "ext", "v2", "deflate", "zstd"} {
		whole := edited(fixture(t, name)).copy().ahead(0)
		step := 1024 + 137
		snapshot, want := "before", first
		if name == "deflate" || name == "zstd" {
			snapshot, want = "packed", second
		}
		parts := 0
		for n := len(whole) - 1; n > 0; n -= step {
			s, m, err := opened(whole[:n], snapshot)
			if err != nil {
				if s.Size != 0 || !fault.Is(err, fault.Truncated) && !fault.Is(err, fault.DamagedHeader) && !fault.Is(err, fault.OtherFormat) && !fault.Is(err, fault.SnapshotChoice) {
					t.Fatalf("%s cut at %d: %v", name, n, err)
				}
				continue
			}
			got := all(t, s)
			if !bytes.Equal(got, want[:len(got)]) {
				t.Fatalf("%s cut at %d: other bytes", name, n)
			}
			if len(got) == len(want) {
				continue // what was cut is not the state's
			}
			parts++
			if len(m.Warnings) != 1 || m.Warnings[0].Code != fault.Truncated || !strings.Contains(m.Warnings[0].Text, "bytes of the state") {
				t.Fatalf("%s cut at %d: %v", name, n, m.Warnings)
			}
		}
		if parts < 4 {
			t.Errorf("%s was opened in part %d times", name, parts)
		}
	}
}

// Clusters need not follow one another.
func TestClustersInAnyOrder(t *testing.T) {
	e := edited(fixture(t, "v2")).copy()
	const n = 4096
	at := e.l2(1)
	for i := 0; i < 28; i += 2 {
		one, two := e.offset(at+8*i), e.offset(at+8*i+8)
		for j := range n {
			e[one+j], e[two+j] = e[two+j], e[one+j]
		}
		e.put64(at+8*i, uint64(two))
		e.put64(at+8*i+8, uint64(one))
	}
	var in seen
	if _, err := Opener(in.open)(context.Background(), streamed(inMemory(e)), machine.Options{Snapshot: "second"}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(all(t, in.source), second) || !bytes.Equal(scanned(t, in.source, 0, in.source.Size), second) {
		t.Error("other bytes")
	}
}

// An L2 table that is cut gives what its entries describe.
func TestCutTable(t *testing.T) {
	e := edited(fixture(t, "v2")).copy()
	const n = 4096
	e = append(e, make([]byte, -len(e)&(n-1))...)
	end := len(e)
	e = append(e, e[e.l2(1):][:5*8]...)
	e.put64(e.l1(1), uint64(end))
	s, m, err := opened(e, "second")
	if err != nil || s.Size != 5*n || !bytes.Equal(all(t, s), second[:5*n]) || len(m.Warnings) != 1 {
		t.Error(err, s.Size, m.Warnings)
	}
}

// The byte for the way of compression is nothing without its feature.
func TestCompressionWithoutItsFeature(t *testing.T) {
	e := edited(fixture(t, "deflate")).copy()
	e.put8(compressionAt, compressionZstd)
	if s, _, err := opened(e, "packed"); err != nil || !bytes.Equal(all(t, s), second) {
		t.Error(err)
	}
}

// The names of snapshots are bounded together.
func TestTableOfLongNames(t *testing.T) {
	e := edited(fixture(t, "c64k")).copy()
	e = append(e, make([]byte, -len(e)&0xffff)...)
	const entry = snapHead + maxText
	count := maxTable/entry + 2
	e.put64(snapshotsOffAt, uint64(len(e)))
	e.put32(snapshotsAt, uint32(count))
	for range count {
		at := len(e)
		e = append(e, make([]byte, entry)...)
		e.put16(at+snapNameLenAt, maxText)
	}
	if _, _, err := opened(e, ""); !fault.Is(err, fault.DamagedHeader) || !strings.Contains(err.Error(), "of its snapshots take up") {
		t.Error(err)
	}
}

// A compressed cluster that is damaged fails when it is read.
func TestDamagedCompression(t *testing.T) {
	for _, name := range []string{"deflate", "zstd"} {
		e := edited(fixture(t, name)).copy()
		at := e.get64(e.l2(0)) & (1<<(70-e.get32(clusterBitsAt)) - 1)
		for i := range 64 {
			e[at+i] ^= 0xff
		}
		s, _, err := opened(e, "packed")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Full(make([]byte, 10), 0); !fault.Is(err, fault.DamagedHeader) || !strings.Contains(err.Error(), "cannot be unpacked") {
			t.Error(name, err)
		}
	}
}

// The cache of unpacked clusters holds no more than it may.
func TestPackedCache(t *testing.T) {
	for bits, most := range map[uint]int{9: packedCount, 21: 2} {
		cluster := int64(1) << bits
		var file bytes.Buffer
		for range packedCount + 10 {
			z, err := flate.NewWriter(&file, flate.BestSpeed)
			if err != nil {
				t.Fatal(err)
			}
			z.Write(make([]byte, cluster))
			z.Close()
			file.Write(make([]byte, -file.Len()&(1<<14-1)))
		}
		s := inMemory(file.Bytes())
		st := &state{image: &image{file: s, cluster: cluster}}
		for at := int64(0); at < s.Size; at += 1 << 14 {
			for range 2 {
				if _, err := st.unpacked(place{kind: packed, at: at, file: 1 << 14}); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := len(st.cache.clusters); n != most {
			t.Errorf("clusters of 2^%d: %d are held", bits, n)
		}
	}
}

func TestCorrupt(t *testing.T) {
	e := edited(fixture(t, "c64k")).copy()
	e.put64(incompatibleAt, featureCorrupt|featureDirty)
	_, m, err := opened(e, "second")
	if err != nil || len(m.Warnings) != 1 || m.Warnings[0].Code != fault.DamagedCopy {
		t.Error(m, err)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var in seen
	_, err := Opener(in.open)(ctx, inMemory(fixture(t, "c64k")), machine.Options{Snapshot: "second"})
	if !fault.Is(err, fault.Cancelled) || in.asked {
		t.Error(err)
	}
}

// seeds are small images, one of each form.
func seeds(t testing.TB) (list []edited) {
	image := func(bits uint) edited {
		return synth.QCOW2{ClusterBits: bits, Snapshots: []synth.QCOW2Snapshot{{ID: "1", Name: "other", State: first[:1500]}, {ID: "2", Name: "second", State: second[:3000]}}}.Bytes()
	}
	plain := image(9)
	old := plain.copy()
	old.put32(versionAt, 2)
	zeros := plain.copy()
	zeros.put64(zeros.l2(1), 1)
	// Compressed: a cluster's data in its place, the entry says so.
	packedIn := func(z bool) edited {
		e := plain.copy()
		var b bytes.Buffer
		if z {
			w, err := zstd.NewWriter(&b)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(bytes.Repeat([]byte{7}, 512))
			w.Close()
			e.put64(incompatibleAt, featureCompression)
			e.put32(headerLenAt, 112)
			e.put8(compressionAt, compressionZstd)
		} else {
			w, err := flate.NewWriter(&b, flate.BestCompression)
			if err != nil {
				t.Fatal(err)
			}
			w.Write(bytes.Repeat([]byte{7}, 512))
			w.Close()
		}
		at := e.offset(e.l2(1))
		if b.Len() > 512 {
			t.Fatal("no smaller than a cluster")
		}
		copy(e[at:], b.Bytes())
		e.put64(e.l2(1), flagCompressed|uint64(at))
		return e
	}
	extended := image(14)
	extended.put64(incompatibleAt, featureExtendedL2)
	at := extended.l2(1)
	extended.put64(at+8, 0x3f)
	return append(list, plain, old, zeros, packedIn(false), packedIn(true), extended)
}

// TestSeeds keeps the seeds readable, so that the fuzzer begins behind the checks.
func TestSeeds(t *testing.T) {
	for i, e := range seeds(t) {
		s, _, err := opened(e, "second")
		if err != nil || s.Size != 3000 {
			t.Errorf("%d: %v, %d bytes", i, err, s.Size)
			continue
		}
		if err := s.Full(make([]byte, s.Size), 0); err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// FuzzOpen reads whatever opens, in two ways that must agree.
func FuzzOpen(f *testing.F) {
	for _, e := range seeds(f) {
		f.Add([]byte(e), "second")
	}
	f.Fuzz(func(t *testing.T, data []byte, snapshot string) {
		var in seen
		m, err := Opener(in.open)(context.Background(), streamed(inMemory(data)), machine.Options{Snapshot: snapshot})
		if err != nil || !in.asked {
			if err == nil || m != nil && m.Mem != nil {
				t.Fatal(m, err)
			}
			return
		}
		s := in.source
		n := min(s.Size, 1<<16)
		one := make([]byte, n)
		failed := s.Full(one, 0)
		var two []byte
		err = s.Scan(0, n, make([]byte, 5000), func(p []byte) error { two = append(two, p...); return nil })
		if (failed == nil) != (err == nil) {
			t.Fatal(failed, err)
		}
		if failed == nil && !bytes.Equal(one, two) {
			t.Fatal("read and streamed differ")
		}
		if failed != nil && fault.As(failed).Code == fault.Internal {
			t.Fatal(failed)
		}
	})
}
