package main

import (
	"context"
	"net/url"
	"path/filepath"
	"strings"

	"coredrop/core/source"
	"coredrop/server/bucket"
	"coredrop/server/ranged"
)

// scheme is a kind of address that a core may be named by, besides a file's path.
type scheme struct {
	// open opens what an address names, until ctx ends.
	open func(ctx context.Context, address string, o *opening) (elsewhere, error)
	// name is what it is called: no path, and a name that a file can have.
	name func(address string) string
	// shown is as much of an address as may be printed: nobody's password, no
	// signature.
	shown func(address string) string
	// to gives the writing of a dump to an address; nil: nothing is written there.
	to func(o *opening, ctx context.Context, address string, in *input, force bool, begun func(context.Context, *bucket.Upload) error) (writing, error)
}

// elsewhere is a core that does not lie on this machine.
type elsewhere struct {
	source.Source
	object *bucket.Object // nil: it is in no bucket
}

// schemes are those that are read, by their name in lower case.
var schemes = map[string]scheme{
	"https": {openWeb, ranged.NameOf, shownURL, nil},
	"http":  {openWeb, ranged.NameOf, shownURL, nil},
	"s3":    {openObject, objectBase, objectShown, (*opening).toObject},
}

// schemeOf gives the scheme of an address; a path has none. One that looks like an
// address is meant as a path when it begins with a dot or a slash; a drive's letter
// is no scheme.
func schemeOf(name string) (scheme, bool) {
	head, _, ok := strings.Cut(name, "://")
	s, known := schemes[strings.ToLower(head)]
	return s, ok && known
}

// nameOf is what a file or an object is called, without the way to it.
func nameOf(name string) string {
	if s, ok := schemeOf(name); ok {
		return s.name(name)
	}
	return filepath.Base(name)
}

// shown is a name as it may be printed.
func shown(name string) string {
	if s, ok := schemeOf(name); ok {
		return s.shown(name)
	}
	if strings.Contains(name, "://") {
		return shownURL(name)
	}
	return name
}

// shownURL leaves out a login, and a query, which may be a signature.
func shownURL(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		head, _, _ := strings.Cut(address, "://")
		return head + "://..."
	}
	u.User, u.RawQuery, u.ForceQuery, u.Fragment, u.RawFragment = nil, "", false, "", ""
	return u.String()
}

// openWeb opens what a web server has.
func openWeb(ctx context.Context, address string, o *opening) (elsewhere, error) {
	r, err := ranged.OpenHTTP(ctx, address, ranged.WebOptions{AllowHTTP: o.allowHTTP, UserAgent: userAgent(), Reader: ranged.Options{Cache: o.cache}})
	if err != nil {
		return elsewhere{}, err
	}
	return elsewhere{Source: r.Source()}, nil
}
