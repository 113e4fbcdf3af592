package accesslog

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// written gives a log, the lines it writes, and its clock.
func written() (l *Log, lines func() []map[string]any, clock *time.Time) {
	var text strings.Builder
	now := time.Unix(0, 0)
	l = &Log{Out: slog.New(slog.NewJSONHandler(&text, nil)), Now: func() time.Time { return now }}
	return l, func() (list []map[string]any) {
		for line := range strings.Lines(text.String()) {
			var m map[string]any
			if json.Unmarshal([]byte(line), &m) != nil {
				panic(line)
			}
			list = append(list, m)
		}
		text.Reset()
		return list
	}, &now
}

func TestOneLineARequest(t *testing.T) {
	l, lines, _ := written()
	l.Write(t.Context(), Entry{Method: "GET", Key: "a.pdb/1/a.pdb", Status: 200, Result: "miss", Source: "upstream", Upstream: "up.example", Bytes: 12, Took: 34 * time.Millisecond})
	l.Write(t.Context(), Entry{Method: "PROPFINDING", Status: 405, Result: "error"})
	l.Write(t.Context(), Entry{Method: "GET", Key: "k", Status: 200, Result: "miss", Unkept: "full"})
	l.Write(t.Context(), Entry{Method: "GET", Key: "k", Status: 404, Result: "error", Code: "symbols-unreadable", Text: "broken", Mend: true})
	list := lines()
	if len(list) != 4 {
		t.Fatalf("%d lines: %v", len(list), list)
	}
	for name, want := range map[string]any{"level": "INFO", "msg": "symbols", "method": "GET", "key": "a.pdb/1/a.pdb", "status": 200.0, "result": "miss", "source": "upstream", "upstream": "up.example", "bytes": 12.0, "ms": 34.0} {
		if list[0][name] != want {
			t.Errorf("%s is %v, not %v", name, list[0][name], want)
		}
	}
	for _, absent := range []string{"code", "error", "unkept", "repeated"} {
		if _, ok := list[0][absent]; ok {
			t.Errorf("a %s of nothing", absent)
		}
	}
	if list[1]["method"] != "PROPFIND" || list[1]["key"] != "" {
		t.Errorf("%v", list[1])
	}
	if list[2]["level"] != "WARN" || list[2]["unkept"] != "full" || list[3]["level"] != "WARN" || list[3]["error"] != "broken" || list[3]["code"] != "symbols-unreadable" {
		t.Errorf("%v %v", list[2], list[3])
	}
	(&Log{}).Write(t.Context(), Entry{Method: "GET"}) // nowhere
}

// The same miss is written once in ten minutes, then with how often it was not.
func TestRepeatedMisses(t *testing.T) {
	l, lines, clock := written()
	miss := Entry{Method: "GET", Key: "a", Status: 404, Result: "negative", Miss: true}
	other := miss
	other.Key = "b"
	for range 5 {
		l.Write(t.Context(), miss)
	}
	l.Write(t.Context(), other)
	if list := lines(); len(list) != 2 || list[0]["key"] != "a" || list[1]["key"] != "b" {
		t.Errorf("%v", list)
	}
	*clock = clock.Add(Quiet - 1)
	if l.Write(t.Context(), miss); len(lines()) != 0 {
		t.Error("too early")
	}
	*clock = clock.Add(1)
	l.Write(t.Context(), miss)
	if list := lines(); len(list) != 1 || list[0]["repeated"] != 5.0 {
		t.Errorf("%v", list)
	}
	found := miss
	found.Miss = false
	l.Write(t.Context(), found)
	l.Write(t.Context(), found)
	if list := lines(); len(list) != 2 {
		t.Errorf("what is no miss: %v", list)
	}
}

// Invented names do not fill the memory.
func TestRememberedIsBounded(t *testing.T) {
	l, _, clock := written()
	for i := range 3 * remembered {
		*clock = clock.Add(time.Millisecond)
		l.Write(t.Context(), Entry{Method: "GET", Key: fmt.Sprint(i), Miss: true})
	}
	if n := len(l.misses); n > remembered {
		t.Errorf("%d are remembered", n)
	}
}
