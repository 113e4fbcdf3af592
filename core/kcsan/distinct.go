package kcsan

import "slices"

// An Entry stands for all reports of a log with the same text.
type Entry struct {
	Found     // the first of them
	Count int // how many there are
}

// Distinct puts reports with the same text together, in the order in which each
// text was first found. Fragments with the same text but another reason stay
// apart.
func Distinct(found []Found) []Entry {
	type key struct{ text, reason string }
	index := make(map[key]int, len(found))
	var entries []Entry
	for _, f := range found {
		k := key{f.Text(), f.Reason}
		if i, ok := index[k]; ok {
			entries[i].Count++
			continue
		}
		index[k] = len(entries)
		entries = append(entries, Entry{Found: f, Count: 1})
	}
	return entries
}

// A Group is the entries that are about the same race.
type Group struct {
	Title   string // see [Report.Title]; of a fragment, its title line's
	Entries []Entry
	Count   int // of all reports
}

// GroupByTitle puts entries with the same title together for display: the most
// frequent title first, and among equals the one found first.
func GroupByTitle(entries []Entry) []Group {
	index := map[string]int{}
	var groups []Group
	for _, e := range entries {
		title := e.Title
		if e.Report != nil {
			title = e.Report.Title()
		}
		i, ok := index[title]
		if !ok {
			i = len(groups)
			index[title] = i
			groups = append(groups, Group{Title: title})
		}
		groups[i].Entries = append(groups[i].Entries, e)
		groups[i].Count += e.Count
	}
	slices.SortStableFunc(groups, func(a, b Group) int { return b.Count - a.Count })
	return groups
}
