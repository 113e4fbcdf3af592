// Package symbols answers /symbols/NAME/ID/NAME like a symbol server: for the
// page, which may ask its own origin only, and for debuggers. It looks in local
// stores, then asks the store that it shares with other servers and the upstreams
// fixed at start on its own account, verifies what they give before anybody sees
// it, and keeps it. It takes no upstream and
// no path from a client: what reaches a store is built from a parsed key. All
// that costs is bounded: connections, waiting, memory, and the time of an answer.
package symbols

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"coredrop/core/fault"
	"coredrop/core/symstore"
	"coredrop/server/cache"
)

const (
	// defaultDeadline is when a client gets an answer at the latest: SymSrv
	// gives up after 30 seconds, and blames the server.
	defaultDeadline = 25 * time.Second
	// retryAfter is what a client is told whose file is still on its way.
	retryAfter = 15 * time.Second
)

// Store is a symbol store that is only read; symstore.Store is one. Where the
// files it opens have a method OS() *os.File, they are sent by the kernel.
type Store interface {
	Get(ctx context.Context, k symstore.Key) (symstore.File, error)
}

// Upstream gives the body of a key's file with its length, -1 where it is not
// known; *upstream.Client is one. Its errors, of reading too, are *fault.Error.
type Upstream interface {
	Open(ctx context.Context, k symstore.Key) (io.ReadCloser, int64, error)
	// Host names it for the log.
	Host() string
}

// Limits bound what is asked of one upstream.
type Limits struct {
	Downloads int // at once; 0: 8
	Waiting   int // for one of those to end, before a client is refused; 0: 64
}

// Handler is the symbol server. The zero value works and has nothing. Its
// fields must not change once it serves.
type Handler struct {
	// Stores are read in order, before the cache; nothing is written to them.
	Stores []Store
	// Cache keeps what the others gave. If nil, neither the shared store nor the
	// upstreams are asked.
	Cache *cache.Cache
	// Shared is a store that other servers have too. It is asked before the
	// upstreams, and what those gave is written there later. Where the files it opens
	// have a method Stream() (io.ReadCloser, error), they are read by that. If nil,
	// there is none.
	Shared symstore.Store
	// Upstreams are asked in order.
	Upstreams []Upstream
	// Limits bound what is asked of each of them.
	Limits Limits
	// Base ends the downloads when it ends. If nil, they outlive all but Wait.
	Base context.Context
	// Deadline is when a client is answered at the latest; its download goes
	// on. 0: 25 seconds.
	Deadline time.Duration
	// Instance names this server among the proxies that a request goes through.
	// If empty, a random name.
	Instance string
	// Hosts are the names under which the server is asked. If nil, any.
	Hosts []string
	// Observe is told of each request, once it is answered. If nil, nobody is.
	Observe func(Request)
	// Fetched is told of each download. If nil, nobody is.
	Fetched func(Fetch)
	// SharedTrouble is told of what is wrong with the shared store: a file in it that is
	// not what its key says, or a read or a write that failed. If nil, nobody is.
	SharedTrouble func(symstore.Key, error)
	// Log gets one line a request. If nil, nothing is logged.
	Log *slog.Logger
	// Now is the clock of the negative cache and of what is known of the
	// upstreams. If nil, time.Now.
	Now func() time.Time

	once      sync.Once
	pools     []*pool
	tier      *tier // nil: no shared store
	name      string
	looking   chan struct{}   // holds a token for each look at the stores
	verifying []chan struct{} // and one for each of their files that is verified, by store
	flights   flights
	misses    misses
	verified  verified
	requests  atomic.Int64
}

// lookups is how many look into the stores at once. More wait, which matters
// where a store hangs, such as one on a server that is gone.
const lookups = 256

// verifications is how many files of one store are looked into at once.
const verifications = 8

// prepare makes what the fields ask for.
func (h *Handler) prepare() {
	h.once.Do(func() {
		h.name = h.Instance
		if h.name == "" {
			h.name = randomName()
		}
		h.looking = make(chan struct{}, lookups)
		for range len(h.Stores) + 1 { // and the cache
			h.verifying = append(h.verifying, make(chan struct{}, verifications))
		}
		for _, u := range h.Upstreams {
			h.pools = append(h.pools, newPool(u, h.Limits))
		}
		if h.Shared != nil {
			h.tier = newTier(h.Shared)
		}
	})
}

