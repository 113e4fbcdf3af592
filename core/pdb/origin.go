package pdb

// OriginKind is the kind of place that a PDB came from.
type OriginKind string

// The kinds of places.
const (
	FromFile   OriginKind = "file"   // a PDB that the user gave
	FromStore  OriginKind = "store"  // a symbol store on disk
	FromServer OriginKind = "server" // a symbol server
	FromCache  OriginKind = "cache"  // the browser's own cache
)

// Origin is where a PDB came from. Name is the file's, the store's directory or
// the server's URL; "" where the kind says it all.
type Origin struct {
	Kind OriginKind
	Name string
}

func (o Origin) String() string {
	switch {
	case o.Kind == FromFile:
		return "the file " + o.Name
	case o.Kind == FromCache:
		return "this browser's cache"
	case o.Name != "":
		return o.Name
	case o.Kind == FromServer:
		return "this server"
	}
	return string(o.Kind)
}
