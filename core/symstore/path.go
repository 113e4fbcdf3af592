package symstore

import (
	"strings"

	"coredrop/core/fault"
)

// MicrosoftURL is the public symbol server that "srv*" alone means.
const MicrosoftURL = "https://msdl.microsoft.com/download/symbols"

// maxStores is how many stores one element may name, as in the debuggers.
const maxStores = 10

// Path is a symbol path: its elements are searched from left to right.
type Path struct{ Elements []Element }

// Element is one element of a symbol path: directories from left to right, then
// a server. What is found is copied to the directories left of where it was. An
// empty string among the stores is the place the caller keeps symbols in by
// default.
type Element struct {
	Stores []string
	URL    string // "": none; without a slash at its end
	Plain  bool   // the URL is http:// without TLS: whether it is asked is the caller's rule
}

// ParsePath reads a symbol path as _NT_SYMBOL_PATH holds it: elements separated
// by ";", each a directory, "srv*STORE*…*URL", "symsrv*symsrv.dll*STORE*…*URL",
// "cache*DIR" (a store in front of all that follows) or the URL of a server.
// "srv**URL" stands for the default store, "srv*" alone for the default store
// and Microsoft's server. What is not understood or not supported is left out
// and named by a warning with the code symbol-path.
func ParsePath(s string) (Path, []fault.Warning) {
	p := &pathParser{}
	for _, e := range strings.Split(s, ";") {
		if e = p.unquoted(strings.TrimSpace(e)); e != "" {
			p.element(e)
		}
	}
	if p.cache != nil && !p.cacheUsed {
		p.path.Elements = append(p.path.Elements, Element{Stores: p.cache})
	}
	return p.path, p.warnings
}

type pathParser struct {
	path      Path
	warnings  []fault.Warning
	cache     []string // of cache*DIR elements so far
	cacheUsed bool
}

func (p *pathParser) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fault.Warn(fault.SymbolPath, format, args...))
}

// unquoted takes off the quotes that a shell or an editor left: no directory and
// no address has them.
func (p *pathParser) unquoted(e string) string {
	const quotes = "\"'\u201c\u201d\u2018\u2019"
	bare := strings.TrimSpace(strings.Trim(e, quotes))
	if bare != e {
		p.warn("the symbol path's quotes were left out: %s", bare)
	}
	return bare
}

func (p *pathParser) element(e string) {
	parts := strings.Split(e, "*")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	switch kind := strings.ToLower(parts[0]); {
	case len(parts) == 1:
		p.stores(e, parts, false)
	case kind == "srv":
		p.stores(e, parts[1:], true)
	case kind == "symsrv":
		if !strings.EqualFold(parts[1], "symsrv.dll") {
			p.warn("the symbol path's %q was left out: only symsrv.dll is understood", e)
			return
		}
		p.stores(e, parts[2:], true)
	case kind == "cache":
		for _, dir := range parts[1:] {
			if dir == "" && len(parts) > 2 {
				continue
			}
			if p.usable(e, dir) && p.room(e, p.cache) {
				p.cache, p.cacheUsed = append(p.cache[:len(p.cache):len(p.cache)], dir), false
			}
		}
	default:
		p.warn("the symbol path's %q was left out: %q is not understood", e, parts[0])
	}
}

// stores reads the parts of one element: directories, and one server at the end.
func (p *pathParser) stores(e string, parts []string, server bool) {
	if server && strings.Join(parts, "") == "" {
		parts = []string{"", MicrosoftURL}
	}
	out := Element{Stores: p.cache[:len(p.cache):len(p.cache)]}
	found := false
	for i, part := range parts {
		if part == "" && i == len(parts)-1 && i > 0 {
			continue // "srv*STORE*"
		}
		if scheme, rest, ok := strings.Cut(part, "://"); ok {
			url, plain, ok := p.url(e, part, strings.ToLower(scheme), rest)
			if !ok {
				continue
			}
			if i < len(parts)-1 {
				p.warn("the symbol path's %q: what follows the server was left out", e)
			}
			out.URL, out.Plain, found = url, plain, true
			break
		}
		if p.usable(e, part) && p.room(e, out.Stores) {
			out.Stores, found = append(out.Stores, part), true
		}
	}
	if found {
		p.path.Elements = append(p.path.Elements, out)
		p.cacheUsed = true
	}
}

func (p *pathParser) room(e string, stores []string) bool {
	if len(stores) == maxStores {
		p.warn("the symbol path's %q has more than %d stores: the rest was left out", e, maxStores)
	}
	return len(stores) < maxStores
}

// usable reports whether a directory can be used, and warns if not.
func (p *pathParser) usable(e, dir string) bool {
	switch {
	case strings.HasPrefix(dir, `\\`):
		p.warn("the symbol path's %q: the network share %q was left out; mount it and name the directory", e, dir)
		return false
	case strings.ContainsRune(dir, 0):
		p.warn("the symbol path's %q is not a directory's name", e)
		return false
	}
	return true
}

// url checks the address of a server.
func (p *pathParser) url(e, whole, scheme, rest string) (url string, plain, ok bool) {
	if scheme != "https" && scheme != "http" {
		p.warn("the symbol path's %q was left out: %s:// is not supported", e, scheme)
		return "", false, false
	}
	host, _, _ := strings.Cut(rest, "/")
	bad := strings.IndexFunc(whole, func(c rune) bool { return c <= ' ' || c >= 0x7f || strings.ContainsRune(`"<>\^{|}?#`, c) }) >= 0
	if host == "" || strings.Contains(host, "@") || bad {
		p.warn("the symbol path's %q was left out: it is not the address of a symbol server", e)
		return "", false, false
	}
	return scheme + "://" + strings.TrimRight(rest, "/"), scheme == "http", true
}
