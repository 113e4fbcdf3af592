package symstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/hack-pad/hackpadfs"

	"coredrop/core/fault"
)

const (
	dirMode   = 0o777 // the user's umask decides
	fileMode  = 0o666
	copyBytes = 256 << 10
	// temporaries is how many temporary names of one key are tried: those of
	// programs that died stay occupied.
	temporaries = 1000
)

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

// Unfinished reports whether a file in the root of a store without Blocks has a
// name that only Stage gives: of a file that is being stored, or of one whose
// program died.
func Unfinished(name string) bool {
	rest, hidden := strings.CutPrefix(name, ".")
	number := strings.LastIndexByte(rest, '-')
	id := strings.LastIndexByte(rest[:max(number, 0)], '-')
	if !hidden || id < 0 {
		return false
	}
	_, ok := newKey(rest[:id], rest[id+1:number])
	n, err := strconv.Atoi(rest[number+1:])
	return ok && err == nil && n >= 0 && n < temporaries
}

// temporary creates a file of a name that no key can have; Unfinished knows it.
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
	p.s.syncDir(dir)
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
