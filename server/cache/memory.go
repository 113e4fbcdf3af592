package cache

import (
	"io"
	"sync"

	"coredrop/core/fault"
)

// pieceBytes is how much memory a file takes at a time: what is announced is not
// what comes.
const pieceBytes = 1 << 20

// memory is a file that the disk did not take. Its pieces count until it is
// closed.
type memory struct {
	c      *Cache
	pieces [][]byte // all full but the last
	size   int64
	once   sync.Once
}

// Write takes more in, as far as the cache's budget goes.
func (m *memory) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		last := len(m.pieces) - 1
		if last < 0 || len(m.pieces[last]) == pieceBytes {
			if err := m.c.hold(m.size); err != nil {
				return done, err
			}
			m.pieces = append(m.pieces, make([]byte, 0, pieceBytes))
			last++
		}
		n := min(len(p)-done, pieceBytes-len(m.pieces[last]))
		m.pieces[last] = append(m.pieces[last], p[done:done+n]...)
		done += n
		m.size += int64(n)
	}
	return done, nil
}

// ReadAt reads what was taken in.
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at := off + int64(done)
		if at >= m.size {
			return done, io.EOF
		}
		done += copy(p[done:], m.pieces[at/pieceBytes][at%pieceBytes:])
	}
	return done, nil
}

// Size gives the length in bytes.
func (m *memory) Size() int64 { return m.size }

// Close gives the memory back.
func (m *memory) Close() error {
	m.once.Do(func() {
		m.c.mu.Lock()
		defer m.c.mu.Unlock()
		m.c.held -= int64(len(m.pieces)) * pieceBytes
		m.pieces, m.size = nil, 0
	})
	return nil
}

// hold takes a piece of the budget for a file that has so many bytes already.
func (c *Cache) hold(has int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if has+pieceBytes > c.o.Held {
		return c.tooLarge()
	}
	if c.held+pieceBytes > c.o.Held {
		return fault.New(fault.ServerBusy, "this server's cache takes no files, and too many are on their way")
	}
	c.held += pieceBytes
	return nil
}

func (c *Cache) tooLarge() error {
	return fault.New(fault.SymbolsUnreadable, "the file has more than %d bytes, and the cache takes none", c.o.Held/pieceBytes*pieceBytes)
}
