package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"coredrop/core/fault"
)

// Class says whose doing a failure is, and so what may be concluded from it.
type Class int

// The classes of failures.
const (
	Own       Class = iota // not the server's: cancelled, the address, the store
	Definite               // the server does not have the file, or another one under its name
	Trouble                // the server, or what is in front of it, answers nonsense
	Unreached              // no answer, or one that broke off in the network
	Busy                   // the server asks for patience: see RetryAfter
)

// answer is the cause of a failure that is a status.
type answer struct {
	status int
	after  time.Duration // 0: not said
}

func (a *answer) Error() string { return fmt.Sprintf("status %d", a.status) }

// ClassOf gives the class of a failure of a download, its verification included.
func ClassOf(err error) Class {
	var status *answer
	var refused *RedirectError
	answered := errors.As(err, &status)
	switch fault.As(err).Code {
	case fault.SymbolsNotFound, fault.SymbolsMismatch, fault.SymbolsCompressed:
		return Definite
	case fault.SymbolsNotAPDB, fault.PDBDamaged:
		return Trouble
	case fault.ServerBusy:
		if answered {
			return Busy
		}
	case fault.SymbolsOffline:
		if answered || errors.As(err, &refused) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errLong) {
			return Trouble
		}
		return Unreached
	}
	return Own
}

// RetryAfter gives how long a busy server asks to be left alone, 0 if it does not
// say; limited says that it means all files and not the one that was asked for.
func RetryAfter(err error) (after time.Duration, limited bool) {
	var status *answer
	if !errors.As(err, &status) {
		return 0, false
	}
	return status.after, status.status == http.StatusTooManyRequests
}

// Patience reads a Retry-After header: seconds, or a date; 0: it does not say.
func Patience(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}
