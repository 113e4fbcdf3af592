package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"coredrop/core/fault"
	"coredrop/server/admin"
	"coredrop/server/bucket"
	"coredrop/server/cache"
	"coredrop/server/diskstore"
	"coredrop/server/sharedstore"
	"coredrop/server/symbols"
	"coredrop/server/upstream"
)

const serveUsage = `usage: coredrop serve [flags]

Serves the page, and the kernels' PDBs from symbol stores and servers. Cores are
opened in the visitor's browser: there is no code here that could receive one.
docs/operate.md tells how it is left running.

`

const defaultAddress = "127.0.0.1:8080"

// collectAt is by how many per cent the memory in use may grow before what is not
// used any more is collected: most of it is what requests left, and with half of
// Go's usual number two thousand clients need a quarter less.
const collectAt = 50

// memoryLimit is from where on, in bytes, memory is collected as often as it takes:
// a crowd that comes at once leaves more behind than the next collection would wait
// for. It is no bound of what may be used.
const memoryLimit = 88 << 20

// allowHTTPUsage is the help of the flag that convert, info, get and serve share.
const allowHTTPUsage = "a `HOST` that may be asked over plain http, on a network you trust; may be repeated.\nthis machine's own servers always may"

// texts is a flag that may be given more than once.
type texts []string

func (t *texts) String() string     { return strings.Join(*t, " ") }
func (t *texts) Set(s string) error { *t = append(*t, s); return nil }

// serveFlags are the flags of serve.
type serveFlags struct {
	addr, base, cache, symbols, admin, tlsCert, tlsKey, log, instance string
	shared                                                            string
	objects                                                           storeFlags
	drain                                                             time.Duration
	clients                                                           int
	cacheSize                                                         byteSize
	stores, redirects, allowHTTP, hosts                               texts
	upstreams                                                         []server
	below                                                             bucket.Name // what -shared names
}

// server is a symbol server to ask; proxy: it fetches what it does not have.
type server struct {
	url   string
	proxy bool
}

// servers is a flag that adds to a list of servers; several flags share one.
type servers struct {
	list  *[]server
	proxy bool
}

// String is for the default, which the usage has.
func (s servers) String() string { return "" }

// Set adds a server.
func (s servers) Set(url string) error { *s.list = append(*s.list, server{url, s.proxy}); return nil }

func (f *serveFlags) define(set *flag.FlagSet) {
	set.StringVar(&f.addr, "addr", defaultAddress, "the `address` to listen on; others than this machine reach it only if you say so")
	set.StringVar(&f.admin, "admin", "", "an `address` of this machine, or a Unix socket, for /readyz, /metrics, /debug/pprof and /refresh")
	set.Var(&f.allowHTTP, "allow-http", allowHTTPUsage)
	set.StringVar(&f.base, "base", "/", "the `path` the site is served under")
	set.StringVar(&f.cache, "cache", "", "the `directory` that keeps what was fetched (default: $CACHE_DIRECTORY, else the user's cache)")
	f.cacheSize = cache.DefaultBudget
	set.Var(&f.cacheSize, "cache-size", "how `many` bytes of files are kept: those used last stay; none: no limit")
	set.Var(&f.hosts, "host", "a `name` under which symbols are asked for, others get nothing; may be repeated (default any)")
	set.StringVar(&f.instance, "instance", "", "this server's `name` among proxies in a row (default a random one)")
	set.StringVar(&f.log, "log", logText, "the log's `form`: text or json")
	set.IntVar(&f.clients, "max-clients", defaultClients, "how `many` connections there may be at once; the limit of open files may make it less")
	set.Var(servers{&f.upstreams, true}, "proxy", "like -upstream, for a `URL` that fetches what it does not have: Coredrop, SymProxy")
	set.Var(&f.redirects, "redirect-host", "a `host`, or .suffix, that upstreams may redirect to; may be repeated (default "+upstream.BlobHosts+")")
	f.objects.flags(set)
	set.StringVar(&f.shared, "shared", "", "a `prefix` of a bucket, s3://BUCKET/PREFIX/, that keeps what was fetched for other servers too")
	set.DurationVar(&f.drain, "shutdown-timeout", defaultDrain, "how `long` what was begun may go on when the server is to end")
	set.Var(&f.stores, "store", "a symbol store `directory` to read; may be repeated")
	set.StringVar(&f.symbols, "symbols", "", "a symbol `path` as of convert: its leftmost store is the cache, its servers are asked behind those of -upstream")
	set.StringVar(&f.tlsCert, "tls-cert", "", "the `file` of a certificate chain, PEM: serve https; SIGHUP loads it again")
	set.StringVar(&f.tlsKey, "tls-key", "", "the `file` of its key, PEM")
	set.Var(servers{&f.upstreams, false}, "upstream", "a symbol server's https `URL`; may be repeated; none: ask nobody (default "+upstream.Microsoft+")")
}

