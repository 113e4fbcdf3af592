package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// parse reads a command's flags, which may stand before, between and behind the
// files; what follows "--" is a file. done says that the command is over
// already, with the exit code: -h was asked for, or a flag is wrong.
func parse(set *flag.FlagSet, args []string, usage string, stdout, stderr io.Writer) (files []string, code int, done bool) {
	set.SetOutput(io.Discard) // what flag prints has neither prefix nor hint
	set.Usage = func() {}
	for {
		err := set.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			if reader, ok := stdout.(interface{ help(string, *flag.FlagSet) }); ok {
				reader.help(usage, set)
				return nil, exitDone, true
			}
			fmt.Fprint(stdout, usage)
			printFlags(stdout, set)
			return nil, exitDone, true
		}
		if err != nil {
			return nil, usageError(stderr, set.Name(), "%v", err), true
		}
		rest := set.Args()
		if taken := len(args) - len(rest); len(rest) == 0 || taken > 0 && args[taken-1] == "--" {
			return append(files, rest...), 0, false
		}
		files, args = append(files, rest[0]), rest[1:]
	}
}

// oneOf is a flag whose values are known. The command itself judges what it is
// given: it has the sentence for it.
type oneOf struct {
	value *string
	list  []string
}

func (o oneOf) Choices() []string { return o.list }

func (o oneOf) Set(s string) error {
	*o.value = s
	return nil
}

func (o oneOf) String() string {
	if o.value == nil { // flag asks a zero value for its text
		return ""
	}
	return *o.value
}

// flagColumn is where the explanations of flags begin.
const flagColumn = 25

// printFlags prints a line for each flag, so that the help fits on a screen.
func printFlags(w io.Writer, set *flag.FlagSet) {
	set.VisitAll(func(f *flag.Flag) {
		argument, text := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "0" && f.DefValue != "false" {
			form := " (default %v)"
			if g, ok := f.Value.(flag.Getter); ok {
				if _, ok := g.Get().(string); ok {
					form = " (default %q)"
				}
			}
			text += fmt.Sprintf(form, f.DefValue)
		}
		name := strings.TrimRight("  -"+f.Name+" "+argument, " ")
		text = strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", flagColumn))
		fmt.Fprintf(w, "%-*s %s\n", flagColumn-1, name, text)
	})
}
