package cache

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/diskstore"
)

const (
	copyBytes = 128 << 10
	// roomBytes is what is made room for where the length is not known.
	roomBytes = 64 << 20
)

// Taken is a file that was taken in. It must be closed; Get opens it too if it
// was kept.
type Taken struct {
	symstore.File
	// Unkept is why it was not kept, "" if it was.
	Unkept string
}

// Take keeps what r gives, of size bytes, -1 if that is not known, once verify
// has nothing against it. What the disk does not take is held in memory: the
// source is read once, whatever happens. Errors: of the source and of verify, as
// they are; server-busy and symbols-unreadable, if there is no memory either.
func (c *Cache) Take(k symstore.Key, r io.Reader, size int64, verify func(symstore.File) error) (Taken, error) {
	s := c.begin(k, size)
	if s.memory != nil && size > c.o.Held {
		return Taken{}, c.tooLarge()
	}
	err := s.fill(r)
	if err == nil {
		err = verify(s)
	}
	if err != nil {
		s.Close() // the error that is known says more
		return Taken{}, err
	}
	s.publish()
	return Taken{s, s.unkept}, nil
}

// staged is a file that is taken in: in a temporary file, or in memory.
type staged struct {
	c         *Cache
	k         symstore.Key
	announced int64

	root    *os.Root
	file    *os.File // nil: memory has it
	name    string   // of the temporary file; "": it has another name, or none
	size    int64
	retried bool // room was made once
	memory  *memory
	unkept  string
}

func (c *Cache) begin(k symstore.Key, size int64) *staged {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &staged{c: c, k: k, announced: size}
	if c.o.Budget > 0 && c.owned && size > c.o.Budget/10*keepOf {
		s.unkept = "it is larger than the cache"
	}
	if c.refuses() {
		s.unkept = c.reason
	}
	if s.unkept == "" {
		var err error
		if s.file, s.name, err = c.create(); err != nil && full(err) && c.evict(s.wanted()) > 0 {
			s.retried = true
			s.file, s.name, err = c.create()
		}
		if err != nil {
			c.refuse(err)
			s.unkept = c.reason
		}
		s.root = c.root
	}
	if s.file == nil {
		s.memory = &memory{c: c}
	}
	return s
}

// wanted is how much room the file still needs.
func (s *staged) wanted() int64 {
	if s.announced > s.size {
		return s.announced - s.size
	}
	return roomBytes
}

// fill reads the source to its end.
func (s *staged) fill(r io.Reader) error {
	buf := make([]byte, copyBytes)
	for {
		n, err := r.Read(buf)
		if writeErr := s.write(buf[:n]); writeErr != nil {
			return writeErr
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// write takes more in. When the disk is full, room is made, once.
func (s *staged) write(p []byte) error {
	for s.file != nil && len(p) > 0 {
		n, err := s.file.Write(p)
		s.size += int64(n)
		p = p[n:]
		if err == nil || full(err) && s.makeRoom() {
			continue
		}
		if err := s.leaveDisk(err); err != nil {
			return err
		}
	}
	if s.memory == nil {
		return nil
	}
	n, err := s.memory.Write(p)
	s.size += int64(n)
	return err
}

// makeRoom removes other files for this one; false: it did so before, or cannot.
func (s *staged) makeRoom() bool {
	if s.retried {
		return false
	}
	s.retried = true
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.c.evict(s.wanted()) > 0
}

// leaveDisk goes on in memory with what is on the disk already.
func (s *staged) leaveDisk(reason error) error {
	s.notKept(reason)
	s.memory = &memory{c: s.c}
	defer s.dropFile()
	_, err := io.Copy(s.memory, io.NewSectionReader(s.file, 0, s.size))
	var said *fault.Error
	if err != nil && !errors.As(err, &said) {
		return fault.Wrap(err, fault.SymbolsUnreadable, "%s could not be stored: %v", s.k, diskstore.Reason(err))
	}
	return err
}

// notKept notes why the disk has not got the file; it is not tried for a while.
func (s *staged) notKept(reason error) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.refuse(reason)
	s.unkept = s.c.reason
}

// dropFile lets go of the file on the disk, and of its temporary name.
func (s *staged) dropFile() {
	if s.file == nil {
		return
	}
	if s.name != "" {
		s.root.Remove(s.name) // else it is swept one day
		s.name = ""
	}
	s.file.Close() // it was synced, or nobody needs it
	s.file = nil
}

// publish gives the file its name. Where that fails, it is passed on from where
// it is.
func (s *staged) publish() {
	if s.file == nil {
		return
	}
	err := s.file.Sync()
	if full(err) && s.makeRoom() {
		err = s.file.Sync()
	}
	var dir string
	for again := true; err == nil; again = false {
		dir, err = s.rename()
		if err != nil && again && (missing(err) || full(err) && s.makeRoom()) {
			err = nil // another program removed the empty directory, or there is room now
			continue
		}
		break
	}
	if err != nil {
		s.notKept(err)
		s.root.Remove(s.name) // what is open can still be read
		s.name = ""
		return
	}
	s.name = ""
	// It lasts through a power failure where that is possible; a cache that
	// forgets a name is no failure.
	if d, err := s.root.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

// closedToRename says that a file must be closed before it gets another name.
const closedToRename = runtime.GOOS == "windows"

// rename moves the file to its place, and gives the directory of it.
func (s *staged) rename() (string, error) {
	s.c.mu.Lock() // nothing removes the empty directory meanwhile
	defer s.c.mu.Unlock()
	at := s.c.path(s.k)
	dir := path.Dir(at)
	if err := s.root.MkdirAll(dir, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	if closedToRename {
		s.file.Close() // it was synced
	}
	err := s.root.Rename(s.name, at)
	if closedToRename {
		name := at
		if err != nil {
			name = s.name
		}
		var openErr error
		if s.file, openErr = s.root.Open(name); openErr != nil {
			return "", openErr
		}
	}
	if err != nil {
		return "", err
	}
	s.c.taken()
	now := time.Now()
	s.c.add(&file{fold: fold(s.k), path: at, bytes: s.size, used: now, noted: now})
	s.c.shrink()
	return dir, nil
}

// Size gives the length in bytes.
func (s *staged) Size() int64 { return s.size }

// ReadAt reads what was taken in.
func (s *staged) ReadAt(p []byte, off int64) (int, error) {
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	return s.memory.ReadAt(p, off)
}

// Close lets go of the file: it is gone unless it was kept.
func (s *staged) Close() error {
	if s.memory != nil {
		s.memory.Close() // it cannot fail
	}
	s.dropFile()
	return nil
}
