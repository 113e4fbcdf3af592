package logtext

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRead(t *testing.T) {
	whole := golden(t, "v5.17-reordered")
	for name, log := range map[string]string{
		"empty":            "",
		"one":              whole,
		"no newline":       strings.TrimSuffix(whole, "\n"),
		"two":              whole + "noise\n" + whole,
		"cut off":          whole[:len(whole)/2],
		"a line too long":  whole + strings.Repeat("x", 5*readBuffer) + "\n" + whole,
		"long, in between": strings.Replace(whole, "\n\n", "\n"+strings.Repeat("x", readBuffer)+"\n", 1),
	} {
		want := logOf(Parse(log))
		for _, r := range []io.Reader{strings.NewReader(log), iotest.OneByteReader(strings.NewReader(log)), iotest.DataErrReader(strings.NewReader(log))} {
			got, err := Read(t.Context(), r)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
			}
		}
	}

	broken := errors.New("broken")
	got, err := Read(t.Context(), io.MultiReader(strings.NewReader(whole+whole), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || got.Count != 2 {
		t.Errorf("%d found, %v", got.Count, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, strings.NewReader(whole)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// logOf is what a log is that holds the found.
func logOf(found []Found) *Log {
	var c collector
	for _, f := range found {
		c.add(f)
	}
	return &c.log
}
