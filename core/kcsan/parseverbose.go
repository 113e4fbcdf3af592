package kcsan

import (
	"strconv"
	"strings"
)

// parseLocks reads the first line of a verbose block.
func parseLocks(s string) (h HeldLocks, ok bool) {
	if s == lockdepOff {
		return HeldLocks{Off: true}, true
	}
	if who, is := strings.CutPrefix(s, noLocks); is {
		who, ok = strings.CutSuffix(who, ".")
		return h, ok && h.parseOwner(who)
	}
	depth, who, ok := strings.Cut(s, " held by ")
	if !ok {
		return h, false
	}
	number, _, _ := strings.Cut(depth, " ")
	if word := strings.TrimPrefix(depth, number); word != " lock" && word != " locks" {
		return h, false
	}
	var err error
	if h.Depth, err = strconv.Atoi(number); err != nil {
		return h, false
	}
	who, ok = strings.CutSuffix(who, ":")
	return h, ok && h.parseOwner(who)
}

// parseOwner reads "comm/pid"; a name may itself hold a slash.
func (h *HeldLocks) parseOwner(s string) bool {
	comm, pid, ok := cutLast(s, "/")
	n, err := strconv.Atoi(pid)
	h.Comm, h.PID = comm, n
	return ok && err == nil
}

// parseLock reads " #0: …".
func parseLock(s string) (lock string, ok bool) {
	s, ok = strings.CutPrefix(s, " #")
	if !ok {
		return "", false
	}
	number, lock, ok := strings.Cut(s, ": ")
	return lock, ok && digits(number)
}

// parseStamp reads "irq event stamp: 7".
func parseStamp(s string) (stamp uint32, ok bool) {
	s, ok = strings.CutPrefix(s, irqStamp)
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), ok && err == nil
}

// parseIRQEvent reads one of the four event lines.
func parseIRQEvent(s, name string) (e IRQEvent, ok bool) {
	s, ok = strings.CutPrefix(s, name+"(")
	if !ok {
		return e, false
	}
	stamp, s, _ := strings.Cut(s, "): [<")
	addr, s, ok := strings.Cut(s, ">] ")
	n, err := strconv.ParseUint(stamp, 10, 32)
	if !ok || err != nil {
		return e, false
	}
	if e.Frame, ok = parseFrame(s); !ok || e.Inline {
		return e, false
	}
	e.Stamp = uint32(n)
	return e, parseHex(addr, &e.Addr)
}
