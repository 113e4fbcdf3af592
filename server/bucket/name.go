package bucket

import (
	"fmt"
	"path"
	"strings"
)

// Scheme is what the names of objects begin with.
const Scheme = "s3://"

// Name is where an object is. Written, it is s3://BUCKET/KEY; the key is taken as it
// stands, nothing in it is an escape.
type Name struct{ Bucket, Key string }

// Parse reads a name. The key may be empty, or end in a slash: that is a prefix.
func Parse(s string) (Name, error) {
	ok := len(s) >= len(Scheme) && strings.EqualFold(s[:len(Scheme)], Scheme)
	rest := s[min(len(s), len(Scheme)):]
	bucket, key, _ := strings.Cut(rest, "/")
	switch {
	case !ok:
		return Name{}, fmt.Errorf("an object's name begins with %s, not as %q does", Scheme, s)
	case bucket == "":
		return Name{}, fmt.Errorf("%q names no bucket: %sBUCKET/KEY", s, Scheme)
	case strings.Contains(bucket, "@"):
		return Name{}, fmt.Errorf("credentials do not belong in an object's name: %sBUCKET/KEY", Scheme)
	case strings.ContainsAny(bucket, "?#:%\\"):
		return Name{}, fmt.Errorf("%q is no bucket's name", bucket)
	}
	return Name{bucket, key}, nil
}

// ParsePrefix reads the name of what is below it; a slash at its end may be left out.
func ParsePrefix(s string) (Name, error) {
	n, err := Parse(s)
	if err == nil && !n.IsPrefix() {
		n.Key += "/"
	}
	return n, err
}

// String gives the name as it is written.
func (n Name) String() string { return Scheme + n.Bucket + "/" + n.Key }

// Base is the part of the key behind its last slash.
func (n Name) Base() string { return path.Base("/" + n.Key) }

// IsPrefix reports whether the name stands for what is below it, as a directory's.
func (n Name) IsPrefix() bool { return n.Key == "" || strings.HasSuffix(n.Key, "/") }

// Join gives a name below a prefix.
func (n Name) Join(rest string) Name { return Name{n.Bucket, n.Key + rest} }
