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

// answer is what the page gets: JSON as the command line prints it, and beside it
// the error that decides about the next step. 64-bit numbers are inside the JSON,
// as hex strings: vert would round them.
type answer struct {
	JSON string `js:"json"`
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
	out := vert.ValueOf(answer{JSON: text.String()}).Value
	if failure != nil {
		out.Set("error", errorValue(failure, s.File.Name))
	}
	return out, nil
}
