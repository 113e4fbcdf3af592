package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"coredrop/core"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
)

const getUsage = `usage: coredrop get [flags] -o STORE CORE|KEY...

Fetches the PDB of a core, or of a key NAME/GUIDAGE/NAME as coredrop info prints
it, into a symbol store: a directory that convert -symbols, WinDbg and others
read. Carry the directory across an air gap.

`

// runGet is coredrop get.
func runGet(ctx context.Context, args []string, _ io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("get", flag.ContinueOnError)
	store := set.String("o", "", "the symbol store to fill, a `directory`; it is made if need be")
	path := set.String("symbols", "", "symbol `path` to fetch from (default: _NT_SYMBOL_PATH, else the user's cache and Microsoft's server)")
	verbose := set.Bool("v", false, "print each step, on stderr")
	if code, done := parse(set, args, getUsage, stdout, stderr); done {
		return code
	}
	switch {
	case *store == "":
		return usageError(stderr, "get", "get needs -o STORE")
	case set.NArg() == 0:
		return usageError(stderr, "get", "get needs a core or a key")
	case *path == "":
		*path = defaultSymbolPath()
	}
	if *path == noSymbols {
		return usageError(stderr, "get", "get has nowhere to fetch from with the symbol path none")
	}
	t := newTerminal(stderr, *verbose)
	r := newResolver(*path, t.sink())
	code := exitDone
	for _, a := range set.Args() {
		line, err := getOne(ctx, r, *store, a, t.sink())
		t.clear()
		if err != nil {
			code = fail(stderr, err)
			if fault.Is(err, fault.Cancelled) {
				break
			}
			continue // the others can still be had
		}
		fmt.Fprintln(stdout, oneLine(line))
	}
	warn(stderr, r.allWarnings())
	return code
}

// getOne stores the PDB that one argument names and says what was done.
func getOne(ctx context.Context, r *resolver, store, arg string, sink progress.Sink) (string, error) {
	key, err := keyOf(ctx, arg, sink)
	if err != nil {
		return "", err
	}
	if has(ctx, place(store), key) {
		return fmt.Sprintf("%s is in %s already", key, store), nil
	}
	f, from, err := r.find(ctx, key)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := place(store).Put(ctx, key, io.NewSectionReader(f, 0, f.Size())); err != nil {
		return "", fault.Wrap(err, fault.OutputFailed, "could not write to %s: %s", store, fault.As(err).Text)
	}
	return fmt.Sprintf("%s from %s", key, from), nil
}

// has reports whether a place has the right file for a key.
func has(ctx context.Context, p place, key symstore.Key) bool {
	f, err := symstore.Verified(ctx, p, key)
	if err != nil {
		return false
	}
	f.Close() // only read
	return true
}

// keyOf gives the key that an argument is, or that the core it names needs. A
// file of that name wins: keys look like relative paths.
func keyOf(ctx context.Context, arg string, sink progress.Sink) (symstore.Key, error) {
	if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) && strings.Count(arg, "/") == 2 {
		key, err := symstore.ParseKey(arg)
		if err != nil {
			return key, fault.Wrap(err, fault.BadOption, "%q is neither a core nor the key of a PDB", arg)
		}
		return key, nil
	}
	in, err := openInput(arg)
	if err != nil {
		return symstore.Key{}, err
	}
	defer in.close()
	s, err := core.Inspect(ctx, in.source(), core.Options{CacheBytes: cacheBytes, Sink: sink})
	if s != nil && s.Symbols.Key != "" {
		// The key is known although the kernel's variables are not found
		// without the PDB: this is what get is for.
		return symstore.ParseKey(s.Symbols.Key)
	}
	if err != nil {
		return symstore.Key{}, err
	}
	return symstore.Key{}, fault.New(fault.NoCodeView, "")
}
