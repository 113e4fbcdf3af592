package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"os/signal"
	"path"
	"strings"
	"sync"
	"syscall"

	"coredrop/core/fault"
	"coredrop/server/bucket"
	"coredrop/server/fleet"
)

// eachFlags are the flags of convert for many cores.
type eachFlags struct {
	each bool
	jobs int
}

const (
	defaultJobs = 2
	maxJobs     = 64
	// eachCache is how many bytes all conversions together keep of their cores, each
	// the least that its reader needs.
	eachCache = 24 << 20
)

// many converts what is below a prefix of a bucket and has no dump below another one.
func (o *convertFlags) many(ctx context.Context, from, to string, stdout, stderr io.Writer) int {
	in, err := prefix(from)
	if err != nil {
		return usageError(stderr, "convert", "%v", err)
	}
	out, err := prefix(to)
	if err != nil {
		return usageError(stderr, "convert", "%v", err)
	}
	store, err := o.opening.stores.store()
	if err != nil {
		return fail(stderr, err)
	}
	cores, err := coresBelow(ctx, store, in, out)
	if err != nil {
		return fail(stderr, err)
	}
	o.opening.cache = eachCache / int64(o.jobs)
	// Who reads the lines may leave: what was begun is ended then, before this ends.
	signal.Ignore(syscall.SIGPIPE)
	ctx, end := context.WithCancel(ctx)
	defer end()
	log := &sharedLog{w: stderr}
	print := json.NewEncoder(stdout)
	print.SetEscapeHTML(false)
	var failed error
	reported := false
	w := &fleet.Work{
		Parallel: o.jobs,
		Convert:  func(ctx context.Context, j fleet.Job) (fleet.Result, error) { return o.one(ctx, j, log) },
		Await: func(ctx context.Context, j fleet.Job) error {
			name, err := objectName(j.Dump)
			if err != nil {
				return err
			}
			return store.Await(ctx, name, o.force)
		},
		Report: func(r fleet.Result) {
			reported = true
			if err := print.Encode(r); err != nil && failed == nil {
				failed = err
				end()
			}
		},
	}
	done, err := w.Run(ctx, cores)
	switch {
	case failed != nil:
		return fail(stderr, fault.Wrap(failed, fault.OutputFailed, "could not write the standard output: %s", reasonOf(failed)).
			Instead(fault.Step{Text: "the dumps that were made stay; the next run does the others"}))
	case err != nil:
		return fail(stderr, err)
	case !done:
		return exitFailed
	case !reported:
		fmt.Fprintf(stderr, "coredrop: there is nothing to convert below %s\n", oneLine(in.String()))
	}
	return exitDone
}

// prefix reads the name of what is below it.
func prefix(name string) (bucket.Name, error) {
	n, err := bucket.ParsePrefix(name)
	if err != nil {
		return n, fmt.Errorf("-each takes what is below a name in a bucket, and where it goes: %w", err)
	}
	return n, nil
}

// coresBelow lists what is below in with the names of the dumps below out. What may be
// a dump of before is left out. A dump has its core's whole name in front where the
// short one could be another core's too. The bucket is listed twice: what is needed of
// the first time is two numbers for each core.
func coresBelow(ctx context.Context, store *bucket.Store, in, out bucket.Name) (iter.Seq2[fleet.Job, error], error) {
	seed := maphash.MakeSeed()
	names := map[uint64]bool{} // that a dump could have, by hash; true: more than one could
	list := func(visit func(rest, dump string) bool) error {
		for o, err := range store.List(ctx, in) {
			if err != nil {
				return err
			}
			rest := strings.TrimPrefix(o.Name.Key, in.Key)
			below := o.Name.Bucket == out.Bucket && strings.HasPrefix(o.Name.Key, out.Key)
			if o.Name.IsPrefix() || below && strings.HasSuffix(rest, ".dmp") {
				continue
			}
			dir, base := path.Split(rest)
			if !visit(rest, dir+fault.DumpName(base)) {
				return nil
			}
		}
		return nil
	}
	count := func(name string) {
		h := maphash.String(seed, name)
		_, names[h] = names[h]
	}
	err := list(func(rest, dump string) bool {
		count(dump)
		if whole := rest + ".dmp"; whole != dump {
			count(whole)
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	return func(yield func(fleet.Job, error) bool) {
		err := list(func(rest, dump string) bool {
			if names[maphash.String(seed, dump)] {
				dump = rest + ".dmp"
			}
			return yield(fleet.Job{Core: in.Join(rest).String(), Dump: out.Join(dump).String()}, nil)
		})
		if err != nil {
			yield(fleet.Job{}, err)
		}
	}, nil
}

// one converts one core of many.
func (o *convertFlags) one(ctx context.Context, job fleet.Job, log *sharedLog) (r fleet.Result, err error) {
	own := &convertFlags{symbols: o.symbols, compat: o.compat, kind: o.kind, registers: o.registers, force: o.force, opening: o.opening, begun: unlessTaken}
	t := newTerminal(io.Discard, false)
	if o.verbose {
		t.log = log.of(job.Core)
	}
	j, err := own.prepare(ctx, []string{job.Core, job.Dump}, nil, nil, t)
	if err != nil {
		return r, err
	}
	defer j.close()
	s, err := j.run(ctx)
	r.Bytes, r.Checksum, r.Warnings = j.made.bytes, j.made.checksum, s.Warnings
	if errors.Is(err, bucket.ErrEnded) {
		err = fmt.Errorf("%w: %w", fleet.ErrTaken, err)
	}
	return r, err
}

// unlessTaken ends an upload of an object that another run makes. Where that cannot be
// seen, the condition at the end decides.
func unlessTaken(ctx context.Context, u *bucket.Upload) error {
	switch mine, err := u.Claim(ctx); {
	case fault.Is(err, fault.OutputExists):
		return err
	case err == nil && !mine:
		return fleet.ErrTaken
	}
	return nil
}

// sharedLog is where several conversions write what they do, a whole line at a time.
type sharedLog struct {
	mu sync.Mutex
	w  io.Writer
}

// of gives the log of one of them.
func (l *sharedLog) of(name string) io.Writer { return &namedLog{l, name} }

type namedLog struct {
	*sharedLog
	name string
}

func (l *namedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, err := fmt.Fprintf(l.w, "%s: %s", oneLine(l.name), p); err != nil {
		return 0, err
	}
	return len(p), nil
}
