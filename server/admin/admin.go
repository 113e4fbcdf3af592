// Package admin answers what only the one who runs the server may ask: whether
// it is alive and ready, its metrics, its profiles, and that a failure be
// forgotten. It is served on an address of its own that no other machine
// reaches; it authenticates nobody.
package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
)

// Handler is the admin listener's site. The zero value works: it is alive and
// ready, and has neither metrics nor anything to forget.
type Handler struct {
	// Ready answers /readyz. If nil, the server is always ready.
	Ready *Readiness
	// Metrics answers /metrics. If nil, there are none.
	Metrics http.Handler
	// Refresh forgets what is remembered of a key NAME/ID/NAME, so that the
	// upstreams are asked again; its error is one of the key. If nil, there is
	// nothing to forget.
	Refresh func(key string) error
}

// ServeHTTP answers GET /healthz, /readyz, /metrics and /debug/pprof/, and
// POST /refresh?key=NAME/ID/NAME. A browser cannot be made to ask on behalf of
// another site: the Host must be this machine and Sec-Fetch-Site its own.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if foreign(r) {
		http.Error(w, "the admin listener answers this machine only", http.StatusForbidden)
		return
	}
	if r.URL.Path == "/refresh" {
		h.refresh(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch name := r.URL.Path; {
	case name == "/":
		fmt.Fprint(w, "/healthz\n/readyz\n/metrics\n/debug/pprof/\nPOST /refresh?key=NAME/ID/NAME\n")
	case name == "/healthz":
		Alive(w, r)
	case name == "/readyz":
		h.Ready.serve(w, true)
	case name == "/metrics" && h.Metrics != nil:
		h.Metrics.ServeHTTP(w, r)
	case name == "/debug/pprof/cmdline":
		pprof.Cmdline(w, r)
	case name == "/debug/pprof/profile":
		pprof.Profile(w, r)
	case name == "/debug/pprof/symbol":
		pprof.Symbol(w, r)
	case name == "/debug/pprof/trace":
		pprof.Trace(w, r)
	case strings.HasPrefix(name, "/debug/pprof/"):
		pprof.Index(w, r)
	default:
		http.Error(w, "there is nothing at this address", http.StatusNotFound)
	}
}

// refresh forgets what is remembered of a key. It changes something, so a link
// or an image cannot do it: it takes a POST.
func (h *Handler) refresh(w http.ResponseWriter, r *http.Request) {
	switch {
	case h.Refresh == nil:
		http.Error(w, "this server asks nobody: there is nothing to forget", http.StatusNotFound)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "refresh takes a POST", http.StatusMethodNotAllowed)
	default:
		if err := h.Refresh(r.URL.Query().Get("key")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

// foreign reports whether a request may come from another site's page in a
// browser of this machine: one whose name was made to lead here (DNS rebinding),
// or that a browser says is of another origin.
func foreign(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return true
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && a.Network() == "unix" {
		return false // no browser gets here
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return !Loopback(strings.Trim(host, "[]"))
}

// Loopback reports whether a host, a name or an IP address, is this machine.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// Alive answers /healthz: whoever can answer at all is alive.
func Alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
}
