package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"coredrop/core/fault"
)

// The rules of what is said on stderr: lower case, no full stop; one line
// "coredrop: error: SENTENCE [CODE]", then a line "coredrop: hint:" for each
// next step; warnings "coredrop: warning: SENTENCE [CODE]". Results go to
// stdout, so that they can be piped.

// fail prints an error with its next steps and gives the exit code.
func fail(w io.Writer, err error) int {
	if errors.Is(err, context.Canceled) && !fault.Is(err, fault.Cancelled) {
		err = fault.Wrap(err, fault.Cancelled, "")
	}
	f := fault.As(err)
	fmt.Fprintf(w, "coredrop: error: %s\n", oneLine(f.Error()))
	for _, h := range f.Remedy() {
		fmt.Fprintf(w, "coredrop: hint: %s\n", oneLine(h))
	}
	return exitFailed
}

// warn prints warnings.
func warn(w io.Writer, list []fault.Warning) {
	for _, x := range list {
		fmt.Fprintf(w, "coredrop: warning: %s\n", oneLine(fmt.Sprintf("%s [%s]", x.Text, x.Code)))
	}
}

// usageError says what was wrong with the arguments and where the help is.
func usageError(w io.Writer, command, format string, args ...any) int {
	fmt.Fprintf(w, "coredrop: error: %s\n", oneLine(fmt.Sprintf(format, args...)))
	if command != "" {
		command += " "
	}
	fmt.Fprintf(w, "coredrop: hint: coredrop %s-h shows the usage\n", command)
	return exitUsage
}

// oneLine keeps text that came from a file or a server from moving the
// terminal's cursor or colours: control characters become question marks.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
