//go:build js && wasm && !lean

package main

import (
	"context"
	"syscall/js"
	"time"

	"coredrop/core/source"
)

func init() { more["debug"] = (*session).debug }

// debug takes the File of a vmlinux or of a module's .ko.debug: stacks and reports
// get their source lines when its build ID is the core's. It is read by ranges,
// and stays in use as long as the core.
func (s *session) debug(args []js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		began := time.Now()
		c, err := s.look(ctx) // why it is no dump does not matter here
		if c == nil || ctx.Err() != nil {
			return nil, err
		}
		file, name := newBlobReader(args[0]), args[0].Get("name").String()
		file.ctx = ctx
		err = c.Debug(ctx, source.Source{ReaderAt: file, Size: file.size, Name: name})
		if ctx.Err() != nil {
			return nil, err
		}
		file.ctx = context.Background() // it outlives this job
		s.sink.Logf("%s: %d reads, %d bytes", name, file.reads, file.bytes)
		return s.report("looked up lines", began, err)
	})
}
