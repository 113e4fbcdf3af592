package page

import (
	"fmt"
	"net/http"
	"time"
)

// policy is the Content-Security-Policy, one directive a line with its reason.
// A worker takes its policy from the answer that carried its script, so every
// answer has it.
const policy = "default-src 'none'; " + // whatever is not named is refused
	"script-src 'self'%s 'wasm-unsafe-eval'; " + // our modules, the page's own scripts by their hashes; Go's wasm needs to be compiled
	"worker-src 'self'; " + // the worker that owns the Go program
	"connect-src 'self'; " + // the privacy promise, kept by the browser: no other origin
	"style-src 'self'%s; img-src 'self' data:; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; " + // nothing can redirect a link or post a form
	"frame-ancestors 'none'" // nobody can frame the page and lay buttons over it

// securityHeaders are sent with every answer, beside the policy.
var securityHeaders = map[string]string{
	"X-Content-Type-Options":       "nosniff",     // a PDB is never taken for a page
	"Referrer-Policy":              "no-referrer", // an intranet's host name stays there
	"Cross-Origin-Resource-Policy": "same-origin", // other origins cannot embed what is here
	"Cross-Origin-Opener-Policy":   "same-origin", // no window of another origin has a handle on ours
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
}

// Secure wraps the whole server: the security headers on every answer, and no
// request that carries a body or has a method but GET and HEAD reaches h. There
// is no code behind it that could receive a core. The answers that net/http
// makes of itself, before there is a request to hand on (400, 417, 431, 501),
// are one line of plain text and carry none of these headers. Inline is
// what the page holds itself and may run (see Handler.Inline).
func Secure(h http.Handler, inline Inline) http.Handler {
	sources := func(list []string) (s string) {
		for _, source := range list {
			s += " " + source
		}
		return s
	}
	contents := fmt.Sprintf(policy, sources(inline.Scripts), sources(inline.Styles))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", contents)
		for name, value := range securityHeaders {
			w.Header().Set(name, value)
		}
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			hangUp(w)
			Refuse(w, http.StatusMethodNotAllowed, "this server only answers GET and HEAD")
		case r.ContentLength != 0:
			hangUp(w)
			Refuse(w, http.StatusRequestEntityTooLarge, "this server takes no data")
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// patience is how long a client may still send what nobody reads. Closing at
// once would reset the connection, and one that writes first and reads then
// would not see the answer.
const patience = time.Second

// hangUp ends the connection behind the answer. net/http reads on for the body
// that was announced, and without a deadline it would for ever.
func hangUp(w http.ResponseWriter) {
	w.Header().Set("Connection", "close")
	// A test's recorder has no connection, and a broken one needs no deadline.
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(patience))
}

// Refuse answers with a sentence that nobody caches.
func Refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}
