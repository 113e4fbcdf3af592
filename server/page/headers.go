package page

import "net/http"

// policy is the Content-Security-Policy, one directive a line with its reason.
// A worker takes its policy from the answer that carried its script, so every
// answer has it.
const policy = "default-src 'none'; " + // whatever is not named is refused
	"script-src 'self' 'wasm-unsafe-eval'; " + // our modules; Go's wasm needs to be compiled
	"worker-src 'self'; " + // the worker that owns the Go program
	"connect-src 'self'; " + // the privacy promise, kept by the browser: no other origin
	"style-src 'self'; img-src 'self' data:; manifest-src 'self'; " +
	"base-uri 'none'; form-action 'none'; " + // nothing can redirect a link or post a form
	"frame-ancestors 'none'" // nobody can frame the page and lay buttons over it

// securityHeaders are sent with every answer.
var securityHeaders = map[string]string{
	"Content-Security-Policy":      policy,
	"X-Content-Type-Options":       "nosniff",     // a PDB is never taken for a page
	"Referrer-Policy":              "no-referrer", // an intranet's host name stays there
	"Cross-Origin-Resource-Policy": "same-origin", // other origins cannot embed what is here
	"Cross-Origin-Opener-Policy":   "same-origin", // no window of another origin has a handle on ours
	"Permissions-Policy":           "camera=(), microphone=(), geolocation=()",
}

// Secure wraps the whole server: the security headers on every answer, and no
// request that carries a body or has a method but GET and HEAD reaches h. There
// is no code behind it that could receive a core.
func Secure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range securityHeaders {
			w.Header().Set(name, value)
		}
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			w.Header().Set("Connection", "close") // the body is not read
			refuse(w, http.StatusMethodNotAllowed, "this server only answers GET and HEAD")
		case r.ContentLength != 0:
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, "this server takes no data")
		default:
			h.ServeHTTP(w, r)
		}
	})
}

// refuse answers with a sentence that nobody caches.
func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, text, status)
}
