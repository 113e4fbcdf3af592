package symstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"github.com/hack-pad/hackpadfs"

	"coredrop/core/fault"
)

// twoTiers is the file that says that a store has a level more: the first two
// letters of the name.
const twoTiers = "index2.txt"

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
// two tiers, names and IDs in any case, and writes IDs in upper case.
func NewFS(fsys hackpadfs.FS, options ...Option) Stager {
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

// reason leaves away the path, which the sentence names, and which the proxy's
// clients are not to see.
func reason(err error) error {
	var link *hackpadfs.LinkError
	if errors.As(err, &link) {
		return link.Err
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// missing reports whether an error says that there is no such file; a file where
// a directory should be, as when a PDB lies loose beside the store, is no file
// of the store either.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, hackpadfs.ErrNotDir)
}

// Get opens a file.
func (s *fsStore) Get(ctx context.Context, k Key) (File, error) {
	if err := cancelled(ctx); err != nil {
		return nil, err
	}
	f, err := s.open(k.Name+"/"+k.ID, k, k.Name)
	if missing(err) {
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
		if !missing(err) {
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
// tier.
func (s *fsStore) find(ctx context.Context, k Key) (File, error) {
	dirs, err := s.dirs(k)
	if err != nil {
		return nil, err
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
					if !missing(err) {
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

// dirs lists the directories that have a key's name, in any case: symbol stores
// come from systems that do not tell Ntkrnlmp.pdb from ntkrnlmp.pdb.
func (s *fsStore) dirs(k Key) ([]string, error) {
	root, err := s.list(".")
	if err != nil {
		return nil, err
	}
	var dirs, tiers []string
	two := false
	for _, name := range root {
		switch {
		case strings.EqualFold(name, k.Name):
			dirs = append(dirs, name)
		case strings.EqualFold(name, k.Name[:2]):
			tiers = append(tiers, name)
		case strings.EqualFold(name, twoTiers):
			two = true
		}
	}
	if !two {
		return dirs, nil
	}
	for _, tier := range tiers {
		names, err := s.list(tier)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.EqualFold(name, k.Name) {
				dirs = append(dirs, tier+"/"+name)
			}
		}
	}
	return dirs, nil
}

// list gives the names in a directory; none when it is missing or a file.
func (s *fsStore) list(dir string) ([]string, error) {
	info, err := hackpadfs.Stat(s.fs, dir)
	if missing(err) || err == nil && !info.IsDir() {
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
