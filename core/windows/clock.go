package windows

import (
	"fmt"
	"strings"

	"coredrop/core/fault"
)

// Bounds of a guest's clocks, in units of 100 ns. A FILETIME counts from 1601.
const (
	ticksPerDay  = 24 * 60 * 60 * 10_000_000
	daysTo1970   = 134_774
	clockFirst   = (daysTo1970 + 10_957) * ticksPerDay // 2000
	clockLast    = (daysTo1970 + 47_482) * ticksPerDay // 2100
	longestClock = 36_525 * ticksPerDay                // 100 years since the start
)

// clocks reads the two clocks of the shared page. One that cannot be right is
// left at 0, and clockTrouble says why.
func (d *SharedData) clocks(p []byte) {
	var trouble []string
	clock := func(name string, off int, first, last uint64, limits string) uint64 {
		t, ok := systemTime(p, off)
		switch {
		case !ok:
			trouble = append(trouble, fmt.Sprintf("the parts of the %s contradict each other", name))
		case t < first || t > last:
			trouble = append(trouble, fmt.Sprintf("the %s, %#x, is not %s", name, t, limits))
		default:
			return t
		}
		return 0
	}
	d.SystemTime = clock("system time", kusdSystemTime, clockFirst, clockLast, "between 2000 and 2100")
	d.InterruptTime = clock("uptime", kusdInterruptTime, 0, longestClock, "below 100 years")
	d.clockTrouble = strings.Join(trouble, "; ")
}

// WarnClock says that a clock of the guest is left out.
func (k *Kernel) WarnClock() {
	if t := k.Shared.clockTrouble; t != "" {
		k.Warn(fault.ClockImplausible, "the guest's clock cannot be right and is left out: %s", t)
	}
}

// systemTime gives a KSYSTEM_TIME: low part, high part and the high part again.
// The writer stores high2, low, high1 in this order, so the two differ only
// where the guest was stopped in between, and by one. A low part that has just
// wrapped is the new one and belongs to high2; one that is about to wrap is the
// old one. false: the parts were never stored so.
func systemTime(p []byte, off int) (uint64, bool) {
	low, high1, high2 := u32(p, off), u32(p, off+4), u32(p, off+8)
	high := high1
	if high2 != high1 {
		if high2 != high1+1 {
			return 0, false
		}
		if low < 1<<31 {
			high = high2
		}
	}
	return uint64(high)<<32 | uint64(low), true
}
