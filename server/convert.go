package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"coredrop/core"
	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/progress"
	"coredrop/core/source"
	"coredrop/core/summary"
	"coredrop/core/windows"
	"coredrop/server/bucket"
)

const convertUsage = `usage: coredrop convert [flags] CORE OUT.dmp
       coredrop convert [flags] -demo OUT.dmp
       coredrop convert [flags] -each s3://BUCKET/IN/ s3://BUCKET/OUT/

Makes the crash dump of a Windows guest's memory core. The core is only read; an
https or s3 address is read where it lies, by ranges, and nothing of it is kept
here. OUT.dmp is replaced only by a complete dump, and only if it is empty or a
crash dump (-f: whatever it is); - writes the dump to a pipe, s3://BUCKET/KEY to a
bucket, where nothing is replaced without -f. Without the kernel's PDB the debugger
block is searched in memory: -symbols none works for most cores.

`

// compatElf2dmp is the one tool whose bytes -compat writes.
const compatElf2dmp = "elf2dmp"

// convertFlags are the flags of convert.
type convertFlags struct {
	symbols, compat, kind string
	registers             string
	json, verbose, demo   bool
	force                 bool
	eachFlags
	opening *opening
	begun   func(context.Context, *bucket.Upload) error // see opening.toObject
}

func (o *convertFlags) set() *flag.FlagSet {
	set := flag.NewFlagSet("convert", flag.ContinueOnError)
	o.opening = &opening{}
	set.StringVar(&o.symbols, "symbols", "", "symbol `path`: directories, PDB files, srv*STORE*URL, cache*DIR, https URLs, separated by ;\nnone: no symbols at all (default: _NT_SYMBOL_PATH, else the user's cache and Microsoft's server)")
	set.Var(oneOf{&o.compat, []string{compatElf2dmp}}, "compat", "write what another `tool` writes, byte for byte: elf2dmp")
	set.Var(oneOf{&o.kind, dmp.Types}, "type", "full, bitmap, kernel (no memory of user programs) or triage (at most 2 MiB, for a ticket; default: full, bitmap when the memory has too many runs): the `kind` of dump")
	set.Var(oneOf{&o.registers, []string{dmp.RegistersLive}}, "registers", "`live`: the registers that the CPUs had when the core was taken (default: in a bug check, those that Windows recorded)")
	o.opening.flags(set)
	set.BoolVar(&o.force, "f", false, "replace OUT whatever it is, but for the core itself")
	set.BoolVar(&o.json, "json", false, "print the summary as JSON")
	set.BoolVar(&o.verbose, "v", false, "print each step with the values found, on stderr")
	set.BoolVar(&o.each, "each", false, "convert each object below s3://BUCKET/IN/ that has no dump below s3://BUCKET/OUT/; a line of JSON for each")
	set.IntVar(&o.jobs, "jobs", defaultJobs, "how `many` of them at once")
	set.BoolVar(&o.demo, "demo", false, "convert the built-in demo core; no network")
	return set
}

// check gives what is wrong with the arguments, "" if nothing.
func (o *convertFlags) check(args []string) string {
	want, names := 2, "a core and the name of the dump"
	if o.demo {
		want, names = 1, "the name of the dump"
	}
	switch {
	case o.each && len(args) != 2:
		return "-each needs where the cores are and where the dumps go: s3://BUCKET/in/ s3://BUCKET/out/"
	case !o.demo && len(args) == 1:
		return fmt.Sprintf("convert needs a name for the dump too: coredrop convert %s %s", shown(args[0]), fault.DumpName(shown(args[0])))
	case len(args) != want:
		return fmt.Sprintf("convert needs %s", names)
	case o.compat != "" && o.compat != compatElf2dmp:
		return fmt.Sprintf("-compat knows elf2dmp, not %q", o.compat)
	case o.kind != "" && !slices.Contains(dmp.Types, o.kind):
		return fmt.Sprintf("-type is %s, not %q", strings.Join(dmp.Types, ", "), o.kind)
	case o.registers != "" && o.registers != dmp.RegistersLive:
		return fmt.Sprintf("-registers is live, not %q", o.registers)
	case o.each && o.demo:
		return "-each and -demo exclude each other"
	case !o.each && o.jobs != defaultJobs:
		return "-jobs belongs to -each"
	case o.jobs < 1 || o.jobs > maxJobs:
		return fmt.Sprintf("-jobs is from 1 to %d, not %d", maxJobs, o.jobs)
	case o.compat != "" && o.kind != "" && o.kind != dmp.TypeFull:
		return "elf2dmp writes full dumps only: -compat and -type " + o.kind + " exclude each other"
	}
	return ""
}

// inputName gives the name of the core for the summary.
func (o *convertFlags) inputName(argument string) string {
	if o.demo {
		return demo.CoreName
	}
	return argument
}

