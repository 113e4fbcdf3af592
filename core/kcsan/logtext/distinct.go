package logtext

import (
	"crypto/sha256"
	"slices"
	"strings"

	"coredrop/core/kcsan"
)

// An Entry stands for all reports of a log with the same text.
type Entry struct {
	Found     // the first of them
	Count int // how many there are
	// Times are those of the occurrences that have one, in nanoseconds since
	// boot, in the log's order; of very many, the first.
	Times []uint64
}

// A Log is what a log holds: every text once.
type Log struct {
	Entries []Entry
	// Count counts the reports and fragments, equal ones as often as they
	// occur.
	Count int
	// Unkept counts those of them whose text is not kept, since the log holds
	// more different ones than fit into memory: they are entries by their titles
	// only, as fragments. Unnamed counts those of which not even the title is.
	Unkept, Unnamed int
}

// Bounds of what is kept of a log, in bytes of text, titles and occurrences. A
// kept text costs about five times its length, and as much again to be shown.
const (
	maxKeptText   = 2 << 20
	maxKeptTitles = 10_000
	maxKeptTimes  = 1 << 18
)

// A collector puts equal reports together while a log is read.
type collector struct {
	log    Log
	index  map[textKey]int
	titles map[string]int // entries without a text
	text   int
	times  int
	buf    []byte
}

// textKey stands for a text with its reason and differences.
type textKey [sha256.Size]byte

// key makes the key, and counts the bytes of the text.
func (c *collector) key(f *Found) (textKey, int) {
	c.buf = c.buf[:0]
	for _, l := range f.Lines {
		c.buf = append(append(c.buf, l...), '\n')
	}
	size := len(c.buf)
	c.buf = append(append(c.buf, 0), f.Reason...)
	for _, d := range f.Differences {
		c.buf = append(append(c.buf, 0), d...)
	}
	return sha256.Sum256(c.buf), size
}

// add takes over a report or fragment.
func (c *collector) add(f Found) {
	c.log.Count++
	key, size := c.key(&f)
	i, ok := c.index[key]
	switch {
	case ok:
	case c.text+size <= maxKeptText:
		if c.index == nil {
			c.index = map[textKey]int{}
		}
		i = len(c.log.Entries)
		c.index[key] = i
		c.text += size
		if f.Grade == kcsan.GradeWhole {
			f.Lines = nil // the model prints them
		}
		c.log.Entries = append(c.log.Entries, Entry{Found: f})
	default:
		c.log.Unkept++
		if i, ok = c.untitled(f); !ok {
			c.log.Unnamed++
			return
		}
	}
	e := &c.log.Entries[i]
	e.Count++
	if f.Timed && c.times < maxKeptTimes {
		c.times++
		e.Times = append(e.Times, f.Time)
	}
}

// untitled finds the entry of reports whose text is not kept.
func (c *collector) untitled(f Found) (int, bool) {
	name := f.Title
	if i, ok := c.titles[name]; ok {
		return i, true
	}
	if len(c.titles) >= maxKeptTitles {
		return 0, false
	}
	if c.titles == nil {
		c.titles = map[string]int{}
	}
	name = strings.Clone(name[:min(len(name), maxPrefix)])
	i := len(c.log.Entries)
	c.titles[strings.Clone(f.Title[:min(len(f.Title), maxPrefix)])] = i
	c.log.Entries = append(c.log.Entries, Entry{Found: Found{Title: name, Time: f.Time, Timed: f.Timed,
		Reading: kcsan.Reading{Reason: "the log holds more different reports than are kept: only their title and number are",
			Lines: []string{titleLine + name}}}})
	return i, true
}

// Distinct puts reports with the same text together, in the order in which each
// text was first found. Fragments with the same text but another reason stay
// apart.
func Distinct(found []Found) []Entry {
	var c collector
	for _, f := range found {
		c.add(f)
	}
	return c.log.Entries
}

// A Group is the entries that are about the same race.
type Group struct {
	Title   string // see [kcsan.Report.Title]; of a fragment, its title line's
	Entries []Entry
	Count   int // of all reports
}

// GroupByTitle puts entries with the same title together for display: the most
// frequent title first, and among equals the one found first.
func GroupByTitle(entries []Entry) []Group {
	index := map[string]int{}
	var groups []Group
	for _, e := range entries {
		i, ok := index[e.Title]
		if !ok {
			i = len(groups)
			index[e.Title] = i
			groups = append(groups, Group{Title: e.Title})
		}
		groups[i].Entries = append(groups[i].Entries, e)
		groups[i].Count += e.Count
	}
	slices.SortStableFunc(groups, func(a, b Group) int { return b.Count - a.Count })
	return groups
}
