package kdump

import (
	"bytes"
	"context"
	"io"
	"testing"

	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/source"
	"coredrop/core/source/remotetest"
	"coredrop/core/synth"
)

// packedApart is a kdump core whose packed blocks each begin a block of the source.
type packedApart struct {
	head   []byte // up to the packed blocks
	packed [][]byte
}

func (f *packedApart) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(f.head)) {
		copy(p, f.head[off:])
	}
	for i, b := range f.packed {
		if at := f.at(i) - off; at > -int64(len(b)) && at < int64(len(p)) {
			copy(p[max(at, 0):], b[max(-at, 0):])
		}
	}
	if left := f.at(len(f.packed)) - off; left < int64(len(p)) {
		return int(left), io.EOF
	}
	return len(p), nil
}

func (f *packedApart) at(i int) int64 { return int64(i+1) * remotetest.Block }

// farKDump takes the packed blocks of a core apart.
func farKDump(k synth.KDump, blocks int) source.Source {
	data := k.Bytes()
	rows := int64(4096) * (1 + int64(le.Uint32(data[0x1b0:])) + int64(le.Uint32(data[0x1b4:])))
	f := &packedApart{head: data[:rows+int64(blocks*descriptorBytes)]}
	for i := range blocks {
		d := data[rows+int64(i*descriptorBytes):]
		at, n := le.Uint64(d), le.Uint32(d[8:])
		f.packed = append(f.packed, bytes.Clone(data[at:][:n]))
		le.PutUint64(d, uint64(f.at(i)))
	}
	return source.Source{ReaderAt: f, Size: f.at(blocks), Name: "core"}
}

// TestFarBlocks: where each read is a journey, the descriptors of the blocks that
// will be read come together, and then the blocks.
func TestFarBlocks(t *testing.T) {
	const blocks = 64
	k := synth.KDump{Runs: []mem.Run{{Start: 0x100000, Pages: blocks}}, Machine: "x86_64", CPUs: 1, OwnZeros: true,
		Block: func(n uint64) []byte { return synth.Noise(n, mem.PageSize) }}
	s, count := remotetest.Of(farKDump(k, blocks))
	m, err := Open(context.Background(), s, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := *count
	frame := func(i int) mem.PA { return 0x100000 + mem.PA(i*37%blocks*mem.PageSize) } // in no order
	for range 2 {                                                                      // the second time all is at hand
		ahead := mem.NewAhead(m.Mem, blocks+2, func(m mem.Physical, i int) { _ = m.ReadAt(make([]byte, 8), frame(i)) })
		for i := range blocks {
			ahead.To(i)
			got := make([]byte, mem.PageSize)
			if err := m.Mem.ReadAt(got, frame(i)); err != nil || !bytes.Equal(got, k.Block(uint64(frame(i))/mem.PageSize)) {
				t.Fatalf("block %d: %v", i, err)
			}
		}
	}
	spent := remotetest.Remote{Rounds: count.Rounds - before.Rounds, Requests: count.Requests - before.Requests}
	spent.Within(t, "64 blocks", blocks/source.DefaultAhead, blocks)

	// Frames that the core does not hold are asked for in vain.
	if n := m.Mem.Prefetch().Frames([]mem.PA{0x1000, 0x2000}); n != 2 || count.Rounds != before.Rounds+spent.Rounds {
		t.Errorf("%d frames of nothing, %d rounds", n, count.Rounds)
	}
	near, err := Open(context.Background(), farKDump(k, blocks), machine.Options{})
	if err != nil || near.Mem.Prefetch() != nil {
		t.Error("there is something to gain in a file at hand", err)
	}
}

// TestFarDescriptors: descriptors that lie apart are named before they are read, all
// at once.
func TestFarDescriptors(t *testing.T) {
	const blocks = 20_000 // some 15 pieces of the cache have their descriptors
	k := synth.KDump{Runs: []mem.Run{{Start: 0x100000, Pages: blocks}}, Machine: "x86_64", CPUs: 1,
		Codec: func(uint64) synth.Codec { return synth.Snappy },
		Block: func(n uint64) []byte { return bytes.Repeat([]byte{byte(n), 1}, mem.PageSize/2) }}
	s := synth.Source(k.Bytes())
	var named [][]source.Range
	s.Block, s.Ahead, s.Prefetch = 4096, 64, func(list []source.Range) { named = append(named, list) }
	m, err := Open(context.Background(), s, machine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	named = nil
	var frames []mem.PA
	for i := range 12 {
		frames = append(frames, 0x100000+mem.PA(i*blocks/16*mem.PageSize))
	}
	n := m.Mem.Prefetch().Frames(frames)
	if n != len(frames) || len(named) != 2 || len(named[0]) < 8 || len(named[1]) != len(frames) {
		t.Fatalf("%d frames, %d ranges named", n, len(named))
	}
	for _, r := range named[0] {
		if r.Off >= named[1][0].Off {
			t.Errorf("%#x is no descriptor's place", r.Off)
		}
	}
}
