package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"coredrop/core/progress"
	"coredrop/core/words"
)

// terminal shows the counts of a job as one line that is drawn over itself.
// It is silent when its writer is not a terminal, and never draws more often
// than ten times a second.
type terminal struct {
	w     io.Writer // nil: show nothing
	log   io.Writer // where -v lines go; nil: nowhere
	now   func() time.Time
	stage string
	began time.Time
	last  time.Time
	drawn int // how many characters are on the line
}

const drawEvery = 100 * time.Millisecond

// newTerminal shows progress on stderr if that is a terminal, and log lines if
// verbose.
func newTerminal(stderr io.Writer, verbose bool) *terminal {
	t := &terminal{now: time.Now}
	if f, ok := stderr.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb" {
			t.w = stderr
		}
	}
	if verbose {
		t.log = stderr
	}
	return t
}

// sink is what the core reports to.
func (t *terminal) sink() progress.Sink {
	s := progress.Sink{OnProgress: t.progress}
	if t.log != nil {
		s.OnLine = t.line
	}
	return s
}

// progress draws the counts.
func (t *terminal) progress(stage string, done, total int64) {
	if t.w == nil {
		return
	}
	now := t.now()
	if stage != t.stage {
		t.stage, t.began, t.last = stage, now, time.Time{}
	}
	if now.Sub(t.last) < drawEvery {
		return
	}
	t.last = now
	t.draw(oneLine(t.text(done, total, now.Sub(t.began))))
}

// draw puts a line over the one before. What that has more is written over with
// spaces: not every console knows the sequence that clears a line.
func (t *terminal) draw(line string) {
	length := utf8.RuneCountInString(line)
	fmt.Fprintf(t.w, "\r%s%s", line, strings.Repeat(" ", max(0, t.drawn-length)))
	t.drawn = length
}

// text is "writing  42%  2.0 of 4.8 GB  510 MB/s  5 s left".
func (t *terminal) text(done, total int64, took time.Duration) string {
	if total <= 0 {
		return fmt.Sprintf("%s  %s", t.stage, words.Bytes(done))
	}
	s := fmt.Sprintf("%s %3d%%  %s of %s", t.stage, percent(done, total), words.Bytes(done), words.Bytes(total))
	// A rate from a moment is noise.
	if took < time.Second || done <= 0 {
		return s
	}
	rate := float64(done) / took.Seconds()
	left := time.Duration(float64(total-done) / rate * float64(time.Second))
	return fmt.Sprintf("%s  %s/s  %s left", s, words.Bytes(int64(rate)), left.Round(time.Second))
}

// percent rounds down and stays within 0 and 100: 100 means done.
func percent(done, total int64) int {
	return max(0, min(100, int(float64(done)/float64(total)*100)))
}

// line prints one line of the log; the progress makes room for it.
func (t *terminal) line(s string) {
	t.clear()
	fmt.Fprintln(t.log, oneLine(s))
}

// clear removes the progress from the screen.
func (t *terminal) clear() {
	if t.drawn > 0 {
		t.draw("")
		fmt.Fprint(t.w, "\r")
	}
}
