package symbols

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"coredrop/core/fault"
	"coredrop/server/upstream"
)

// patient is a failure that goes away by itself.
type patient struct {
	error
	after time.Duration
}

// Unwrap gives the failure.
func (p *patient) Unwrap() error { return p.error }

// later says after how long a refused request may be sent again; false: that is
// no help.
func later(err error) (time.Duration, bool) {
	if !fault.Is(err, fault.ServerBusy) {
		return 0, false
	}
	var p *patient
	if errors.As(err, &p) {
		return p.after, true
	}
	if after, _ := upstream.RetryAfter(err); after > 0 {
		return min(after, restLast), true
	}
	return retryAfter, true
}

// refuse answers with an error of the catalogue, as JSON, that nobody caches: 503
// where asking again helps, else 404. To a proxy, which remembers a 404 longer
// than the trouble may last, trouble is 503.
func refuse(w http.ResponseWriter, err error, toProxy bool) {
	f := fault.As(err)
	status := http.StatusNotFound
	after, busy := later(err)
	if class := upstream.ClassOf(err); !busy && toProxy && class != upstream.Definite {
		after, busy = holdTrouble, true
	}
	if busy {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int((after+time.Second-1)/time.Second))))
		w.Header().Set("Connection", "close") // another client may have its place
	}
	if f.Code == fault.Internal {
		// The cause may name a path on this machine.
		f = fault.New(fault.SymbolsUnreadable, "this server could not read its symbol store")
	}
	// The page adds the catalogue's remedies, as it does to errors of its own.
	remedy := fault.Lines(f.Hints, fault.Page)
	body, jsonErr := json.Marshal(struct {
		Code   fault.Code `json:"code"`
		Text   string     `json:"text"`
		Remedy []string   `json:"remedy"`
	}{f.Code, f.Text, remedy})
	if jsonErr != nil {
		body = []byte(`{}`) // strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(append(body, '\n')) // the client is gone if this fails
}
