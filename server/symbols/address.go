package symbols

import (
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// parse reads a request's key: as it is spelled, for upstreams that tell cases
// apart, and as the one of all its spellings, so that one file is fetched, kept
// and missed once.
func (h *Handler) parse(r *http.Request) (asked, key symstore.Key, err error) {
	// What another site's page embeds would tell it what this network debugs,
	// and make it download.
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" || !h.knows(r.Host) {
		return asked, key, fault.New(fault.SymbolsNotFound, "this server is not asked from there")
	}
	return ParsePath(r.URL)
}

// ParsePath reads the key in an address whose path is /NAME/ID/NAME. Letters,
// digits and marks that are escaped without need are unescaped, once, and two
// slashes are one: some clients write both. Any other escape is refused before
// it is looked at, for what Go decodes into something else (%2f, %00).
func ParsePath(u *url.URL) (asked, key symstore.Key, err error) {
	path, ok := unescaped(u.EscapedPath())
	if !ok {
		return asked, key, fault.New(fault.SymbolsNotFound, "this is not the address of a symbol file")
	}
	path = strings.TrimPrefix(strings.ReplaceAll(path, "//", "/"), "/")
	if key, err = symstore.ParseKey(strings.ToLower(path)); err != nil {
		// Debuggers probe for compressed files, file.ptr, index2.txt, pingme.txt.
		return asked, key, fault.New(fault.SymbolsNotFound, "this is not the address of a PDB or an image")
	}
	if key.IsPDB() {
		guid, age, ok := key.GUIDAge()
		if !ok { // it could not be verified
			return asked, key, fault.New(fault.SymbolsNotFound, "this is not the address of a PDB: it has no GUID and age")
		}
		if key, err = symstore.PDBKey(key.Name, guid, age); err != nil {
			return asked, key, err
		}
	}
	name, rest, _ := strings.Cut(path, "/")
	id, _, _ := strings.Cut(rest, "/")
	return symstore.Key{Name: name, ID: id}, key, nil
}

// unescaped undoes the escapes that mean nothing; false: there are others.
func unescaped(path string) (string, bool) {
	if !strings.Contains(path, "%") {
		return path, true
	}
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return "", false
			}
			one, err := hex.DecodeString(path[i+1 : i+3])
			if err != nil || !plain(one[0]) {
				return "", false
			}
			c = one[0]
			i += 2
		}
		b.WriteByte(c)
	}
	return b.String(), true
}

// plain reports whether an escape of a character means the character: RFC 3986,
// 2.3, and the plus sign, which a path needs no escape for and names have.
func plain(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+", c) >= 0
}

// randomName names an instance; it tells nothing of the machine.
func randomName() string {
	var b [4]byte
	rand.Read(b[:]) // it does not fail
	return "coredrop-" + hex.EncodeToString(b[:])
}
