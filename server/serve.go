package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"coredrop/core/fault"
	"coredrop/server/cache"
	"coredrop/server/conns"
	"coredrop/server/diskstore"
	"coredrop/server/symbols"
	"coredrop/server/upstream"
)

const serveUsage = `usage: coredrop serve [flags]

Serves the page, and the kernels' PDBs from symbol stores and servers. Cores are
opened in the visitor's browser: there is no code here that could receive one.

`

const defaultAddress = "127.0.0.1:8080"

// The server's limits: no answer here needs a long request.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	shutdownTimeout   = 5 * time.Second
	stalled           = 30 * time.Second // of a client that takes nothing
)

// allowHTTPUsage is the help of the flag that convert, info, get and serve share.
const allowHTTPUsage = "a `HOST` that may be asked over plain http, on a network you trust; may be repeated.\nthis machine's own servers always may"

// texts is a flag that may be given more than once.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// runServe is `coredrop serve`.
func runServe(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	addr := set.String("addr", defaultAddress, "the `address` to listen on; others than this machine reach it only if you say so")
	base := set.String("base", "/", "the `path` the site is served under")
	cacheDir := set.String("cache", "", "the `directory` that keeps fetched PDBs (default: $CACHE_DIRECTORY, else the user's cache)")
	var stores, upstreams, redirects, allowHTTP texts
	set.Var(&allowHTTP, "allow-http", allowHTTPUsage)
	set.Var(&stores, "store", "a symbol store `directory` to read; may be repeated")
	set.Var(&upstreams, "upstream", "a symbol server's https `URL`; may be repeated; none: ask nobody (default "+upstream.Microsoft+")")
	set.Var(&redirects, "redirect-host", "a `host`, or .suffix, that upstreams may redirect to; may be repeated (default "+upstream.BlobHosts+")")
	files, code, done := parse(set, args, serveUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) > 0 {
		return usageError(stderr, "serve", "serve takes no files: they are opened in the browser")
	}
	path, err := cleanBase(*base)
	if err != nil {
		return usageError(stderr, "serve", "%v", err)
	}
	if len(upstreams) == 0 {
		upstreams = texts{upstream.Microsoft}
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	h := &symbols.Handler{Log: log, Base: ctx}
	defer h.Wait(shutdownTimeout) // its downloads end with ctx
	for _, dir := range stores {
		s, err := diskstore.New(dir)
		if err != nil {
			return fail(stderr, fault.Wrap(err, fault.SymbolsUnreadable, "could not read the store %s: %v", dir, reasonOf(err)))
		}
		h.Stores = append(h.Stores, s)
	}
	for _, url := range upstreams {
		if isNoSymbols(url) {
			continue
		}
		c := &upstream.Client{URL: url, AllowHTTP: allowHTTP, RedirectHosts: redirects, UserAgent: userAgent()}
		if err := c.Check(); err != nil {
			return fail(stderr, err)
		}
		h.Upstreams = append(h.Upstreams, c)
	}
	if h.Cache, err = openCache(cache.Options{Dir: *cacheDir}, len(h.Upstreams) > 0); err != nil {
		return fail(stderr, err)
	}
	if h.Cache != nil {
		if text := h.Cache.Warning(); text != "" {
			fmt.Fprintf(stderr, "coredrop: warning: %s\n", text)
		}
		go h.Cache.Maintain(ctx)
	}
	return listen(ctx, *addr, site{base: path, symbols: h}, stdout, stderr)
}

// listen serves a site until the context ends.
func listen(ctx context.Context, addr string, s site, stdout, stderr io.Writer) int {
	h, err := s.handler()
	if err != nil {
		return fail(stderr, err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		reason := err
		var op *net.OpError
		if errors.As(err, &op) {
			reason = op.Err // without the address once more
		}
		return fail(stderr, fault.Wrap(err, fault.BadOption, "could not listen on %s: %v", addr, reason).Hint("-addr 127.0.0.1:0 takes a port that is free"))
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
		fmt.Fprintf(stderr, "coredrop: warning: %s can be reached from other machines: they get the page and PDBs, nothing of yours\n", l.Addr())
	}
	fmt.Fprintf(stdout, "coredrop: serving on http://%s%s\n", reachable(l.Addr()), s.base)
	return serve(ctx, newServer(conns.Guard(h, stalled)), conns.Limit(l, maxConnections()), stderr)
}

// reachable gives the address to open in a browser on this machine.
func reachable(a net.Addr) string {
	if tcp, ok := a.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		return net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return a.String()
}

// newServer sets the limits. There is none for the whole answer: a PDB may be
// large and the way to the client slow.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ConnContext:                  conns.Context,
		DisableGeneralOptionsHandler: true, // OPTIONS * gets our headers too
	}
}

// serve runs a server until the context ends, and then until the requests in
// flight have their answers.
func serve(ctx context.Context, server *http.Server, l net.Listener, stderr io.Writer) int {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		stopped <- server.Shutdown(drain)
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fail(stderr, fault.Wrap(err, fault.Internal, "the server stopped: %v", err))
	}
	if err := <-stopped; err != nil {
		server.Close() // a client that does not end must not keep us
	}
	return exitDone
}
