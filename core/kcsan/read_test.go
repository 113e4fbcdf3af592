package kcsan

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadLog(t *testing.T) {
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
		want := ParseLog(log)
		for _, r := range []io.Reader{strings.NewReader(log), iotest.OneByteReader(strings.NewReader(log)), iotest.DataErrReader(strings.NewReader(log))} {
			got, err := ReadLog(t.Context(), r)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
			}
		}
	}

	broken := errors.New("broken")
	got, err := ReadLog(t.Context(), io.MultiReader(strings.NewReader(whole+whole), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || len(got) != 2 {
		t.Errorf("%d found, %v", len(got), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ReadLog(ctx, strings.NewReader(whole)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
