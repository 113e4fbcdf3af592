// Command coredrop converts guest-memory cores to Windows crash dumps, recovers
// the race reports of Linux cores, and serves the page that does the same in a
// browser. This file only dispatches: each subcommand has a file of its own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
)

// The exit codes of every subcommand.
const (
	exitDone   = 0 // warnings are no failure: they are printed and in the JSON
	exitFailed = 1 // the job cannot be done
	exitUsage  = 2
)

// command is a subcommand. args are those behind its name; run gives the exit
// code and reports to the writers it is handed, never to os.Stdout itself.
type command struct {
	name, arguments, summary string
	run                      func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int
}

// commands lists the subcommands in the order of the help text. It is a
// function and not a variable because the commands' own help refers to it.
func commands() []command {
	return []command{
		{"convert", "[flags] CORE OUT.dmp|-", "make the crash dump of a Windows guest's core", runConvert},
		{"info", "[flags] CORE...", "what each file is and whether it can be converted; no network", runInfo},
		{"stacks", "[flags] CORE", "where every processor and thread stood", runStacks},
		{"kcsan", "[-json] CORE|LOG", "race reports of a Linux core or a kernel log", runKCSAN},
		{"get", "[flags] -o STORE CORE|KEY...", "fetch a kernel's PDB into a symbol store", runGet},
		{"serve", "[flags]", "the page that does this in a browser, and a symbol proxy", runServe},
		{"demo", "[flags]", "the same with a demo guest built in; needs no network", runDemo},
		{"completion", "bash|zsh|fish", "print the completions of a shell", runCompletion},
		{"manual", "", "print the manual page", runManual},
	}
}

func main() {
	ctx, finish := interruptible()
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	finish()
	os.Exit(code)
}

// run is main without the process: tests call it.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &sticky{w: stdout}
	code := dispatch(ctx, args, stdin, out, stderr)
	if err := out.err(); err != nil && code == exitDone {
		return fail(stderr, outputFailed("the standard output", err))
	}
	return code
}

// dispatch finds the command.
func dispatch(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		help(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help":
		if len(args) > 1 {
			return dispatch(ctx, []string{args[1], "-h"}, stdin, stdout, stderr)
		}
		fallthrough
	case "-h", "-help", "--help":
		help(stdout)
		return exitDone
	case "-version", "--version", "version":
		fmt.Fprintln(stdout, versionLine())
		return exitDone
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdin, stdout, stderr)
		}
	}
	// "coredrop CORE OUT" is what elf2dmp takes.
	if isFile(args[0]) {
		if len(args) > 1 {
			return runConvert(ctx, args, stdin, stdout, stderr)
		}
		return runInfo(ctx, args, stdin, stdout, stderr)
	}
	return usageError(stderr, "", "there is no command %q, and no file of that name", shown(args[0]))
}

func isFile(name string) bool {
	if _, ok := schemeOf(name); ok {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && !info.IsDir()
}

// What help and the manual page say of the whole program.
const (
	about = "coredrop turns guest-memory cores into crash dumps for WinDbg and recovers\nthe data-race reports of Linux cores. Nothing leaves this machine but the\nname and identity of a PDB, when one is fetched."

	aboutFlags = "coredrop COMMAND -h explains the flags of a command; flags may stand\nbefore or behind files, and what follows -- is a file. A CORE may lie elsewhere\nand is read in place: https://HOST/PATH, where the server answers Range requests,\nor s3://BUCKET/KEY."
	aboutCodes = "exit codes: 0 done, 1 the job cannot be done, 2 wrong usage"
)

// help prints the one screen of help.
func help(w io.Writer) {
	fmt.Fprint(w, about, "\n\nusage:\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %s\n      %s\n", strings.TrimSpace(fmt.Sprintf("coredrop %-11s%s", c.name, c.arguments)), c.summary)
	}
	fmt.Fprint(w, "  coredrop -version\n\n", aboutFlags, "\n", aboutCodes, "\n")
}
