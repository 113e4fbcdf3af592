package windows

import (
	"errors"

	"coredrop/core/mem"
)

// watched is physical memory that remembers the first failure of the file
// itself: a search takes an unreadable page for one that is not there, and must
// not blame the guest for it in the end.
type watched struct {
	mem.Physical
	err error
}

// ReadAt fills p from pa on.
func (w *watched) ReadAt(p []byte, pa mem.PA) error {
	err := w.Physical.ReadAt(p, pa)
	if err != nil && w.err == nil && !errors.Is(err, mem.ErrHole) {
		w.err = err
	}
	return err
}
