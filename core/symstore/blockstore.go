package symstore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"github.com/hack-pad/hackpadfs"

	"coredrop/core/fault"
)

// Limits of a block's size, in bytes, and of what a description may claim.
const (
	minBlock     = 4 << 10
	maxBlock     = 16 << 20
	maxFileBytes = 16 << 30
	maxMeta      = 256
	// heldBlocks is how many blocks an open file keeps in memory.
	heldBlocks = 2
	metaFormat = "coredrop blocks 1\nsize %d\nblock %d\ngeneration %d\n"
)

// meta describes a file that is stored in blocks. Each time a key is stored the
// blocks go to a directory of a new generation, so that the old file stays whole
// until the description names the new one.
type meta struct {
	size       int64
	block      int64
	generation int
}

// metaName is the file with the description; no key can have this name.
func metaName(k Key) string { return k.Name + ".blocks" }

const generationPrefix = "blocks-"

func (m meta) dir(dir string) string {
	return fmt.Sprintf("%s/%s%d", dir, generationPrefix, m.generation)
}
func (m meta) path(dir string, i int64) string {
	return fmt.Sprintf("%s/%06d", m.dir(dir), i)
}
func (m meta) count() int64 { return (m.size + m.block - 1) / m.block }

// readMeta reads the description of a file; one that cannot be right counts as
// none.
func (s *fsStore) readMeta(dir string, k Key) (meta, error) {
	f, err := s.fs.Open(dir + "/" + metaName(k))
	if err != nil {
		return meta{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMeta))
	if err := errors.Join(err, f.Close()); err != nil {
		return meta{}, err
	}
	m := parseMeta(string(text))
	if fmt.Sprintf(metaFormat, m.size, m.block, m.generation) != string(text) ||
		m.size < 0 || m.size > maxFileBytes || m.block < minBlock || m.block > maxBlock || m.generation < 0 {
		return meta{}, fs.ErrNotExist
	}
	return m, nil
}

// parseMeta gives the numbers of a description; what is none has others than these,
// or another form. Scanning by format would cost the browser's program the scanner.
func parseMeta(text string) meta {
	var numbers []int64
	for _, word := range strings.Fields(text) {
		if n, err := strconv.ParseInt(word, 10, 64); err == nil {
			numbers = append(numbers, n)
		}
	}
	if len(numbers) != 4 { // the version and those of a meta
		return meta{size: -1}
	}
	return meta{size: numbers[1], block: numbers[2], generation: int(numbers[3])}
}

// blockFile reads a file that is stored in blocks.
type blockFile struct {
	s   *fsStore
	dir string
	k   Key
	m   meta

	mu     sync.Mutex
	closed bool
	held   []heldBlock // the latest last
}

type heldBlock struct {
	number int64
	data   []byte
}

func (s *fsStore) openBlocks(dir string, k Key) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, err := s.readMeta(dir, k)
	if err != nil {
		return nil, err
	}
	s.used[m.dir(dir)]++
	return &blockFile{s: s, dir: dir, k: k, m: m}, nil
}

// Size gives the length in bytes.
func (f *blockFile) Size() int64 { return f.m.size }

// Close lets go of the blocks.
func (f *blockFile) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	f.closed, f.held = true, nil
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	dir := f.m.dir(f.dir)
	if f.s.used[dir]--; f.s.used[dir] == 0 {
		delete(f.s.used, dir)
	}
	return nil
}

// ReadAt loads only the blocks that hold p.
func (f *blockFile) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return 0, fs.ErrClosed
	}
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= f.m.size {
			return done, io.EOF
		}
		data, err := f.blockAt(at / f.m.block)
		if err != nil {
			return done, err
		}
		done += copy(p[done:], data[at%f.m.block:])
	}
	return done, nil
}

func (f *blockFile) blockAt(number int64) ([]byte, error) {
	for i, h := range f.held {
		if h.number == number {
			f.held = append(append(f.held[:i:i], f.held[i+1:]...), h)
			return h.data, nil
		}
	}
	want := min(f.m.block, f.m.size-number*f.m.block)
	data, err := f.load(number, want)
	if err != nil {
		return nil, unreadable(err, "block %d of %s could not be read", number, f.k)
	}
	if len(f.held) == heldBlocks {
		f.held = f.held[1:]
	}
	f.held = append(f.held, heldBlock{number, data})
	return data, nil
}

