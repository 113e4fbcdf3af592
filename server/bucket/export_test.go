package bucket

import (
	"testing"
	"time"
)

// Impatience leaves a store little time for an answer.
func Impatience(t *testing.T) {
	before := answerWithin
	answerWithin = 100 * time.Millisecond
	t.Cleanup(func() { answerWithin = before })
}

// Hurry leaves little time for what follows the end of a context.
func Hurry(t *testing.T) {
	before := afterwards
	afterwards = 10 * time.Millisecond
	t.Cleanup(func() { afterwards = before })
}

// Patience is the time that a store has for an answer.
func Patience() time.Duration { return answerWithin }

// Of gives the upload as one of another client of the same store.
func Of(u *Upload, s *Store) *Upload { return &Upload{store: s, to: u.to, id: u.id, parts: u.parts} }
