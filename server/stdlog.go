package main

import (
	"io"
	"log"
	"log/slog"
)

// What Go's own packages log is led into our log: net/http's client reports an
// upstream that sends more than it announced with 4 KB of what it sent, and its
// server a handler that panics with the stack.
const (
	clientText = 200
	serverText = 8 << 10
)

// shortLines logs what is written to it, as far as the limit.
type shortLines struct {
	log   *slog.Logger
	limit int
}

func (s shortLines) Write(p []byte) (int, error) {
	text := p
	if len(text) > s.limit {
		text = text[:s.limit]
	}
	s.log.Warn("net/http", "text", string(text)) // the handler quotes what is not text
	return len(p), nil
}

// leadStandardLog leads package log into l until the function it gives is called.
func leadStandardLog(l *slog.Logger) (restore func()) {
	was, flags := log.Writer(), log.Flags()
	set := func(w io.Writer, flags int) {
		log.SetOutput(w)
		log.SetFlags(flags)
	}
	set(shortLines{l, clientText}, 0)
	return func() { set(was, flags) }
}

// serverLog is the ErrorLog of an http.Server.
func serverLog(l *slog.Logger) *log.Logger { return log.New(shortLines{l, serverText}, "", 0) }
