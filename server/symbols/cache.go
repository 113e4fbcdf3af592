package symbols

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"

	"coredrop/core/symstore"
)

const probePrefix = ".coredrop-probe-"

// PrepareCache makes the directory of a cache and makes sure that it can be
// written to: else each file would be fetched anew for each client. It removes
// what programs that were killed left half stored.
func PrepareCache(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	probe, err := os.CreateTemp(dir, probePrefix+"*")
	if err != nil {
		return err
	}
	_, err = probe.WriteString("a full disk shows when something is written\n")
	if err := errors.Join(err, probe.Close(), os.Remove(probe.Name())); err != nil {
		return err
	}
	return sweep(dir, time.Now().Add(-fetchLimit))
}

// sweep removes the unfinished files in the root of a store that nothing was
// written to since: another server may be writing to the others.
func sweep(dir string, since time.Time) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !symstore.Unfinished(e.Name()) && !strings.HasPrefix(e.Name(), probePrefix) {
			continue
		}
		if info, err := e.Info(); err == nil && info.ModTime().Before(since) {
			os.Remove(filepath.Join(dir, e.Name())) // else it stays, which only costs space
		}
	}
	return nil
}
