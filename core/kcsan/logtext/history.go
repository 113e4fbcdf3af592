package logtext

// A history keeps the last lines of a log, for reports whose beginning was lost
// and for traces that a report stands in.
type history struct {
	ring [historyLines]past
	n    int
}

// past is a line as it came.
type past struct {
	line   []byte
	record bool   // of a kernel log, without prefix
	caller string // of a record
}

// Bounds of the history.
const (
	historyLines = 256
	historyBytes = 1024
)

func (h *history) push(line string, record bool, caller string) {
	p := &h.ring[h.n%historyLines]
	p.line = append(p.line[:0], line[:min(len(line), historyBytes)]...)
	p.record, p.caller = record, caller
	h.n++
}

// pushBytes is push for a line of text that nobody else needs.
func (h *history) pushBytes(line []byte) {
	p := &h.ring[h.n%historyLines]
	p.line = append(p.line[:0], line[:min(len(line), historyBytes)]...)
	p.record, p.caller = false, ""
	h.n++
}

// back visits the lines from the last to the first, until visit answers false.
func (h *history) back(visit func(p *past) bool) {
	for i := 1; i <= min(h.n, historyLines); i++ {
		if !visit(&h.ring[(h.n-i)%historyLines]) {
			return
		}
	}
}
