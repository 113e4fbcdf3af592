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

// guidDigits is the length of a GUID in a key; the age follows it.
const guidDigits = 32

const getUsage = `usage: coredrop get [flags] -o STORE CORE|KEY...

Fetches the PDB of a core, or of a key NAME/GUIDAGE/NAME as coredrop info prints
it, into a symbol store: a directory that convert -symbols, WinDbg and others
read. Carry the directory across an air gap.

`

// runGet is coredrop get.
func runGet(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	set := flag.NewFlagSet("get", flag.ContinueOnError)
	store := set.String("o", "", "the symbol store to fill, a `directory`; it is made if need be")
	path := set.String("symbols", "", "symbol `path` to fetch from (default: _NT_SYMBOL_PATH, else the user's cache and Microsoft's server)")
	verbose := set.Bool("v", false, "print each step, on stderr")
	var allowHTTP texts
	set.Var(&allowHTTP, "allow-http", allowHTTPUsage)
	files, code, done := parse(set, args, getUsage, stdout, stderr)
	if done {
		return code
	}
	switch {
	case *store == "":
		return usageError(stderr, "get", "get needs -o STORE")
	case len(files) == 0:
		return usageError(stderr, "get", "get needs a core or a key")
	case *path == "":
		*path = defaultSymbolPath()
	}
	if isNoSymbols(*path) {
		return usageError(stderr, "get", "get has nowhere to fetch from with the symbol path none")
	}
	t := newTerminal(stderr, *verbose)
	r := newResolver(*path, allowHTTP, t.sink())
	for _, a := range files {
		line, err := getOne(ctx, r, *store, a, stdin, t.sink())
		t.clear()
		if err != nil {
			code = failAbout(stderr, a, err)
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
func getOne(ctx context.Context, r *resolver, store, arg string, stdin io.Reader, sink progress.Sink) (string, error) {
	key, err := keyOf(ctx, arg, stdin, sink)
	if err != nil {
		return "", err
	}
	if has(ctx, place{dir: store}, key) {
		return fmt.Sprintf("%s is in %s already", key, store), nil
	}
	f, from, err := r.find(ctx, key)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if err := (place{dir: store}).Put(ctx, key, io.NewSectionReader(f, 0, f.Size())); err != nil {
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
func keyOf(ctx context.Context, arg string, stdin io.Reader, sink progress.Sink) (symstore.Key, error) {
	if _, err := os.Stat(arg); errors.Is(err, fs.ErrNotExist) && strings.Count(arg, "/") == 2 {
		key, err := symstore.ParseKey(arg)
		if err != nil {
			return key, fault.Wrap(err, fault.BadOption, "%q is neither a core nor the key of a PDB", arg)
		}
		if len(key.ID) == guidDigits {
			return key, fault.New(fault.BadOption, "the key %s has a GUID and no age", key).
				Hint("the age is the number behind the GUID, mostly 1: %s/%s1/%[1]s", key.Name, key.ID)
		}
		return key, nil
	}
	in, err := openInput(ctx, arg, stdin)
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
