// Package manual writes what is generated from a program's table of commands: the
// manual page and the completions of shells. The table is the one that prints the
// help, so that the three cannot differ.
package manual

import (
	"flag"
	"strings"
)

// Program is what is described.
type Program struct {
	Name     string // "coredrop"
	Version  string
	Date     string // of the version, YYYY-MM-DD; "": not known
	Summary  string // one line
	About    string // paragraphs between empty lines
	Commands []Command
}

// Command is a subcommand.
type Command struct {
	Name      string
	Arguments string // as in the usage line: "[flags] CORE OUT"
	Summary   string // one line
	Usage     string // what -h prints before the flags
	Flags     []*flag.Flag
}

// Chooser is a flag's value that knows which values there are.
type Chooser interface{ Choices() []string }

// choices are the values that a flag takes; nil: any.
func choices(f *flag.Flag) []string {
	if c, ok := f.Value.(Chooser); ok {
		return c.Choices()
	}
	return nil
}

// takesValue reports whether a word follows the flag.
func takesValue(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return !ok || !b.IsBoolFlag()
}

// short is the first clause of a flag's text, for one line.
func short(f *flag.Flag) string {
	_, text := flag.UnquoteUsage(f)
	text, _, _ = strings.Cut(text, "\n")
	text, _, _ = strings.Cut(text, ";")
	return text
}

// body is the usage text without its first paragraph, which is the synopsis.
func body(usage string) string {
	_, text, _ := strings.Cut(usage, "\n\n")
	return strings.Trim(text, "\n")
}
