package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
	"coredrop/server/upstream"
)

const getUsage = `usage: coredrop get [flags] -o STORE CORE|DUMP|KEY|URL|-...
       coredrop get -manifest FILE CORE|DUMP...

Fetches what is named into a symbol store: a directory that convert -symbols,
WinDbg and others read. Named by a core or a dump, whose kernel's PDB it is; by
NAME/GUIDAGE/NAME, as coredrop info prints it; by NAME,GUID,AGE; by the address at
a symbol server, which is asked then. - reads a list of these, one a line.

Across an air gap: there, get -manifest wanted.txt vm.core, which asks nobody;
here, get -o store -manifest had.txt - < wanted.txt; there again, with store and
had.txt, get -o final -symbols store - < had.txt.

`

// parallel is how many files are fetched at once.
const parallel = 8

// runGet is coredrop get.
func runGet(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	g := getter{}
	set := flag.NewFlagSet("get", flag.ContinueOnError)
	set.StringVar(&g.store, "o", "", "the symbol store to fill, a `directory`; it is made if need be")
	set.StringVar(&g.path, "symbols", "", "symbol `path` to fetch from (default: _NT_SYMBOL_PATH, else the user's cache and Microsoft's server)")
	list := set.String("manifest", "", "the `file` to write what was had to, and what was not; without -o what is wanted, and nobody is asked")
	verbose := set.Bool("v", false, "print each step, on stderr")
	w := wanter{stdin: stdin}
	w.opening.flags(set)
	files, code, done := parse(set, args, getUsage, stdout, stderr)
	if done {
		return code
	}
	switch {
	case g.store == "" && *list == "":
		return usageError(stderr, "get", "get needs -o STORE")
	case len(files) == 0:
		return usageError(stderr, "get", "get needs a core or a key")
	case g.path == "":
		g.path = defaultSymbolPath()
	}
	if g.store != "" && isNoSymbols(g.path) {
		return usageError(stderr, "get", "get has nowhere to fetch from with the symbol path none")
	}
	if *list != "" {
		if err := checkManifest(*list); err != nil {
			return fail(stderr, err)
		}
		g.sums = true
	}
	if *list == standard {
		stdout, g.said = io.Discard, stdout // the list alone is the result
	}
	g.allowHTTP = w.opening.allowHTTP
	t := newTerminal(stderr, *verbose)
	w.sink = t.sink()
	wants := w.all(ctx, files)
	t.clear()
	m := newManifest()
	if g.store == "" {
		code = g.list(wants, m, stderr)
	} else {
		code = g.fetch(ctx, wants, m, t, stdout, stderr)
	}
	if *list != "" && ctx.Err() == nil {
		if g.said != nil {
			stdout = g.said
		}
		if err := m.write(*list, stdout); err != nil {
			return fail(stderr, err)
		}
	}
	return code
}

// getter fetches files into a store.
type getter struct {
	store, path string
	allowHTTP   []string
	sums        bool      // the manifest wants them
	said        io.Writer // where a manifest goes that goes to the standard output

	mu       sync.Mutex
	clients  map[string]*upstream.Client
	warnings []fault.Warning
}

// list writes down what is wanted.
func (g *getter) list(wants []want, m *manifest, stderr io.Writer) (code int) {
	for _, w := range wants {
		if w.err != nil {
			code = failAbout(stderr, w.arg, w.err)
			m.failed(w, w.err)
			continue
		}
		m.had(w.key, w.sum)
	}
	return code
}

// outcome is what became of a want.
type outcome struct {
	line string
	sum  sum
	err  error
}

// fetch fetches what is wanted, several at once, and says in their order what
// became of each. One that fails does not stop the others.
func (g *getter) fetch(ctx context.Context, wants []want, m *manifest, t *terminal, stdout, stderr io.Writer) (code int) {
	sinks := newTally(t, len(wants))
	outcomes := make([]chan outcome, len(wants))
	for i := range outcomes {
		outcomes[i] = make(chan outcome, 1)
	}
	var workers errgroup.Group
	workers.SetLimit(parallel)
	ended := make(chan bool)
	go func() {
		defer close(ended)
		for i, w := range wants {
			workers.Go(func() error {
				outcomes[i] <- g.one(ctx, w, sinks.sink())
				return nil
			})
		}
		workers.Wait() // no error comes
	}()
	for i, w := range wants {
		o := <-outcomes[i]
		sinks.quietly(func() {
			if o.err != nil {
				code = failAbout(stderr, w.arg, o.err)
				m.failed(w, o.err)
				return
			}
			m.had(w.key, o.sum)
			fmt.Fprintln(stdout, oneLine(o.line))
		})
		if fault.Is(o.err, fault.Cancelled) {
			break // so are the others
		}
	}
	<-ended // with their temporary files
	warn(stderr, g.warnings)
	return code
}

// one fetches a file with a resolver of its own: a search notes what it met.
func (g *getter) one(ctx context.Context, w want, sink progress.Sink) outcome {
	if w.err != nil {
		return outcome{err: w.err}
	}
	r := newResolver(g.path, g.allowHTTP, sink)
	if w.server != "" {
		if err := r.client(w.server).Check(); err != nil {
			return outcome{err: err}
		}
		r.chain.Links = []symstore.Link{{Places: []symstore.Place{{Name: g.store, Store: place{dir: g.store}}}, URL: w.server}}
	}
	fresh := r.client
	r.client = func(url string) *upstream.Client { return g.client(url, fresh) }
	o := getOne(ctx, r, g.store, w, g.sums)
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, x := range r.allWarnings() {
		if !slices.Contains(g.warnings, x) {
			g.warnings = append(g.warnings, x)
		}
	}
	return o
}

// client gives the one client of a server, which keeps its connections.
func (g *getter) client(url string, fresh func(string) *upstream.Client) *upstream.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.clients[url]
	if c == nil {
		if g.clients == nil {
			g.clients = map[string]*upstream.Client{}
		}
		c = fresh(url)
		g.clients[url] = c
	}
	return c
}

// getOne stores the file of a want and says what was done. sums: its sum is
// wanted too.
func getOne(ctx context.Context, r *resolver, store string, w want, sums bool) outcome {
	to := place{dir: store}
	if f, err := symstore.Verified(ctx, to, w.key); err == nil {
		defer f.Close() // only read
		return checked(w, f, store, sums, fmt.Sprintf("%s is in %s already", w.key, store))
	}
	f, from, err := r.find(ctx, w.key)
	if err != nil {
		return outcome{err: err}
	}
	defer f.Close() // only read
	o := checked(w, f, fmt.Sprint(from), sums, fmt.Sprintf("%s from %s", w.key, from))
	if o.err != nil {
		return o
	}
	if err := to.Put(ctx, w.key, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return outcome{err: fault.Wrap(err, fault.OutputFailed, "could not write to %s: %s", store, fault.As(err).Text)}
	}
	return o
}

// checked compares a file with the manifest that named it, and gives its sum
// where that is wanted.
func checked(w want, f symstore.File, where string, sums bool, line string) outcome {
	if !sums && !w.sum.known {
		return outcome{line: line}
	}
	got, err := sumOf(f)
	if err == nil {
		err = w.sum.differs(w.key, got, where)
	} else {
		err = fault.Wrap(err, fault.SymbolsUnreadable, "could not read %s in %s: %v", w.key, where, reasonOf(err))
	}
	return outcome{line, got, err}
}
