package symstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"sync"

	"github.com/hack-pad/hackpadfs"

	"coredrop/core/fault"
)

const (
	// twoTiers is the file that says that a store has a level more: the first
	// two letters of the name.
	twoTiers  = "index2.txt"
	dirMode   = 0o777 // the user's umask decides
	fileMode  = 0o666
	copyBytes = 256 << 10
	// temporaries is how many temporary names of one key are tried: those of
	// programs that died stay occupied.
	temporaries = 1000
)

// Option changes how NewFS stores.
type Option func(*fsStore)

// Blocks stores each file as files of n bytes each and a small one, written
// last, that says how many. It is for file systems that hold a file only whole,
// as a browser's database does: a reader loads only the blocks that it needs.
// Files stored without it are read too.
func Blocks(n int) Option {
	return func(s *fsStore) { s.block = min(max(n, minBlock), maxBlock) }
}

// NewFS is the store in the root of a file system. It reads stores with one and
// two tiers and IDs in either case, and writes upper case.
func NewFS(fsys hackpadfs.FS, options ...Option) Store {
	s := &fsStore{fs: fsys, used: map[string]int{}}
	for _, o := range options {
		o(s)
	}
	return s
}

type fsStore struct {
	fs    hackpadfs.FS
	block int // 0: files in one piece

	mu   sync.Mutex     // makes choosing a temporary name and publishing one step
	used map[string]int // directories of blocks: how many have them open
}

// unreadable wraps what the file system says, unless it says more already.
func unreadable(err error, format string, args ...any) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) {
		return err
	}
	return fault.Wrap(err, fault.SymbolsUnreadable, "%s: %v", fmt.Sprintf(format, args...), reason(err))
}

// reason leaves away the path, which the sentence names.
func reason(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// Get opens a file.
func (s *fsStore) Get(ctx context.Context, k Key) (File, error) {
	if err := cancelled(ctx); err != nil {
		return nil, err
	}
	f, err := s.open(k.Name+"/"+k.ID, k, k.Name)
	if err != nil && errors.Is(err, fs.ErrNotExist) {
		f, err = s.find(ctx, k)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, unreadable(err, "%s could not be read", k)
	}
	return f, err
}

// open opens the file of a name in a directory.
func (s *fsStore) open(dir string, k Key, name string) (File, error) {
	if s.block != 0 {
		f, err := s.openBlocks(dir, k)
		if err == nil || !errors.Is(err, fs.ErrNotExist) {
			return f, err
		}
	}
	return s.openPlain(dir+"/"+name, k)
}

func (s *fsStore) openPlain(name string, k Key) (File, error) {
	f, err := s.fs.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close() // nothing was written
		return nil, err
	}
	if !info.Mode().IsRegular() {
		f.Close() // nothing was written
		return nil, fs.ErrNotExist
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		f.Close() // nothing was written
		return nil, fault.New(fault.SymbolsUnreadable, "%s is on a file system that cannot read at an offset", k)
	}
	return &plainFile{r, f, info.Size()}, nil
}

// plainFile is a file in one piece.
type plainFile struct {
	io.ReaderAt
	io.Closer
	size int64
}

// Size gives the length in bytes.
func (f *plainFile) Size() int64 { return f.size }

// find looks for other ways to write the key: lower case, mixed case, a second
// tier. Directories of a name are listed, the root is not: it may be large.
func (s *fsStore) find(ctx context.Context, k Key) (File, error) {
	names := []string{k.Name}
	if lower := strings.ToLower(k.Name); lower != k.Name {
		names = append(names, lower)
	}
	dirs := names
	if _, err := hackpadfs.Stat(s.fs, twoTiers); err == nil {
		for _, n := range names {
			dirs = append(dirs, n[:2]+"/"+n)
		}
		if lower := strings.ToLower(k.Name[:2]); lower != k.Name[:2] {
			dirs = append(dirs, lower+"/"+k.Name)
		}
	}
	packed := false
	for _, dir := range dirs {
		if err := cancelled(ctx); err != nil {
			return nil, err
		}
		ids, err := s.list(dir)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			if !strings.EqualFold(id, k.ID) {
				continue
			}
			inside := dir + "/" + id
			files, err := s.list(inside)
			if err != nil {
				return nil, err
			}
			for _, name := range files {
				if s.block != 0 && name == metaName(k) {
					name = k.Name // open looks for the description first
				}
				switch {
				case strings.EqualFold(name, k.Name):
					f, err := s.open(inside, k, name)
					if err == nil || !errors.Is(err, fs.ErrNotExist) {
						return f, err
					}
				case strings.EqualFold(name, k.compressed()):
					packed = true
				}
			}
		}
	}
	if packed {
		return nil, fault.New(fault.SymbolsCompressed, "the symbol store has %s only compressed (%s)", k.Name, k.compressed())
	}
	return nil, fmt.Errorf("%s: %w", k, fs.ErrNotExist)
}

