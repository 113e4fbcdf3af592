package symstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/pdb"
	"coredrop/core/progress"
)

// Fetcher asks a symbol server for a file. It gives the body and its length, -1
// when the length is not known. A server that does not have the file: the code
// symbols-not-found; one that cannot be reached: symbols-offline.
type Fetcher interface {
	Fetch(ctx context.Context, url string, k Key) (io.ReadCloser, int64, error)
}

// Place is a store with the name to show for it. Kind says what it is; "" is a
// symbol store.
type Place struct {
	Name  string
	Store Store
	Kind  pdb.OriginKind
}

func (p Place) origin() pdb.Origin {
	if p.Kind == "" {
		return pdb.Origin{Kind: pdb.FromStore, Name: p.Name}
	}
	return pdb.Origin{Kind: p.Kind, Name: p.Name}
}

// Link is an element of a symbol path with its stores opened.
type Link struct {
	Places []Place
	URL    string // "": no server
}

// DefaultFetchBytes is how much a Chain holds in memory of a file for which
// there is no store, where no limit is given.
const DefaultFetchBytes = 128 << 20

// Chain looks for symbol files along a symbol path. What it gives is verified.
type Chain struct {
	Links      []Link
	Fetcher    Fetcher // nil: servers are not asked
	FetchBytes int64   // limit for a file that no store takes in; 0: DefaultFetchBytes
	progress.Sink

	// Warnings says which files could not be kept in which store.
	Warnings []fault.Warning
}

// Find gives the first file on the path that is what k says, and where it was.
// It is copied to all stores left of there in its element. A place that has
// something else under the key is passed over; its error is the one returned
// when nobody has the file. Otherwise the code is symbols-not-found, or
// symbols-offline when a server could not be asked.
func (c *Chain) Find(ctx context.Context, k Key) (File, pdb.Origin, error) {
	s := search{c: c, ctx: ctx, k: k}
	for _, l := range c.Links {
		f, from, err := s.link(l)
		if f != nil || err != nil {
			return f, from, err
		}
	}
	return nil, pdb.Origin{}, s.failure()
}

// search is one run of Find.
type search struct {
	c     *Chain
	ctx   context.Context
	k     Key
	asked []string
	worst error // of what was passed over; the gravest, the first of them
}

// gravity orders failures by how much they say.
var gravity = map[fault.Code]int{
	fault.SymbolsNotFound: 1, fault.SymbolsOffline: 2, fault.ServerBusy: 2, fault.SymbolsUnreadable: 3,
	fault.SymbolsCompressed: 4, fault.SymbolsNotAPDB: 5, fault.PDBDamaged: 6, fault.SymbolsMismatch: 7,
}

// passed notes a failure and says whether the search is over.
func (s *search) passed(place string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		s.c.Logf("symbols: %s does not have %s", place, s.k)
		return nil
	}
	s.c.Logf("symbols: %s: %v", place, err)
	if ctxErr := cancelled(s.ctx); ctxErr != nil || fault.Is(err, fault.Cancelled) {
		return errors.Join(ctxErr, err)
	}
	f := fault.As(err)
	if s.worst == nil || gravity[f.Code] > gravity[fault.As(s.worst).Code] {
		shown := *f // the hint is about this occurrence
		shown.Hints = append([]fault.Step{{Text: "this is what " + place + " gave"}}, f.Hints...)
		s.worst = &shown
	}
	return nil
}

func (s *search) failure() error {
	if s.worst != nil {
		return s.worst
	}
	err := fault.New(fault.SymbolsNotFound, "no symbol store or server has %s", s.k)
	for _, a := range s.asked {
		err.Hint("asked %s", a)
	}
	return err
}

// link searches one element; all nil: it does not have the file.
func (s *search) link(l Link) (File, pdb.Origin, error) {
	for i, p := range l.Places {
		s.asked = append(s.asked, p.Name)
		f, err := Verified(s.ctx, p.Store, s.k)
		if err == nil {
			s.c.Logf("symbols: found in %s", p.Name)
			s.copy(l.Places[:i], f)
			return f, p.origin(), nil
		}
		if err := s.passed(p.Name, err); err != nil {
			return nil, pdb.Origin{}, err
		}
	}
	if l.URL == "" || s.c.Fetcher == nil {
		return nil, pdb.Origin{}, nil
	}
	url := strings.TrimRight(l.URL, "/") + "/" + s.k.String()
	s.asked = append(s.asked, url)
	f, err := s.fetch(l)
	if err == nil {
		s.c.Logf("symbols: fetched %d bytes from %s", f.Size(), l.URL)
		return f, pdb.Origin{Kind: pdb.FromServer, Name: l.URL}, nil
	}
	return nil, pdb.Origin{}, s.passed(url, err)
}

