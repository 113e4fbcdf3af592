package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"coredrop/core/fault"
	"coredrop/server/admin"
	"coredrop/server/cache"
	"coredrop/server/diskstore"
	"coredrop/server/symbols"
	"coredrop/server/upstream"
)

const serveUsage = `usage: coredrop serve [flags]

Serves the page, and the kernels' PDBs from symbol stores and servers. Cores are
opened in the visitor's browser: there is no code here that could receive one.
docs/operate.md tells how it is left running.

`

const defaultAddress = "127.0.0.1:8080"

// allowHTTPUsage is the help of the flag that convert, info, get and serve share.
const allowHTTPUsage = "a `HOST` that may be asked over plain http, on a network you trust; may be repeated.\nthis machine's own servers always may"

// texts is a flag that may be given more than once.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// serveFlags are the flags of serve.
type serveFlags struct {
	addr, base, cache, admin, tlsCert, tlsKey, log string
	drain                                          time.Duration
	clients                                        int
	stores, upstreams, redirects, allowHTTP        texts
}

func (f *serveFlags) define(set *flag.FlagSet) {
	set.StringVar(&f.addr, "addr", defaultAddress, "the `address` to listen on; others than this machine reach it only if you say so")
	set.StringVar(&f.admin, "admin", "", "an `address` of this machine, or a Unix socket, for /readyz, /metrics, /debug/pprof and /refresh")
	set.Var(&f.allowHTTP, "allow-http", allowHTTPUsage)
	set.StringVar(&f.base, "base", "/", "the `path` the site is served under")
	set.StringVar(&f.cache, "cache", "", "the `directory` that keeps what was fetched (default: $CACHE_DIRECTORY, else the user's cache)")
	set.StringVar(&f.log, "log", logText, "the log's `form`: text or json")
	set.IntVar(&f.clients, "max-clients", defaultClients, "how `many` connections there may be at once; the limit of open files may make it less")
	set.Var(&f.redirects, "redirect-host", "a `host`, or .suffix, that upstreams may redirect to; may be repeated (default "+upstream.BlobHosts+")")
	set.DurationVar(&f.drain, "shutdown-timeout", defaultDrain, "how `long` what was begun may go on when the server is to end")
	set.Var(&f.stores, "store", "a symbol store `directory` to read; may be repeated")
	set.StringVar(&f.tlsCert, "tls-cert", "", "the `file` of a certificate chain, PEM: serve https; SIGHUP loads it again")
	set.StringVar(&f.tlsKey, "tls-key", "", "the `file` of its key, PEM")
	set.Var(&f.upstreams, "upstream", "a symbol server's https `URL`; may be repeated; none: ask nobody (default "+upstream.Microsoft+")")
}

// The forms of the log.
const (
	logText = "text"
	logJSON = "json"
)

// check gives what is wrong with the flags themselves, and puts the base in form.
func (f *serveFlags) check() (err error) {
	switch {
	case f.log != logText && f.log != logJSON:
		return fmt.Errorf("-log is %s or %s, not %q", logText, logJSON, f.log)
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key belong together")
	case f.clients < 1:
		return fmt.Errorf("-max-clients is at least 1, not %d", f.clients)
	case f.drain <= 0:
		return fmt.Errorf("-shutdown-timeout is longer than nothing, not %v", f.drain)
	}
	f.base, err = cleanBase(f.base)
	return err
}

func (f *serveFlags) logger(w io.Writer) *slog.Logger {
	if f.log == logJSON {
		return slog.New(slog.NewJSONHandler(w, nil))
	}
	return slog.New(slog.NewTextHandler(w, nil))
}

// runServe is `coredrop serve`.
func runServe(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	var f serveFlags
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.define(set)
	files, code, done := parse(set, args, serveUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) > 0 {
		return usageError(stderr, "serve", "serve takes no files: they are opened in the browser")
	}
	if err := f.check(); err != nil {
		return usageError(stderr, "serve", "%v", err)
	}
	log := f.logger(stderr)
	// The downloads outlive ctx: what was begun may end.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	h, err := f.symbolServer(base, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	h.Log = log
	ready := &admin.Readiness{Check: h.Ready}
	s := service{
		site: site{base: f.base, symbols: h, ready: ready},
		addr: f.addr, admin: f.admin, private: &admin.Handler{Ready: ready, Refresh: h.Refresh},
		clients: f.clients, drain: f.drain, cut: cut, log: log,
	}
	if f.tlsCert != "" {
		if s.tls, err = newCertificate(f.tlsCert, f.tlsKey); err != nil {
			return fail(stderr, err)
		}
	}
	return s.run(ctx, stdout, stderr)
}

// symbolServer opens what the flags name. Its downloads, and the care of its
// cache, end with base.
func (f *serveFlags) symbolServer(base context.Context, stderr io.Writer) (*symbols.Handler, error) {
	h := &symbols.Handler{Base: base}
	for _, dir := range f.stores {
		s, err := diskstore.New(dir)
		if err != nil {
			return nil, fault.Wrap(err, fault.SymbolsUnreadable, "could not read the store %s: %v", dir, reasonOf(err))
		}
		h.Stores = append(h.Stores, s)
	}
	if len(f.upstreams) == 0 {
		f.upstreams = texts{upstream.Microsoft}
	}
	for _, url := range f.upstreams {
		if isNoSymbols(url) {
			continue
		}
		c := &upstream.Client{URL: url, AllowHTTP: f.allowHTTP, RedirectHosts: f.redirects, UserAgent: userAgent()}
		if err := c.Check(); err != nil {
			return nil, err
		}
		h.Upstreams = append(h.Upstreams, c)
	}
	var err error
	if h.Cache, err = openCache(cache.Options{Dir: f.cache}, len(h.Upstreams) > 0); err != nil {
		return nil, err
	}
	if h.Cache != nil {
		if text := h.Cache.Warning(); text != "" {
			fmt.Fprintf(stderr, "coredrop: warning: %s\n", text)
		}
		go h.Cache.Maintain(base)
	}
	return h, nil
}
