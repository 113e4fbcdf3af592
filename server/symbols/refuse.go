package symbols

import (
	"encoding/json"
	"net/http"

	"coredrop/core/fault"
)

// refuse answers with an error of the catalogue, as JSON, that nobody caches:
// 503 where asking again helps, else 404.
func refuse(w http.ResponseWriter, err error) {
	f := fault.As(err)
	status := http.StatusNotFound
	if f.Code == fault.ServerBusy {
		status = http.StatusServiceUnavailable
		w.Header().Set("Retry-After", retryAfter)
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
