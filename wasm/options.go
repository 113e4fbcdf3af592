//go:build js && wasm

package main

import (
	"encoding/json"
	"fmt"
	"syscall/js"

	"github.com/norunners/vert"

	"coredrop/core"
	"coredrop/core/fault"
)

// options are what the page chooses. They are flat and of plain types: vert
// panics on others.
type options struct {
	Compat bool   `js:"compat"`
	Type   string `js:"type"`
}

// summary is what the page gets: JSON as the command line prints it, and what
// decides about the next step. 64-bit numbers are inside the JSON, as hex
// strings: vert would round them.
type summary struct {
	JSON  string        `js:"json"`
	Error *summaryError `js:"error"`
}

type summaryError struct {
	Code   string   `js:"code"`
	Text   string   `js:"text"`
	Remedy []string `js:"remedy"`
}

// optionsIn reads the page's choice into a fresh struct: vert wipes what an
// object does not name.
func optionsIn(v js.Value) (o core.Options, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fault.New(fault.BadOption, "the options are not understood: %v", r)
		}
	}()
	var in options
	if err := (vert.Value{Value: v}).AssignTo(&in); err != nil {
		return o, fault.Wrap(err, fault.BadOption, "the options are not understood: %v", err)
	}
	return core.Options{Compat: in.Compat, Type: in.Type}, nil
}

// summaryOut hands a summary over, with the error that ended it, if one did.
func summaryOut(s *core.Summary, failure error) (js.Value, error) {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return js.Undefined(), fmt.Errorf("writing the summary: %w", err)
	}
	out := summary{JSON: string(text)}
	if failure != nil {
		f := fault.As(failure)
		out.Error = &summaryError{string(f.Code), f.Text, f.Remedy()}
	}
	return vert.ValueOf(out).Value, nil
}
