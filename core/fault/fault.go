// Package fault holds the one list of things that can go wrong: a stable code,
// a sentence and the next steps for each. The page, the command line and the
// documentation render this list. It imports nothing of the module's own.
//
// Three kinds of failure of a memory read are not here, because only their
// consequence concerns a user: they are told apart by errors.Is with
// mem.ErrHole, paging.ErrNotPresent and paging.ErrMalformed.
package fault

import (
	"errors"
	"fmt"
)

// Code names one kind of failure or warning; it is stable, lower-case and
// searchable.
type Code string

// Error is a failure that reaches the user: a code, a sentence without a full
// stop, the next steps, and the cause where there is one.
type Error struct {
	Code  Code
	Text  string
	Hints []Step // said before the catalogue's own remedies
	Only  bool   // the Hints are all: the catalogue's remedies do not fit this cause
	Err   error
}

// New makes an Error with a sentence of its own; an empty format takes the
// catalogue's sentence.
func New(code Code, format string, args ...any) *Error {
	text := catalogue[code].Sentence
	if format != "" {
		text = fmt.Sprintf(format, args...)
	}
	return &Error{Code: code, Text: text}
}

// Wrap is New with a cause, which errors.Is and errors.As can reach; the cause
// is not part of the sentence.
func Wrap(err error, code Code, format string, args ...any) *Error {
	e := New(code, format, args...)
	e.Err = err
	return e
}

// Hint adds a next step in words that only this occurrence knows (a path, a
// URL, an identity) and returns e.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Hints = append(e.Hints, Step{Text: fmt.Sprintf(format, args...)})
	return e
}

// Add adds next steps and returns e.
func (e *Error) Add(steps ...Step) *Error {
	e.Hints = append(e.Hints, steps...)
	return e
}

// Instead replaces the catalogue's remedies by those of this cause and returns
// e.
func (e *Error) Instead(steps ...Step) *Error {
	e.Hints, e.Only = append([]Step{}, steps...), true
	return e
}

// Error gives the sentence alone, so that it can stand inside another one; who
// shows an error to people adds the code.
func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// As finds the Error in err's chain; an error that carries none is wrapped in
// one with the code Internal. It returns nil for nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Wrap(err, Internal, "%v", err)
}

// Is reports whether err carries the code.
func Is(err error, code Code) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == code
}

// Warning is something the user should know about a result that was produced
// all the same.
type Warning struct {
	Code Code   `json:"code"`
	Text string `json:"text"`
}

// Warn makes a Warning; an empty format takes the catalogue's sentence.
func Warn(code Code, format string, args ...any) Warning {
	return Warning{Code: code, Text: New(code, format, args...).Text}
}
