package dmp

import (
	"coredrop/core/fault"
	"coredrop/core/mem"
)

// maxNamed bounds how many warnings name a page each; the next one counts the
// rest.
const maxNamed = 8

// partialWarnings names the pages that the core holds only in part.
func partialWarnings(partial []mem.PA, fate string) []fault.Warning {
	var list []fault.Warning
	for i, pa := range partial {
		if i == maxNamed {
			list = append(list, fault.Warn(fault.PartialPage, "%d more pages are in the core only in part; %s", len(partial)-i, fate))
			break
		}
		list = append(list, fault.Warn(fault.PartialPage, "page %#x is in the core only in part; %s", uint64(pa)/mem.PageSize, fate))
	}
	return list
}

func countPages(runs []mem.Run) (n uint64) {
	for _, r := range runs {
		n += r.Pages
	}
	return n
}