// list gives the names in a directory; none when it is missing or a file.
func (s *fsStore) list(dir string) ([]string, error) {
	info, err := hackpadfs.Stat(s.fs, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	entries, err := hackpadfs.ReadDir(s.fs, dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// dir gives the directory that a key's file is written to.
func (s *fsStore) dir(k Key) string {
	if _, err := hackpadfs.Stat(s.fs, twoTiers); err == nil {
		return k.Name[:2] + "/" + k.Name + "/" + k.ID
	}
	return k.Name + "/" + k.ID
}

// Put stores what r gives.
func (s *fsStore) Put(ctx context.Context, k Key, r io.Reader) error {
	st, err := s.Stage(ctx, k, r)
	if err != nil {
		return err
	}
	return errors.Join(st.Publish(), st.Close())
}

// Stage takes in what r gives.
func (s *fsStore) Stage(ctx context.Context, k Key, r io.Reader) (Staged, error) {
	if err := cancelled(ctx); err != nil {
		return nil, err
	}
	source := &sourceReader{r: contextReader{ctx, r}}
	st, err := s.stagePlain, error(nil)
	if s.block != 0 {
		st = s.stageBlocks
	}
	staged, err := st(k, source)
	if source.err != nil {
		if staged != nil { // a source that fails with io.ErrUnexpectedEOF looks like an end
			source.err = errors.Join(source.err, staged.Close())
		}
		return nil, source.err
	}
	if err != nil {
		return nil, unreadable(err, "%s could not be stored", k)
	}
	return staged, nil
}

// sourceReader remembers the source's own failure, which must not be taken for
// the store's.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// plainStaged is a temporary file in the root of the store.
type plainStaged struct {
	File
	s         *fsStore
	k         Key
	temporary string
	closed    bool
	published bool
}

func (s *fsStore) stagePlain(k Key, r *sourceReader) (Staged, error) {
	name, w, err := s.temporary(k)
	if err != nil {
		return nil, err
	}
	err = copyTo(w, r)
	if err == nil {
		if err = hackpadfs.SyncFile(w); errors.Is(err, hackpadfs.ErrNotImplemented) {
			err = nil
		}
	}
	if closeErr := w.Close(); err == nil {
		err = closeErr
	}
	var f File
	if err == nil {
		f, err = s.openPlain(name, k)
	}
	if err != nil {
		return nil, errors.Join(err, hackpadfs.Remove(s.fs, name))
	}
	return &plainStaged{File: f, s: s, k: k, temporary: name}, nil
}

// temporary creates a file of a name that no key can have.
func (s *fsStore) temporary(k Key) (string, hackpadfs.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range temporaries {
		name := fmt.Sprintf(".%s-%s-%d", k.Name, k.ID, i)
		// Not every file system honours the exclusive flag, so look first.
		if _, err := hackpadfs.Stat(s.fs, name); err == nil {
			continue
		}
		f, err := hackpadfs.OpenFile(s.fs, name, hackpadfs.FlagWriteOnly|hackpadfs.FlagCreate|hackpadfs.FlagExclusive, fileMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		return name, f, err
	}
	return "", nil, fault.New(fault.SymbolsUnreadable, "the symbol store is full of unfinished files of %s", k.Name)
}

func copyTo(w hackpadfs.File, r io.Reader) error {
	buf := make([]byte, copyBytes)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if written, err := hackpadfs.WriteFile(w, buf[:n]); err != nil {
				return err
			} else if written < n {
				return io.ErrShortWrite
			}
		}
		switch err {
		case nil:
		case io.EOF, io.ErrUnexpectedEOF:
			return nil
		default:
			return err
		}
	}
}

// Publish renames the temporary file.
func (p *plainStaged) Publish() error {
	if p.closed {
		return fault.New(fault.Internal, "a file that is closed cannot be published")
	}
	if p.published {
		return nil
	}
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	dir := p.s.dir(p.k)
	// Some systems do not rename what is open.
	err := p.File.Close()
	if err == nil {
		err = hackpadfs.MkdirAll(p.s.fs, dir, dirMode)
	}
	if err == nil || errors.Is(err, fs.ErrExist) {
		err = hackpadfs.Rename(p.s.fs, p.temporary, dir+"/"+p.k.Name)
	}
	p.closed = true
	if err != nil {
		err = errors.Join(err, hackpadfs.Remove(p.s.fs, p.temporary))
		return unreadable(err, "%s could not be stored", p.k)
	}
	p.published = true
	p.s.syncDir(path.Dir(dir + "/" + p.k.Name))
	return nil
}

// syncDir makes a rename last through a power failure where that is possible; a
// cache that forgets one is no failure.
func (s *fsStore) syncDir(dir string) {
	if d, err := s.fs.Open(dir); err == nil {
		hackpadfs.SyncFile(d) // see above
		d.Close()             // nothing was written
	}
}

// Close throws the file away unless it was published.
func (p *plainStaged) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	return unreadable(errors.Join(p.File.Close(), hackpadfs.Remove(p.s.fs, p.temporary)), "%s could not be thrown away", p.k)
}
