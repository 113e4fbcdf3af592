package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
)

// ending lists the signals that end a command after it has cleaned up. A signal
// that was ignored from the start (nohup) stays so.
func ending() []os.Signal {
	var list []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			list = append(list, s)
		}
	}
	return list
}

// interruptible gives a context that the first ending signal cancels, and a
// function that, when all is cleaned up, raises that signal again, so that the
// shell sees what ended the command and stops its loop. A second signal has its
// usual effect at once, even where the first one waits for a dead disk.
func interruptible() (ctx context.Context, finish func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var first atomic.Value
	signals := make(chan os.Signal, 1)
	list := ending()
	if len(list) > 0 { // Notify takes no signal for every signal
		signal.Notify(signals, list...)
	}
	go func() {
		s := <-signals
		for s == syscall.SIGHUP && hangUpTaken.Load() {
			s = <-signals
		}
		first.Store(s)
		signal.Reset(list...)
		cancel()
	}()
	return ctx, func() {
		if s, ok := first.Load().(syscall.Signal); ok {
			raise(s)
		}
	}
}

// hangUpTaken says that SIGHUP has another meaning than the end.
var hangUpTaken atomic.Bool

// onHangUp calls f for each SIGHUP, which ends nothing then, also where it was
// ignored from the start, until the function it gives is called.
func onHangUp(f func()) (stop func()) {
	hangUpTaken.Store(true)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-signals:
				f()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(signals)
		hangUpTaken.Store(false)
		close(done)
	}
}

// await runs a call that may never come back, such as the opening of a FIFO that
// nobody writes to, until ctx ends. The call then goes on alone: the process
// ends soon.
func await[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		v, err := call()
		done <- outcome{v, err}
	}()
	select {
	case o := <-done:
		return o.v, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// untilDone reads r until ctx ends, even while a read of r does not come back.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	out, in := io.Pipe()
	go func() {
		_, err := io.Copy(in, r)
		in.CloseWithError(err)
	}()
	context.AfterFunc(ctx, func() { in.CloseWithError(context.Cause(ctx)) })
	return out
}
