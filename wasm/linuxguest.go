//go:build js && wasm && !lean

package main

import (
	"context"
	"syscall/js"
	"time"
)

func init() {
	more["races"], more["linuxLog"] = (*session).races, (*session).linuxLog
}

// races gives the summary of a Linux core, or of the text of a kernel log, with
// its race reports.
func (s *session) races([]js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		began := time.Now()
		c, err := s.look(ctx) // why it is no dump does not matter here
		if c == nil || ctx.Err() != nil {
			return nil, err
		}
		_, err = c.Races(ctx)
		if ctx.Err() != nil {
			return nil, err
		}
		if err := s.sentinels.check(ctx, s.file); err != nil {
			return nil, err
		}
		return s.report("searched", began, err)
	})
}

// linuxLog gives the text of a Linux core's kernel log.
func (s *session) linuxLog([]js.Value) (any, error) {
	return s.work(func(ctx context.Context) (any, error) {
		c, err := s.look(ctx)
		if c == nil || ctx.Err() != nil {
			return nil, err
		}
		text, err := c.Log(ctx)
		if err != nil {
			return nil, err
		}
		return text, nil
	})
}