// ServeHTTP answers a request whose path is /NAME/ID/NAME, relative to where
// the handler is mounted. A failure is 404, or 503 where asking again helps, and
// never 403, for which debuggers strike a host off for the whole session; its
// body is {code, text, remedy}.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.prepare()
	h.requests.Add(1)
	defer h.requests.Add(-1)
	began := time.Now()
	sent := &meter{ResponseWriter: w}
	said := h.answer(sent, r)
	said.Method = r.Method[:min(len(r.Method), 8)]
	said.Status, said.Bytes, said.Took = sent.status, sent.bytes, time.Since(began)
	h.log(r, said)
	if h.Observe != nil {
		h.Observe(said)
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *http.Request) Request {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return Request{Result: "method"}
	}
	asked, key, err := h.parse(r)
	if err != nil {
		refuse(w, err, false)
		return Request{Result: resultOf(err), Code: fault.As(err).Code, Err: err}
	}
	q := question{key: key, asked: asked, via: via(r), looped: h.looped(r)}
	deadline := h.Deadline
	if deadline == 0 {
		deadline = defaultDeadline
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), deadline, errLate)
	defer cancel()
	found, err := h.find(ctx, q)
	said := Request{Key: key.String(), Upstream: found.host, Source: found.source, Unkept: found.unkept, Result: "hit"}
	if err != nil {
		refuse(w, err, q.via != "")
		said.Result, said.Code, said.Err = resultOf(err), fault.As(err).Code, err
		if found.source == sourceMisses {
			said.Result, said.Source = "negative", ""
		}
		return said
	}
	defer found.file.Close()
	if found.source == sourceUpstream || found.source == sourceMemory {
		said.Result = "miss"
	}
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("ETag", `"`+key.ID+`"`)
	head.Set("Cache-Control", "public, max-age=31536000, immutable") // the key names the content
	var body io.ReadSeeker = io.NewSectionReader(found.file, 0, found.file.Size())
	if f, ok := found.file.(interface{ OS() *os.File }); ok {
		body = f.OS()
	}
	if strings.Contains(r.Header.Get("Range"), ",") {
		r.Header.Del("Range") // thousands of parts of a byte would be an answer much longer than the request
	}
	http.ServeContent(w, r, "", time.Time{}, body)
	return said
}

// meter counts what is sent, and leaves the way through the kernel open.
type meter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader notes the status.
func (m *meter) WriteHeader(status int) {
	if m.status == 0 {
		m.status = status
	}
	m.ResponseWriter.WriteHeader(status)
}

// Write counts.
func (m *meter) Write(p []byte) (int, error) {
	if m.status == 0 {
		m.status = http.StatusOK
	}
	n, err := m.ResponseWriter.Write(p)
	m.bytes += int64(n)
	return n, err
}

// ReadFrom counts what the connection takes from a file.
func (m *meter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(m.ResponseWriter, r)
	m.bytes += n
	return n, err
}

// Unwrap gives the writer to http.ResponseController.
func (m *meter) Unwrap() http.ResponseWriter { return m.ResponseWriter }

// looped reports whether a request went through this server before: a chain of
// proxies that leads back to its beginning.
func (h *Handler) looped(r *http.Request) bool {
	for hop := range strings.SplitSeq(via(r), ",") {
		if fields := strings.Fields(hop); len(fields) >= 2 && fields[1] == h.name {
			return true
		}
	}
	return false
}

// maxVia is how much is passed on of what proxies say of themselves.
const maxVia = 2 << 10

// via gives the proxies that a request went through.
func via(r *http.Request) string {
	all := strings.Join(r.Header.Values("Via"), ", ")
	return all[:min(len(all), maxVia)]
}

// onward is what the Via header of a request that is passed on says.
func (h *Handler) onward(via string) string {
	own := "1.1 " + h.name
	if via == "" {
		return own
	}
	return via + ", " + own
}

// knows reports whether the server is asked under one of its names: a page of
// another site can have its own name lead here.
func (h *Handler) knows(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return h.Hosts == nil || slices.ContainsFunc(h.Hosts, func(own string) bool { return strings.EqualFold(own, host) })
}

func (h *Handler) now() time.Time {
	if h.Now != nil {
		return h.Now()
	}
	return time.Now()
}
