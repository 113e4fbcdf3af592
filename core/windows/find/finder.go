package find

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/pe"
	"coredrop/core/windows"
)

// maxKernels is how many images that look like the kernel are examined.
const maxKernels = 64

// finder carries one search for the kernel.
type finder struct {
	ctx context.Context
	m   *machine.Machine
	p   *platform
	o   Options

	tried    []string // strategies for the page-table base, for the message
	known    map[rootKey]bool
	later    []root   // the shared page did not resolve through them
	roots    []root   // through which the shared page resolves
	near     budget   // of the short walks
	far      budget   // of those that go on where a short one ended
	swept    budget   // of looks through the tables
	read     budget   // of looks around pointers
	scan     uint64   // bytes of images left to search
	hints    []mem.VA // addresses of or inside the kernel image, from notes
	notes    []fwcfgNote
	pdbs     map[pe.CodeView]symbols
	kernels  []*found // candidates that look like the kernel, in order of discovery
	seen     map[candidate]bool
	refused  []string // why images and blocks were passed over
	samples  *sampler // of the pass over all memory; nil: there was none
	pointers int      // into the kernel, below which its image was looked for
	idts     int      // CPUs with an interrupt table whose first gate was looked at
	gates    int      // interrupt gates that could be read
	shared   bool     // some root showed a page that is KUSER_SHARED_DATA by its content
	failure  error
}

// root is a candidate for the page-table base.
type root struct {
	value uint64
	mode  *paging.Mode
	from  windows.Root
}

// strategy is one way to page-table bases. All candidates pass the same test:
// the shared page resolves, and the kernel is found through them.
type strategy struct {
	name       string
	candidates func(f *finder) iter.Seq[root]
}

// candidate is an image seen through one root, by its header or by what was
// found of it elsewhere.
type candidate struct {
	root   mem.PA
	base   mem.VA
	marked bool
}

// found is an image that looks like the kernel, with what was found through it.
type found struct {
	root           root
	space          *paging.Space
	image          *pe.Image
	symbols        symbols
	doubts         []string  // what of its header cannot be used, and what was used in its place
	memory         *inMemory // what the search in memory says of the block; nil: not asked
	block          windows.KDBG
	flag           mem.VA // KdpDataBlockEncoded
	contradictions int
	reason         error // the first contradiction
	err            error // why there is no block
	warnings       []fault.Warning
}

// complete says that nothing contradicts the candidate.
func (c *found) complete() bool { return c.err == nil && c.contradictions == 0 }

func (f *finder) logf(format string, args ...any) { f.o.Logf(format, args...) }

// rootKey tells address spaces apart.
type rootKey struct {
	pa   mem.PA
	mode *paging.Mode
}

// quick runs the strategies that read no more than a few pages until one leads
// to a kernel that nothing contradicts; else the best of what was found is
// taken. nil: a pass over all of memory may still lead to one, where nothing
// that looks like a kernel was found.
func (f *finder) quick(strategies []strategy) (*found, error) {
	for _, s := range strategies {
		f.tried = append(f.tried, s.name)
		for r := range s.candidates(f) {
			if c, err := f.try(r, true); c != nil || err != nil {
				return c, err
			}
		}
		if c := f.best(); c != nil {
			return c, nil
		}
	}
	return nil, f.ctx.Err()
}

// try looks for the kernel through a root, once. keep says that a root through
// which the shared page does not resolve is worth a look at the end: perhaps the
// page is not in the core.
func (f *finder) try(r root, keep bool) (*found, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	space := paging.New(f.m.Mem, r.value, r.mode)
	k := rootKey{space.Root, r.mode}
	if f.known[k] {
		return nil, nil
	}
	f.known[k] = true
	if !space.Resolves(windows.SharedVA) {
		f.logf("page-table base %#x (%s): the shared page does not resolve", uint64(space.Root), r.from)
		if keep {
			f.later = append(f.later, r)
		}
		return nil, nil
	}
	f.roots = append(f.roots, r)
	f.logf("page-table base %#x (%s, %s): the shared page resolves", uint64(space.Root), r.from, r.mode.Name)
	f.noteShared(space)
	c := f.through(space, r, true)
	return c, f.failure
}

// last looks through the roots that were kept for the end, while nothing that
// looks like a kernel was seen.
func (f *finder) last() (*found, error) {
	for _, r := range f.later {
		if len(f.kernels) > 0 || f.ctx.Err() != nil {
			break
		}
		c := f.through(paging.New(f.m.Mem, r.value, r.mode), r, false)
		if c != nil || f.failure != nil {
			return c, f.failure
		}
	}
	if err := f.ctx.Err(); err != nil {
		return nil, err
	}
	return f.best(), nil
}

// noteShared remembers whether a root shows the real shared page.
func (f *finder) noteShared(s *paging.Space) {
	f.shared = f.shared || windows.ShowsShared(s)
}

// best is the usable candidate with the fewest contradictions, the first of
// equals; nil when there is none.
func (f *finder) best() *found {
	var b *found
	for _, c := range f.kernels {
		if c.err != nil {
			continue
		}
		if b == nil || c.contradictions < b.contradictions {
			b = c
		}
	}
	return b
}

// through looks for the kernel through one root. It returns a candidate that
// nothing contradicts; the others are kept in f.kernels.
func (f *finder) through(s *paging.Space, r root, deep bool) *found {
	for at := range f.bases(s, deep) {
		if c := f.judge(s, r, at); c != nil || f.failure != nil || len(f.kernels) >= maxKernels {
			return c
		}
	}
	return nil
}

// judge examines what is said to be the kernel, once. It returns a candidate that
// nothing contradicts; the others are kept in f.kernels.
func (f *finder) judge(s *paging.Space, r root, at claim) *found {
	k := candidate{s.Root, at.base, at.mark != nil}
	if f.seen[k] || len(f.kernels) >= maxKernels {
		return nil
	}
	f.seen[k] = true
	c := f.examine(s, r, at)
	if c == nil {
		return nil
	}
	f.kernels = append(f.kernels, c)
	switch {
	case c.complete():
		return c
	case c.err != nil:
		f.refuse("image at %v: %v", at.base, c.err)
	default:
		f.refuse("image at %v: %v", at.base, c.reason)
	}
	return nil
}

// refuse remembers why something was passed over.
func (f *finder) refuse(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	f.logf("%s", text)
	if len(f.refused) < 16 && !slices.Contains(f.refused, text) {
		f.refused = append(f.refused, text)
	}
}
