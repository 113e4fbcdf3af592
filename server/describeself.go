package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"

	"coredrop/server/manual"
)

const completionUsage = `usage: coredrop completion bash|zsh|fish

Prints a shell's completions, for the file under which the shell looks for them:

  coredrop completion bash > ~/.local/share/bash-completion/completions/coredrop
  coredrop completion zsh  > ~/.zfunc/_coredrop          (a directory of fpath)
  coredrop completion fish > ~/.config/fish/completions/coredrop.fish

`

const manualUsage = `usage: coredrop manual

Prints the manual page: coredrop manual | man -l -

`

// runCompletion is coredrop completion.
func runCompletion(_ context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	files, code, done := parse(flag.NewFlagSet("completion", flag.ContinueOnError), args, completionUsage, stdout, stderr)
	if done {
		return code
	}
	var known []string
	for _, s := range manual.Shells {
		if known = append(known, s.Name); len(files) == 1 && files[0] == s.Name {
			fmt.Fprint(stdout, s.Write(itself()))
			return exitDone
		}
	}
	return usageError(stderr, "completion", "completion takes the name of a shell: %s", strings.Join(known, ", "))
}

// runManual is coredrop manual.
func runManual(_ context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	files, code, done := parse(flag.NewFlagSet("manual", flag.ContinueOnError), args, manualUsage, stdout, stderr)
	if done {
		return code
	}
	if len(files) > 0 {
		return usageError(stderr, "manual", "manual takes no arguments")
	}
	fmt.Fprint(stdout, manual.Man(itself()))
	return exitDone
}

// itself is what the commands say of themselves.
func itself() manual.Program {
	v, _ := buildVersion()
	p := manual.Program{
		Name: "coredrop", Version: v, Date: date,
		Summary: "crash dumps and race reports out of the memory of virtual machines",
		About:   about + "\n\n" + aboutFlags + "\n\n" + aboutCodes,
	}
	for _, c := range commands() {
		said := helpReader{Writer: io.Discard}
		c.run(context.Background(), []string{"-h"}, strings.NewReader(""), &said, io.Discard)
		p.Commands = append(p.Commands, manual.Command{
			Name: c.name, Arguments: c.arguments, Summary: c.summary, Usage: said.usage, Flags: said.flags,
		})
	}
	return p
}

// helpReader is a standard output that takes a command's help as data: see parse.
type helpReader struct {
	io.Writer
	usage string
	flags []*flag.Flag
}

func (h *helpReader) help(usage string, set *flag.FlagSet) {
	h.usage = usage
	set.VisitAll(func(f *flag.Flag) { h.flags = append(h.flags, f) })
}
