package pdb

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"

	"coredrop/core/fault"
)

// msf is the container: a file cut into blocks, and streams that are lists of
// blocks. Only the sizes of the streams are kept; the lists stay in the file.
type msf struct {
	cache     cache
	blockSize int64
	blocks    uint32 // how many blocks the file has
	dirBytes  uint32
	count     uint32   // streams
	sizes     []uint32 // of the streams that a 16-bit number can name
}

// openMSF reads the superblock and the streams' sizes.
func openMSF(r io.ReaderAt, size int64) (*msf, error) {
	m := &msf{cache: cache{r: r, size: size}}
	head, err := m.superblock()
	if err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	blockSize := le.Uint32(head[msfBlockSize:])
	m.blocks = le.Uint32(head[msfNumBlocks:])
	m.dirBytes = le.Uint32(head[msfDirBytes:])
	m.blockSize = int64(blockSize)
	switch {
	case bits.OnesCount32(blockSize) != 1 || blockSize < 512 || blockSize > chunkBytes:
		return nil, damaged("its block size is %d", blockSize)
	case int64(m.blocks)*m.blockSize > size:
		return nil, damaged("it ends early: %d of %d bytes are there", size, int64(m.blocks)*m.blockSize)
	case m.dirBytes < 4 || int64(m.dirBytes) > size:
		return nil, damaged("its stream directory has %d bytes", m.dirBytes)
	}
	// The lists of the directory's own blocks must have room in the superblock.
	lists := m.blocksOf(uint32(m.blocksOf(m.dirBytes) * 4))
	if msfBlockMap+4*lists > m.blockSize {
		return nil, damaged("its stream directory has %d bytes", m.dirBytes)
	}
	return m, m.readSizes()
}

// superblock gives the first bytes of the file when they are those of an MSF
// 7.00 file; what else they may be is named.
func (m *msf) superblock() ([]byte, error) {
	head := []byte{}
	if m.cache.size > 0 {
		var err error
		if head, err = m.cache.view(0, int(min(m.cache.size, magicBytes))); err != nil {
			return nil, err
		}
	}
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts(CabMagic):
		return nil, fault.New(fault.SymbolsCompressed, "")
	case starts(msfzMagic):
		return nil, fault.New(fault.SymbolsNotAPDB, "this PDB is in the compressed form MSFZ, which is not supported")
	case starts(oldMagic):
		return nil, fault.New(fault.SymbolsNotAPDB, "this PDB is of the old form 2.00, which is not supported")
	case len(head) == 0:
		return nil, fault.New(fault.SymbolsNotAPDB, "the symbol file is empty")
	case starts(Magic) && len(head) >= msfSuperBytes:
		return head, nil
	case starts(Magic[:24]):
		return nil, damaged("its superblock ends early")
	}
	return nil, fault.New(fault.SymbolsNotAPDB, "this file is not a PDB")
}

// blocksOf gives how many blocks hold n bytes.
func (m *msf) blocksOf(n uint32) int64 {
	if n == absentStream {
		return 0
	}
	return (int64(n) + m.blockSize - 1) / m.blockSize
}

// block gives n bytes at within of a block, after checking its number.
func (m *msf) block(number uint32, within int64, n int) ([]byte, error) {
	if number >= m.blocks {
		return nil, damaged("block %d of %d", number, m.blocks)
	}
	return m.cache.view(int64(number)*m.blockSize+within, n)
}

// word reads a 32-bit word of a block.
func (m *msf) word(number uint32, within int64) (uint32, error) {
	p, err := m.block(number, within, 4)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(p), nil
}

// dirWord reads the directory's word at off, a multiple of four: through the
// superblock to the list of lists, to the list, to the directory's block.
func (m *msf) dirWord(off int64) (uint32, error) {
	if off < 0 || off+4 > int64(m.dirBytes) {
		return 0, damaged("its stream directory ends early")
	}
	list := off / m.blockSize * 4 // where the block's number stands in the lists
	at, err := m.word(0, msfBlockMap+list/m.blockSize*4)
	if err != nil {
		return 0, err
	}
	number, err := m.word(at, list%m.blockSize)
	if err != nil {
		return 0, err
	}
	return m.word(number, off%m.blockSize)
}

// readSizes reads the directory's head. Streams that no 16-bit number names are
// counted only.
func (m *msf) readSizes() error {
	count, err := m.dirWord(0)
	if err != nil {
		return err
	}
	if int64(count) > int64(m.dirBytes-4)/4 {
		return damaged("its stream directory ends before the sizes of %d streams", count)
	}
	m.count = count
	// Grown as it is read: a sparse file may claim more than it holds.
	for i := range min(int64(count), noStream) {
		size, err := m.dirWord(4 + 4*i)
		if err != nil {
			return err
		}
		m.sizes = append(m.sizes, size)
	}
	return nil
}

// stream is one stream: its length and where its block list begins in the
// directory.
type stream struct {
	m      *msf
	number uint32
	size   uint32
	list   int64
}

// stream opens a stream by its number.
func (m *msf) stream(number uint32) (*stream, error) {
	if int64(number) >= int64(len(m.sizes)) || m.sizes[number] == absentStream {
		return nil, damaged("it has no stream %d", number)
	}
	s := &stream{m: m, number: number, size: m.sizes[number], list: 4 + 4*int64(m.count)}
	for _, size := range m.sizes[:number] {
		s.list += 4 * m.blocksOf(size)
	}
	need := m.blocksOf(s.size)
	if s.list+4*need > int64(m.dirBytes) {
		return nil, ends(number, "its block list reaches beyond the directory")
	}
	if need > int64(m.blocks) {
		return nil, ends(number, "it is larger than the file")
	}
	return s, nil
}

// readAt fills p from off on; what names the part for the message.
func (s *stream) readAt(p []byte, off int64, what string) error {
	if off < 0 || off+int64(len(p)) > int64(s.size) {
		return ends(s.number, what)
	}
	bs := s.m.blockSize
	for len(p) > 0 {
		number, err := s.m.dirWord(s.list + off/bs*4)
		if err != nil {
			return err
		}
		n := min(len(p), int(bs-off%bs))
		if number >= s.m.blocks {
			return damaged("stream %d has the block %d of %d", s.number, number, s.m.blocks)
		}
		data, err := s.m.block(number, off%bs, n)
		if err != nil {
			return err
		}
		copy(p, data)
		p, off = p[n:], off+int64(n)
	}
	return nil
}
