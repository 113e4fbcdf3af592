//go:build js && wasm

package main

import (
	"context"
	"sync"
	"syscall/js"
	"time"

	"coredrop/core"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/source"
)

// session is the one file that is open, and the case that is made of it. The
// page opens one at a time; whatever runs holds busy.
type session struct {
	mu        sync.Mutex
	cancelJob context.CancelFunc // nil: nothing runs

	file      *blobReader
	source    source.Source
	sink      progress.Sink
	marked    *blobReader // the file with the mark behind its end
	snapshot  string      // the id of the one that is wanted of a disk image; "": the only one
	symbols   symbols
	opened    *core.Case // nil: not looked into yet
	judged    bool       // with the kernel's PDB
	image     *dmp.Image
	sentinels sentinels
}

// job runs one piece of work under a context that cancel ends. A second one
// while it runs is refused.
func (s *session) job(f func(ctx context.Context) (any, error)) (any, error) {
	s.mu.Lock()
	if s.cancelJob != nil {
		s.mu.Unlock()
		return nil, fault.New(fault.Busy, "")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancelJob = cancel
	s.mu.Unlock()
	defer func() {
		cancel()
		s.mu.Lock()
		s.cancelJob = nil
		s.mu.Unlock()
	}()
	v, err := f(ctx)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return v, err
}

// work is a job on the open file.
func (s *session) work(f func(ctx context.Context) (any, error)) (any, error) {
	return s.job(func(ctx context.Context) (any, error) {
		if s.file == nil { // the worker is new
			return nil, fault.New(fault.InputUnreadable, "no core is open in this worker: open it again")
		}
		s.file.ctx = ctx
		v, err := f(ctx)
		// What the core made of a failed read does not matter: the file is not what
		// was opened, so nothing made of it is right.
		if s.file.changed != nil {
			return nil, s.file.changed
		}
		return v, err
	})
}

// open takes a File, the same with a mark behind its end, a function for progress
// (stage, done, total), one for lines of the log, and the id of a disk image's
// snapshot or "", and forgets what was open before.
func (s *session) open(args []js.Value) (any, error) {
	file, marked, onProgress, onLine := args[0], args[1], args[2], args[3]
	return s.job(func(ctx context.Context) (any, error) {
		s.file = newBlobReader(file)
		s.file.ctx = ctx
		s.source = source.Source{ReaderAt: s.file, Size: s.file.size, Name: file.Get("name").String(), Stream: s.file.stream}
		s.sink = progress.Sink{
			OnProgress: func(stage string, done, total int64) {
				s.file.yield()
				onProgress.Invoke(stage, float64(done), float64(total))
			},
			OnLine: func(line string) { onLine.Invoke(line) },
		}
		s.snapshot = args[4].String()
		s.symbols.sink = s.sink
		s.opened, s.judged, s.image, s.sentinels = nil, false, nil, sentinels{}
		if err := s.sentinels.take(s.file, fileEnds(s.file.size)); err != nil {
			return nil, err
		}
		// Firefox cannot read a Blob of this kind where the file is a multiple of
		// 4 GiB long: then nothing says that it grew.
		s.marked = newBlobReader(marked)
		if err := s.sentinels.take(s.marked, []int64{s.file.size}); err != nil {
			s.sink.Logf("no mark behind the end of the file: %v", err)
		}
		return nil, nil
	})
}

// give takes the File of a PDB; it is used for the core that was inspected, and
// kept in the browser's cache. One that is not its kernel's is refused.
func (s *session) give(args []js.Value) (any, error) {
	return s.work(func(context.Context) (any, error) {
		if s.opened == nil {
			return nil, fault.New(fault.InputUnreadable, "the core was not inspected in this worker: open it again")
		}
		return nil, s.symbols.give(newBlobReader(args[0]), args[0].Get("name").String(), s.opened.Summary().Symbols.Key)
	})
}

// look gives the case, opened once. Symbols are used without asking the network:
// only when the kernel's PDB is here. So a PDB that nobody has asked for is no
// warning.
func (s *session) look(ctx context.Context) (*core.Case, error) {
	var err error
	if s.opened == nil {
		c, failure := core.Open(ctx, s.source, core.Options{Snapshot: s.snapshot, Sink: s.sink})
		if ctx.Err() != nil {
			return nil, failure
		}
		s.opened, err = c, failure
	} else {
		err = s.opened.Cannot()
	}
	key := s.opened.Summary().Symbols.Key
	if key == "" || s.judged {
		return s.opened, err
	}
	s.symbols.open(ctx)
	if s.symbols.have(ctx, key) {
		err = s.opened.Use(ctx, &s.symbols)
		s.judged = ctx.Err() == nil
	}
	return s.opened, err
}

// report logs what a job cost and gives the summary as it is by now.
func (s *session) report(what string, began time.Time, err error) (any, error) {
	s.sink.Logf("%s in %d ms, %d reads, %d bytes", what, time.Since(began).Milliseconds(), s.file.reads, s.file.bytes)
	return summaryOut(s.opened.Summary(), err)
}

// inspect gives the summary without asking the network: PDBs that were given or
// are in the browser's cache are used. Where the argument is true it has the
// stacks of all threads too, named by every PDB that is here.
func (s *session) inspect(args []js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		s.image = nil
		began := time.Now()
		c, err := s.look(ctx)
		if c == nil || ctx.Err() != nil {
			return nil, err
		}
		if len(args) > 0 && args[0].Truthy() {
			if _, err = c.Stacks(ctx, true); ctx.Err() != nil {
				return nil, err
			}
		}
		if err := s.sentinels.take(s.file, runStarts(c.Summary())); err != nil {
			return nil, err
		}
		return s.report("inspected", began, err)
	})
}

// fetchSymbols asks the page's own server for the PDB that inspect named; the
// argument is the address of the server's symbols. The page calls it when its
// user agreed.
func (s *session) fetchSymbols(args []js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		if s.opened == nil {
			return nil, fault.New(fault.InputUnreadable, "no core is open in this worker: open it again")
		}
		return nil, s.symbols.fetch(ctx, args[0].String(), s.opened.Summary().Symbols.Key)
	})
}

// convert takes {compat, type} and gives the summary with the dump in it.
func (s *session) convert(args []js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		o, err := optionsIn(args[0])
		if err != nil {
			return nil, err
		}
		s.image = nil
		began := time.Now()
		c, err := s.look(ctx)
		if c == nil || ctx.Err() != nil {
			return nil, err
		}
		image, err := c.Convert(ctx, o)
		if err != nil {
			return nil, err
		}
		if err := s.sentinels.take(s.file, patchedPages(image, c.Summary())); err != nil {
			return nil, err
		}
		s.image = image
		return s.report("described", began, nil)
	})
}

// cancel ends what runs; that answers for itself.
func (s *session) cancel([]js.Value) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancelJob != nil {
		s.cancelJob()
	}
	return nil, nil
}

// statistics gives how the file was read: {reads, bytes, largest}.
func (s *session) statistics([]js.Value) (any, error) {
	if s.file == nil {
		return js.ValueOf(map[string]any{"reads": 0, "bytes": 0, "largest": 0}), nil
	}
	return js.ValueOf(map[string]any{"reads": s.file.reads, "bytes": s.file.bytes, "largest": s.file.largest}), nil
}

// unchanged reads the sentinels again and fails with file-changed.
func (s *session) unchanged([]js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		return nil, s.sentinels.check(ctx, s.file)
	})
}