func (f *blockFile) load(number, want int64) ([]byte, error) {
	file, err := f.s.fs.Open(f.m.path(f.dir, number))
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != want {
		return nil, fmt.Errorf("it has %d bytes instead of %d", info.Size(), want)
	}
	data := make([]byte, want)
	if _, err := io.ReadFull(file, data); err != nil {
		return nil, err
	}
	return data, nil
}

// blockStaged is a generation whose blocks are there but that no description
// names yet.
type blockStaged struct {
	*blockFile
	done bool // published or thrown away
}

func (s *fsStore) stageBlocks(k Key, r *sourceReader) (Staged, error) {
	dir := s.dir(k)
	m, err := s.generation(dir)
	if err != nil {
		return nil, err
	}
	m.block = int64(s.block)
	st := &blockStaged{blockFile: &blockFile{s: s, dir: dir, k: k, m: m}}
	for i := int64(0); ; i++ {
		// Not reused: some file systems keep the slice they are given.
		data := make([]byte, s.block)
		n, err := io.ReadFull(r, data)
		if n > 0 && (err == nil || err == io.ErrUnexpectedEOF) {
			st.m.size += int64(n)
			if writeErr := s.writeFile(m.path(dir, i), data[:n:n]); writeErr != nil {
				return nil, errors.Join(writeErr, st.Close())
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return st, nil
		}
		if err == nil && st.m.size > maxFileBytes {
			err = fault.New(fault.SymbolsUnreadable, "%s is larger than a symbol file may be", k)
		}
		if err != nil {
			return nil, errors.Join(err, st.Close())
		}
	}
}

// generation makes the directory of a generation that nobody else has.
func (s *fsStore) generation(dir string) (meta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := hackpadfs.MkdirAll(s.fs, dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return meta{}, err
	}
	for i := range temporaries {
		m := meta{generation: i}
		err := hackpadfs.Mkdir(s.fs, m.dir(dir), dirMode)
		if err == nil {
			s.used[m.dir(dir)]++
		}
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return m, err
		}
	}
	return meta{}, fault.New(fault.SymbolsUnreadable, "the symbol store is full of unfinished files")
}

func (s *fsStore) writeFile(name string, data []byte) error {
	f, err := hackpadfs.OpenFile(s.fs, name, hackpadfs.FlagWriteOnly|hackpadfs.FlagCreate|hackpadfs.FlagTruncate, fileMode)
	if err != nil {
		return err
	}
	n, err := hackpadfs.WriteFile(f, data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	return errors.Join(err, f.Close())
}

// Publish writes the description: to a temporary name first, because a file
// system may show a file before all of it is written.
func (b *blockStaged) Publish() error {
	if b.done {
		return nil
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	err := b.publish()
	if err == nil {
		b.done = true
		b.sweep()
	}
	return unreadable(err, "%s could not be stored", b.k)
}

func (b *blockStaged) publish() error {
	// Another program may have swept the blocks away while they were written.
	for i := range b.m.count() {
		if _, err := hackpadfs.Stat(b.s.fs, b.m.path(b.dir, i)); err != nil {
			return err
		}
	}
	temporary := b.m.dir(b.dir) + "/meta"
	text := fmt.Sprintf(metaFormat, b.m.size, b.m.block, b.m.generation)
	if err := b.s.writeFile(temporary, []byte(text)); err != nil {
		return err
	}
	return hackpadfs.Rename(b.s.fs, temporary, b.dir+"/"+metaName(b.k))
}

// sweep removes the other generations: the last file, and what programs that
// died left, but not what this one has open. What cannot be removed stays.
func (b *blockStaged) sweep() {
	names, err := b.s.list(b.dir)
	if err != nil {
		return
	}
	for _, n := range names {
		number, ours := strings.CutPrefix(n, generationPrefix)
		if _, err := strconv.Atoi(number); ours && err == nil && b.s.used[b.dir+"/"+n] == 0 {
			b.s.removeGeneration(b.dir + "/" + n)
		}
	}
}

func (s *fsStore) removeGeneration(dir string) {
	names, err := s.list(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		hackpadfs.Remove(s.fs, dir+"/"+n) // see sweep
	}
	hackpadfs.Remove(s.fs, dir) // see sweep
}

// Close throws the blocks away unless they were published.
func (b *blockStaged) Close() error {
	if !b.done {
		b.done = true
		b.s.removeGeneration(b.m.dir(b.dir))
	}
	return b.blockFile.Close()
}