// runConvert is coredrop convert.
func runConvert(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var o convertFlags
	files, code, done := parse(o.set(), args, convertUsage, stdout, stderr)
	if done {
		return code
	}
	if wrong := o.check(files); wrong != "" {
		return usageError(stderr, "convert", "%s", wrong)
	}
	if o.each {
		return o.many(ctx, files[0], files[1], stdout, stderr)
	}
	report := stdout
	if files[len(files)-1] == standard {
		if isTerminal(stdout) {
			return failAbout(stderr, files[0], fault.New(fault.OutputTerminal, ""))
		}
		report = stderr // the dump has the standard output
	}
	t := newTerminal(stderr, o.verbose)
	j, err := o.prepare(ctx, files, stdin, stdout, t)
	var summary *summary.Summary
	if err != nil {
		summary = unopened(o.inputName(files[0]), err)
	} else {
		defer j.close()
		summary, err = j.run(ctx)
	}
	t.clear()
	if o.json {
		if err != nil && summary.Error == nil {
			summary.Fail(err) // the output's error: the core knows nothing of it
		}
		if err := printJSON(report, summary); err != nil {
			return fail(stderr, fault.Wrap(err, fault.OutputFailed, "could not print the summary: %v", err))
		}
	}
	warn(stderr, summary.Warnings)
	if err != nil {
		return failAbout(stderr, o.inputName(files[0]), err)
	}
	if !o.json {
		describe(report, summary)
		if j.made.at != "" {
			fmt.Fprintf(report, "written: %s\n", oneLine(j.made.at))
		}
		if j.made.checksum != "" {
			fmt.Fprintf(report, "checksum: %s, as the object store states it\n", oneLine(j.made.checksum))
		}
		fmt.Fprintln(report, "next: open it in WinDbg, then: .symfix; .reload; !analyze -v")
	}
	return exitDone
}

// conversion is what convert works on.
type conversion struct {
	source    source.Source
	files     inputs       // what the image's copied parts are read from
	unchanged func() error // asked before the dump gets its name
	write     writing
	made      made // when it is written
	options   core.Options
	resolver  *resolver // nil: none
	close     func()
}

// prepare opens the input, and refuses an output that cannot be, before any
// work is done.
func (o *convertFlags) prepare(ctx context.Context, files []string, stdin io.Reader, stdout io.Writer, t *terminal) (*conversion, error) {
	j := &conversion{close: func() {}, unchanged: func() error { return nil }}
	var in *input
	if o.demo {
		data, err := demo.Core()
		if err != nil {
			return nil, err
		}
		r := bytes.NewReader(data)
		j.source = source.Source{ReaderAt: r, Size: r.Size(), Name: demo.CoreName}
		j.files = inputs{j.source}
	} else {
		var err error
		if in, err = o.opening.open(ctx, files[0], stdin); err != nil {
			return nil, err
		}
		j.source, j.unchanged, j.close = in.source(), in.unchanged, in.close
	}
	beside, err := o.destination(ctx, j, in, files[len(files)-1], stdout)
	if err != nil {
		j.close()
		return nil, err
	}
	j.options = core.Options{Compat: o.compat != "", Type: o.kind, Registers: o.registers, CacheBytes: cacheBytes, Sink: t.sink()}
	if in != nil {
		if err := o.opening.unpacked(ctx, in, files[0], beside, t.sink()); err != nil {
			j.close()
			return nil, err
		}
		j.files, j.source, j.options = inputs{in.source()}, in.source(), o.opening.of(j.options, in)
	}
	j.options.Symbols = o.chooseSymbols(j, t)
	return j, nil
}

// destination settles how the dump is written. beside is the directory that it goes
// to, "" where that is none of this machine's.
func (o *convertFlags) destination(ctx context.Context, j *conversion, in *input, path string, stdout io.Writer) (beside string, err error) {
	if path == standard {
		j.write = func(ctx context.Context, image described, _ inputs, still func() error, sink progress.Sink) (made, error) {
			return made{}, stream(ctx, stdout, image, still, sink)
		}
		return "", nil
	}
	if s, ok := schemeOf(path); ok {
		if s.to == nil {
			return "", fault.New(fault.OutputFailed, "could not write %s: no server is written to", shown(path)).
				Instead(fault.Step{Text: "give the dump the name of a file or of an object (s3://BUCKET/KEY), or - for a pipe to a program that sends it"})
		}
		j.write, err = s.to(o.opening, ctx, path, in, o.force, o.begun)
		return "", err
	}
	var info fs.FileInfo
	if in != nil {
		info = in.info
	}
	out, err := newOutput(path, info, replacing{force: o.force, inputIsDump: isDump(j.source)})
	if err != nil {
		return "", err
	}
	if in != nil && in.file == nil { // who may read the core is not known
		out.mode &= ownerMode
	}
	j.write = func(ctx context.Context, image described, in inputs, still func() error, sink progress.Sink) (made, error) {
		return made{at: out.path, bytes: image.Size()}, out.write(ctx, image, in, still, sink)
	}
	return filepath.Dir(out.path), nil
}

// isDump reports whether the input is a dump itself: then an existing dump at
// the output's name may be as dear as it.
func isDump(s source.Source) bool {
	kind, err := identify.Look(s)
	return err == nil && kind.Class == identify.Dump
}

// chooseSymbols gives who is asked for the PDB; the demo brings its own.
func (o *convertFlags) chooseSymbols(j *conversion, t *terminal) windows.Symbols {
	switch {
	case o.symbols == "" && o.demo:
		return demoSymbols{}
	case o.symbols == "":
		o.symbols = defaultSymbolPath()
	}
	if isNoSymbols(o.symbols) {
		return nil
	}
	j.resolver = newResolver(o.symbols, o.opening.allowHTTP, t.sink())
	return j.resolver
}

// run describes the dump and writes it.
func (j *conversion) run(ctx context.Context) (*summary.Summary, error) {
	image, summary, err := core.Convert(ctx, j.source, j.options)
	if j.resolver != nil {
		defer j.resolver.close()
		summary.Warnings = append(summary.Warnings, j.resolver.allWarnings()...)
	}
	if err != nil {
		return summary, err
	}
	j.made, err = j.write(ctx, image, j.files, j.unchanged, j.options.Sink)
	summary.Warnings = append(summary.Warnings, j.made.warnings...)
	return summary, err
}

// cacheBytes is the budget of the page cache. A conversion reads a few hundred
// pages more than once and the rest never, so more would only cost memory.
const cacheBytes = 8 << 20
