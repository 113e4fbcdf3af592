package source

import "sync"

// Trouble is the first read of a source that failed. A search may take a failing
// read for a page that is not there; the user must not.
type Trouble struct {
	mu  sync.Mutex
	err error
}

// Err gives the first failure as a *fault.Error; nil: every read succeeded.
func (t *Trouble) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *Trouble) note(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
}

// Watch gives the same source with the first read that fails remembered, of the
// file itself or of one opened beside it. A read that reaches beyond the
// announced end is one of those: callers know the size.
func Watch(s Source) (Source, *Trouble) {
	t := &Trouble{}
	return watch(s, t), t
}

func watch(s Source, t *Trouble) Source {
	w := s
	if s.ReaderAt != nil {
		w.ReaderAt = watched{s, t}
	}
	if s.Stream != nil {
		w.Stream = func(off, n int64, buf []byte, visit func([]byte) error) error {
			var stop error
			err := s.Scan(off, n, buf, func(p []byte) error {
				stop = visit(p)
				return stop
			})
			if err != nil && stop == nil {
				t.note(err)
			}
			return err
		}
	}
	if s.Beside != nil {
		w.Beside = func(ext string) (Source, error) {
			b, err := s.Beside(ext)
			return watch(b, t), err
		}
	}
	return w
}

// watched is the reader of a watched source.
type watched struct {
	s Source
	t *Trouble
}

// ReadAt reads from the source.
func (w watched) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.s.ReadAt(p, off)
	if n < len(p) {
		w.t.note(w.s.failed(err, off+int64(n)))
	}
	return n, err
}
