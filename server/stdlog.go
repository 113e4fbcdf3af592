package main

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
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

// scanned begins a line about a client that does not speak TLS as we do: strangers
// try, and the line has their address.
const scanned = "http: TLS handshake error"

func (s shortLines) Write(p []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(p, []byte(scanned)) {
		level = slog.LevelDebug
	}
	text := p[:min(len(p), s.limit)]
	s.log.Log(context.Background(), level, "net/http", "text", strings.TrimSpace(string(text))) // the handler quotes what is not text
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
