package qcow2

import (
	"bytes"
	"io"
	"math/bits"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"coredrop/core/fault"
)

// The entries of L1 and L2 tables. Source: QEMU docs/interop/qcow2.txt, "Cluster
// mapping" and "Extended L2 Entries".
const (
	offsetMask     = 0x00fffffffffffe00
	flagCompressed = 1 << 62
	flagZeros      = 1 << 0 // version 3, without subclusters
	subclusters    = 32     // of a cluster, with extended L2 entries
	sector         = 512    // of a compressed cluster
)

// kind is how the file holds a range.
type kind uint8

const (
	zeros kind = iota // not at all, or said to be zero
	data
	packed // compressed, with the rest of its cluster
)

// place is where a range of the state is.
type place struct {
	kind  kind
	bytes int64 // of the state
	at    int64 // in the file
	file  int64 // bytes in the file; 0: none
}

// place finds the range at off, of at most n bytes and within one L2 table: what
// lies together is one range.
func (st *state) place(off, n int64) (place, error) {
	covers := int64(st.covers())
	table, err := st.table(st.index + uint64(off/covers))
	if err != nil {
		return place{}, err
	}
	n = min(n, covers-off%covers)
	if table == 0 {
		return place{kind: zeros, bytes: n}, nil
	}
	var all place
	for all.bytes < n {
		next, err := st.piece(table, off+all.bytes, n-all.bytes)
		switch {
		case err != nil && all.bytes > 0:
			return all, nil // the error comes again, at the place where it is
		case err != nil:
			return place{}, err
		case all.bytes == 0:
			all = next
		case all.kind == packed || next.kind != all.kind || all.kind == data && next.at != all.at+all.bytes:
			return all, nil
		default:
			all.bytes, all.file = all.bytes+next.bytes, all.file+next.file
		}
		if all.kind == packed {
			break
		}
	}
	return all, nil
}

// table gives the offset of an L2 table, 0 where there is none.
func (st *state) table(index uint64) (uint64, error) {
	var e [8]byte
	if err := st.read(e[:], st.l1+8*index, "an L1 table"); err != nil {
		return 0, err
	}
	at := be.Uint64(e[:]) & offsetMask
	if at%uint64(st.cluster) != 0 {
		return 0, damaged("an L2 table at %#x, in entry %d of the L1 table of the snapshot %s", at, index, st.label())
	}
	return at, nil
}

// piece reads the L2 entry for off: at most n bytes of one cluster.
func (st *state) piece(table uint64, off, n int64) (place, error) {
	within := off % st.cluster
	n = min(n, st.cluster-within)
	var e [16]byte
	if err := st.read(e[:st.entry], table+uint64(off%int64(st.covers())/st.cluster*st.entry), "an L2 table"); err != nil {
		return place{}, err
	}
	entry := be.Uint64(e[:])
	if entry&flagCompressed != 0 {
		// Bits 0 to x-1: offset; from x to 61: sectors that follow the first one.
		x := 70 - st.clusterBits
		at := entry & (1<<x - 1)
		more := entry &^ (3 << 62) >> x
		return place{kind: packed, bytes: n, at: int64(at), file: int64(more+1)*sector - int64(at%sector)}, nil
	}
	at := entry & offsetMask
	if at%uint64(st.cluster) != 0 {
		return place{}, damaged("a cluster at %#x, in the L2 table at %#x", at, table)
	}
	if st.entry == 16 {
		return st.subcluster(at, be.Uint64(e[8:]), within, n)
	}
	switch zero := entry&flagZeros != 0; {
	case zero && st.version == 2:
		return place{}, damaged("a cluster of zeros, which version 2 has not, in the L2 table at %#x", table)
	case zero || at == 0:
		return place{kind: zeros, bytes: n}, nil
	}
	return place{kind: data, bytes: n, at: int64(at) + within, file: n}, nil
}

// subcluster reads the bitmap of an extended entry: bits 0 to 31 say which of the
// 32 parts are allocated, 32 to 63 which are zeros.
func (st *state) subcluster(at, bitmap uint64, within, n int64) (place, error) {
	part := st.cluster / subclusters
	first := uint(within / part)
	allocated, zero := uint32(bitmap), uint32(bitmap>>32)
	if allocated&zero != 0 || allocated != 0 && at == 0 {
		return place{}, damaged("the bitmap of a cluster is %#x, its place %#x", bitmap, at)
	}
	// How many parts from here on are like the first one.
	like := allocated >> first
	p := place{kind: zeros}
	if like&1 != 0 {
		p.kind, p.at, like = data, int64(at)+within, ^like
	}
	same := min(int64(bits.TrailingZeros32(like)), subclusters-int64(first))
	p.bytes = min(n, same*part-within%part)
	if p.kind == data {
		p.file = p.bytes
	}
	return p, nil
}

// What bounds the unpacked clusters that are held.
const (
	packedBudget = 4 << 20 // bytes
	packedCount  = 64
)

// packedCache holds the latest clusters that were unpacked.
type packedCache struct {
	mu       sync.Mutex
	clusters []cluster // the latest last
	zstd     *zstd.Decoder
}

type cluster struct {
	at   int64 // in the file
	data []byte
}

// unpacked gives a whole compressed cluster, which nobody may change.
func (st *state) unpacked(from place) ([]byte, error) {
	c := &st.cache
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.clusters) - 1; i >= 0; i-- {
		if found := c.clusters[i]; found.at == from.at {
			c.clusters = append(append(c.clusters[:i], c.clusters[i+1:]...), found)
			return found.data, nil
		}
	}
	// The last sector need not be there whole.
	raw := make([]byte, max(0, min(from.file, st.file.Size-from.at)))
	if err := st.file.Full(raw, from.at); err != nil {
		return nil, err
	}
	out := make([]byte, st.cluster)
	if err := c.unpack(out, raw, st.zstd); err != nil {
		return nil, fault.Wrap(err, fault.DamagedHeader, "the disk image is damaged: the compressed cluster at %#x cannot be unpacked: %v", from.at, err)
	}
	if n := int64(len(c.clusters)); n > 0 && (n >= packedCount || (n+1)*st.cluster > packedBudget) {
		c.clusters = append(c.clusters[:0], c.clusters[1:]...)
	}
	c.clusters = append(c.clusters, cluster{from.at, out})
	return out, nil
}

// unpack fills out; what follows in the last sector is no concern.
func (c *packedCache) unpack(out, raw []byte, isZstd bool) error {
	if !isZstd {
		_, err := io.ReadFull(flate.NewReader(bytes.NewReader(raw)), out)
		return err
	}
	if c.zstd == nil {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(2<<maxClusterBits), zstd.WithDecoderMaxMemory(2<<maxClusterBits))
		if err != nil {
			return err
		}
		c.zstd = d
	}
	if err := c.zstd.Reset(bytes.NewReader(raw)); err != nil {
		return err
	}
	_, err := io.ReadFull(c.zstd, out)
	return err
}