// copy puts a verified file into stores. One that does not take it does not keep
// it from being used.
func (s *search) copy(places []Place, f File) {
	for _, p := range places {
		if err := p.Store.Put(s.ctx, s.k, io.NewSectionReader(f, 0, f.Size())); err != nil {
			s.notKept(p, err)
			continue
		}
		s.c.Logf("symbols: kept in %s", p.Name)
	}
}

// fetch downloads into the leftmost store that takes files before they are
// verified, else into memory, verifies, and publishes in all stores. When a
// store fails the server is asked again for the next one.
func (s *search) fetch(l Link) (File, error) {
	for i, p := range l.Places {
		st, ok := p.Store.(Stager)
		if !ok {
			continue
		}
		var own error // of the store, not of what came
		f, err := s.download(l.URL, func(r io.Reader) (f File, err error) {
			f, own, err = s.stage(st, r)
			return f, errors.Join(own, err)
		})
		if own != nil {
			s.notKept(p, own)
			continue
		}
		if err == nil {
			s.copy(append(append([]Place{}, l.Places[:i]...), l.Places[i+1:]...), f)
		}
		return f, err
	}
	f, err := s.download(l.URL, s.memory)
	if err == nil {
		s.copy(l.Places, f)
	}
	return f, err
}

// download asks the server and passes on what comes. A failure on the way is the
// server's, whatever taker made of it.
func (s *search) download(url string, taker func(io.Reader) (File, error)) (File, error) {
	body, size, err := s.c.Fetcher.Fetch(s.ctx, url, s.k)
	if err != nil {
		return nil, err
	}
	defer body.Close() // only read
	return taker(&countingReader{s: s, r: body, size: size})
}

func (s *search) notKept(p Place, err error) {
	s.c.Warnings = append(s.c.Warnings, fault.Warn(fault.SymbolsUnreadable, "%s could not be kept in %s: %s", s.k.Name, p.Name, fault.As(err).Text))
}

// stage takes the download in, verifies and publishes it, and opens it again. It
// tells the store's failures from those of the file.
func (s *search) stage(st Stager, r io.Reader) (f File, own, err error) {
	watched := &sourceReader{r: r}
	staged, err := st.Stage(s.ctx, s.k, watched)
	switch {
	case watched.err != nil:
		return nil, nil, watched.err
	case err != nil && fault.Is(err, fault.Cancelled):
		return nil, nil, err
	case err != nil:
		return nil, err, nil
	}
	if err := Verify(staged, s.k); err != nil {
		staged.Close() // the reason is the file's, not the store's
		if fault.Is(err, fault.SymbolsUnreadable) {
			return nil, err, nil
		}
		return nil, nil, err
	}
	if err := errors.Join(staged.Publish(), staged.Close()); err != nil {
		return nil, err, nil
	}
	f, own = Verified(s.ctx, st, s.k)
	return f, own, nil
}

// memory holds the download.
func (s *search) memory(r io.Reader) (File, error) {
	limit := s.c.FetchBytes
	if limit <= 0 {
		limit = DefaultFetchBytes
	}
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fault.New(fault.SymbolsUnreadable, "%s has more than %d bytes, and no store takes it in", s.k.Name, limit)
	}
	f := Memory(data)
	if err := Verify(f, s.k); err != nil {
		return nil, err
	}
	return f, nil
}

// Memory is a File over bytes that the caller no longer changes.
func Memory(data []byte) File { return &memoryFile{bytes.NewReader(data)} }

type memoryFile struct{ *bytes.Reader }

// Close does nothing.
func (memoryFile) Close() error { return nil }

// countingReader reports progress and compares the length with the one that was
// announced: a connection that breaks may look like an end.
type countingReader struct {
	s    *search
	r    io.Reader
	size int64
	done int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := cancelled(c.s.ctx); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.done += int64(n)
	c.s.c.Report("fetching "+c.s.k.Name, c.done, max(c.size, 0))
	switch {
	case err == io.EOF && c.size >= 0 && c.done != c.size:
		err = fault.Wrap(io.ErrUnexpectedEOF, fault.SymbolsOffline, "the symbol server gave %d bytes of %s and had announced %d", c.done, c.s.k.Name, c.size)
	case err != nil && err != io.EOF:
		var f *fault.Error
		if !errors.As(err, &f) {
			err = fault.Wrap(err, fault.SymbolsOffline, "the symbol server broke off %s after %d bytes: %v", c.s.k.Name, c.done, err)
		}
	}
	return n, err
}
