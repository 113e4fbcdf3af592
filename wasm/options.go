//go:build js && wasm

package main

import (
	"fmt"
	"strings"
	"syscall/js"

	"github.com/norunners/vert"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/summary"
)

// options are what the page chooses. They are flat and of plain types: vert
// panics on others.
type options struct {
	Compat    bool   `js:"compat"`
	Type      string `js:"type"`
	Registers string `js:"registers"`
}

// answer is what the page gets: JSON as the command line prints it, and what
// decides about the next step. 64-bit numbers are inside the JSON, as hex
// strings: vert would round them.
type answer struct {
	JSON  string       `js:"json"`
	Error *answerError `js:"error"`
}

type answerError struct {
	Code   string   `js:"code"`
	Text   string   `js:"text"`
	Remedy []string `js:"remedy"`
}

// optionsIn reads the page's choice into a fresh struct: vert wipes what an
// object does not name.
func optionsIn(v js.Value) (o dmp.Options, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.BadOption, "the options are not understood: %v", r)
		}
	}()
	var in options
	if err := (vert.Value{Value: v}).AssignTo(&in); err != nil {
		return o, fault.Wrap(err, fault.BadOption, "the options are not understood: %v", err)
	}
	return dmp.Options{Compat: in.Compat, Type: in.Type, Registers: in.Registers}, nil
}

// summaryOut hands a summary over, with the error that ended it, if one did.
func summaryOut(s *summary.Summary, failure error) (js.Value, error) {
	var text strings.Builder
	if err := s.Write(&text); err != nil {
		return js.Undefined(), fmt.Errorf("writing the summary: %w", err)
	}
	out := answer{JSON: text.String()}
	if failure != nil {
		f := fault.As(failure)
		out.Error = &answerError{string(f.Code), f.Text, fault.Lines(f.Steps(s.File.Name), fault.Page)}
	}
	return vert.ValueOf(out).Value, nil
}