// The forms of the log.
const (
	logText = "text"
	logJSON = "json"
)

// instanceForm is what may stand in a Via header.
var instanceForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// check gives what is wrong with the flags themselves, and puts the base in form.
func (f *serveFlags) check() (err error) {
	switch {
	case f.log != logText && f.log != logJSON:
		return fmt.Errorf("-log is %s or %s, not %q", logText, logJSON, f.log)
	case (f.tlsCert == "") != (f.tlsKey == ""):
		return errors.New("-tls-cert and -tls-key belong together")
	case f.instance != "" && !instanceForm.MatchString(f.instance):
		return fmt.Errorf("-instance is a word of letters, digits and ._-, not %q", f.instance)
	case f.clients < 1:
		return fmt.Errorf("-max-clients is at least 1, not %d", f.clients)
	case f.drain <= 0:
		return fmt.Errorf("-shutdown-timeout is longer than nothing, not %v", f.drain)
	case f.shared == "" && f.objects.named():
		return errors.New("-s3-endpoint and -s3-region belong to -shared")
	}
	if f.shared != "" {
		if f.below, err = bucket.ParsePrefix(f.shared); err != nil {
			return fmt.Errorf("-shared: %w", err)
		}
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
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	limitMemory(memoryLimit)
	log := f.logger(stderr)
	defer leadStandardLog(log)()
	// The downloads outlive ctx: what was begun may end.
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	h, err := f.symbolServer(base, stderr)
	if err != nil {
		return fail(stderr, err)
	}
	counts := observe(h, log)
	ready := &admin.Readiness{Check: h.Ready}
	s := service{
		site: site{base: f.base, symbols: h, ready: ready, totals: counts.Totals},
		addr: f.addr, admin: f.admin, private: &admin.Handler{Ready: ready, Refresh: h.Refresh, Metrics: counts.Handler()},
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
	h := &symbols.Handler{Base: base, Instance: f.instance, Hosts: f.hosts}
	for _, dir := range f.stores {
		s, err := diskstore.New(dir)
		if err != nil {
			return nil, fault.Wrap(err, fault.SymbolsUnreadable, "could not read the store %s: %v", dir, reasonOf(err))
		}
		h.Stores = append(h.Stores, s)
	}
	if f.symbols != "" {
		path := sourcesOf(f.symbols, f.allowHTTP)
		warn(stderr, path.warnings)
		h.Stores = append(h.Stores, path.stores...)
		for _, url := range path.upstreams {
			f.upstreams = append(f.upstreams, server{url: url})
		}
		if f.cache == "" {
			f.cache = path.cache
		}
	} else if len(f.upstreams) == 0 {
		f.upstreams = []server{{url: upstream.Microsoft}}
	}
	for _, s := range f.upstreams {
		if isNoSymbols(s.url) {
			continue
		}
		c := &upstream.Client{URL: s.url, Proxy: s.proxy, AllowHTTP: f.allowHTTP, RedirectHosts: f.redirects, UserAgent: userAgent()}
		if err := c.Check(); err != nil {
			return nil, err
		}
		h.Upstreams = append(h.Upstreams, c)
	}
	var err error
	if f.shared != "" {
		objects, err := f.objects.store()
		if err != nil {
			return nil, err
		}
		h.Shared = sharedstore.New(objects, f.below)
	}
	if h.Cache, err = openCache(cache.Options{Dir: f.cache, Budget: int64(f.cacheSize)}, len(h.Upstreams) > 0 || h.Shared != nil); err != nil {
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
