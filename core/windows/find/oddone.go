package find

import "coredrop/core/windows"

// Bounds of telling the odd one out.
const (
	minForOdd = 3
	sameLoop  = 0x100 // a wait loop is no longer than this
)

// oddOneOut finds the one processor in the kernel that does not stand where all
// the others wait; nil: there is none, or there are too few to tell.
func oddOneOut(all []*suspect) *suspect {
	in := only(all, func(s *suspect) bool { return s.cpu != nil && s.cpu.Kernel() && s.cpu.PC()>>63 == 1 })
	if len(in) < minForOdd {
		return nil
	}
	near := func(a, b *suspect) bool { return max(a.cpu.PC(), b.cpu.PC())-min(a.cpu.PC(), b.cpu.PC()) < sameLoop }
	// Of three, two stand together where one is odd.
	first := in[0]
	if !near(in[0], in[1]) && !near(in[0], in[2]) {
		first = in[1]
	}
	var odd *suspect
	for _, s := range in {
		switch {
		case near(s, first):
			if !windows.Frozen(s.cpu) {
				return nil
			}
		case odd != nil:
			return nil
		default:
			odd = s
		}
	}
	return odd
}
