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
func fail(w io.Writer, err error) int { return failAbout(w, "", err) }

// failAbout is fail with the name of the file as the user gave it, which the
// steps then name.
func failAbout(w io.Writer, file string, err error) int {
	if errors.Is(err, context.Canceled) && !fault.Is(err, fault.Cancelled) {
		err = fault.Wrap(err, fault.Cancelled, "")
	}
	f := fault.As(err)
	fmt.Fprintf(w, "coredrop: error: %s\n", oneLine(coded(f.Text, f.Code)))
	for _, h := range fault.Lines(f.Steps(shown(file)), fault.CLI) {
		fmt.Fprintf(w, "coredrop: hint: %s\n", oneLine(h))
	}
	return exitFailed
}

// coded is a sentence with its code: "the file is empty [empty-file]".
func coded(text string, code fault.Code) string { return fmt.Sprintf("%s [%s]", text, code) }

// warn prints warnings.
func warn(w io.Writer, list []fault.Warning) {
	for _, x := range list {
		fmt.Fprintf(w, "coredrop: warning: %s\n", oneLine(coded(x.Text, x.Code)))
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
