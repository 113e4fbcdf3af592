package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"

	"coredrop/core"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/core/symstore"
)

// guidDigits is the length of a GUID in a key; the age follows it.
const guidDigits = 32

// want is a file that get is to have in the store.
type want struct {
	arg    string // as it was given
	key    symstore.Key
	server string // the address it was given with; empty: the symbol path's servers
	sum    sum    // what a manifest says of it; zero: nothing
	err    error  // why the argument is no file's name
}

// wanter reads what get's arguments want.
type wanter struct {
	stdin   io.Reader
	sink    progress.Sink
	opening opening // of cores and dumps
}

// all gives what the arguments want, each file once, in order.
func (w *wanter) all(ctx context.Context, args []string) []want {
	var list []want
	seen := map[symstore.Key]bool{}
	add := func(x want) {
		if x.err == nil {
			if seen[x.key] {
				return
			}
			seen[x.key] = true
		}
		list = append(list, x)
	}
	for _, arg := range args {
		if arg != standard {
			add(w.one(ctx, arg))
			continue
		}
		in := bufio.NewReaderSize(w.stdin, listLine)
		if head, _ := in.Peek(512); bytes.IndexByte(head, 0) >= 0 {
			add(w.one(ctx, arg)) // a core is no text
			continue
		}
		w.lines(ctx, in, add)
	}
	return list
}

// listLine is the longest line of a list; a path is shorter.
const listLine = 64 << 10

// lines reads a list: an argument a line, or a line of a manifest. Empty lines
// and those that begin with # say nothing.
func (w *wanter) lines(ctx context.Context, in io.Reader, add func(want)) {
	s := bufio.NewScanner(untilDone(ctx, in))
	s.Buffer(nil, listLine)
	named := false
	for first := true; s.Scan(); first = false {
		line := s.Text()
		if first {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.ContainsRune(line, 0):
			add(want{arg: standard, err: fault.New(fault.BadOption, "the list is no text in UTF-8: PowerShell's > writes UTF-16, | Out-File -Encoding utf8 does not")})
			return
		default:
			named = true
			arg, sum := cutSum(line)
			x := w.one(ctx, arg)
			x.sum = sum
			add(x)
		}
	}
	if err := s.Err(); err != nil {
		add(want{arg: standard, err: fault.Wrap(err, fault.InputUnreadable, "could not read the list: %v", err)})
	} else if !named {
		add(want{arg: standard, err: fault.New(fault.BadOption, "the list on the standard input names nothing")})
	}
}

// one reads an argument. A file of that name wins: keys look like relative paths.
func (w *wanter) one(ctx context.Context, arg string) want {
	x := want{arg: arg}
	_, err := os.Stat(arg)
	switch missing := errors.Is(err, fs.ErrNotExist); {
	case arg != standard && missing && strings.Contains(arg, "://") && !namesCore(arg):
		x.key, x.server, x.err = keyOfURL(arg)
	case arg != standard && missing && strings.Contains(arg, ","):
		x.key, x.err = keyOfList(arg)
	case arg != standard && missing && strings.Count(arg, "/") == 2:
		x.key, x.err = keyOf(arg, arg)
	default:
		x.key, x.err = w.keyOfFile(ctx, arg)
	}
	return x
}

// namesCore reports whether an address is a core's or a dump's: it leads to a place
// that cores lie in, and does not end as that of a symbol file does, in NAME/ID/NAME,
// nor as a PDB's that is named in another way.
func namesCore(arg string) bool {
	if _, ok := schemeOf(arg); !ok {
		return false
	}
	parts := strings.Split(shown(arg), "/")
	n := len(parts)
	named := n > 3 && strings.EqualFold(parts[n-1], parts[n-3])
	return !named && !strings.EqualFold(path.Ext(parts[n-1]), ".pdb")
}

// keyOf reads NAME/GUIDAGE/NAME, which was given as arg.
func keyOf(text, arg string) (symstore.Key, error) {
	key, err := symstore.ParseKey(text)
	if err != nil {
		return key, fault.Wrap(err, fault.BadOption, "%q is neither a core nor the key of a PDB", shown(arg))
	}
	if len(key.ID) == guidDigits {
		return key, fault.New(fault.BadOption, "the key %s has a GUID and no age", key).
			Hint("the age is the number behind the GUID, mostly 1: %s/%s1/%[1]s", key.Name, key.ID)
	}
	return key, nil
}

// keyOfURL reads the address of a file, as info and errors print it: a server's
// address and a key.
func keyOfURL(arg string) (key symstore.Key, server string, err error) {
	u, err := url.Parse(arg)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return key, "", fault.New(fault.BadOption, "%q is not the address of a symbol file: a server, and NAME/GUIDAGE/NAME", shown(arg))
	}
	parts := strings.Split(u.Path, "/")
	if len(parts) < 4 { // the path begins with a slash
		return key, "", fault.New(fault.BadOption, "%q is not the address of a symbol file: a server, and NAME/GUIDAGE/NAME", shown(arg))
	}
	key, err = keyOf(strings.Join(parts[len(parts)-3:], "/"), arg)
	u.Path, u.RawPath = strings.Join(parts[:len(parts)-3], "/"), ""
	return key, u.String(), err
}

// keyOfList reads NAME,GUID,AGE as tools print it, the age in decimal; or
// NAME,GUIDAGE and what may follow, which is a line of symchk's manifests.
func keyOfList(arg string) (symstore.Key, error) {
	fields := strings.Split(arg, ",")
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	name, id := fields[0], strings.NewReplacer("-", "", "{", "", "}", "").Replace(fields[1])
	if len(id) == guidDigits && len(fields) > 2 {
		age, err := strconv.ParseUint(fields[2], 0, 32)
		if err != nil {
			return symstore.Key{}, fault.New(fault.BadOption, "the age in %q is not a number", shown(arg))
		}
		id += strings.ToUpper(strconv.FormatUint(age, 16))
	}
	return keyOf(name+"/"+id+"/"+name, arg)
}

// keyOfFile gives the PDB that the kernel in a core or a dump needs.
func (w *wanter) keyOfFile(ctx context.Context, arg string) (symstore.Key, error) {
	in, err := w.opening.open(ctx, arg, w.stdin)
	if err != nil {
		return symstore.Key{}, err
	}
	defer in.close()
	if err := w.opening.unpacked(ctx, in, arg, "", w.sink); err != nil {
		return symstore.Key{}, err
	}
	s, err := core.Inspect(ctx, in.source(), w.opening.of(core.Options{CacheBytes: cacheBytes, Sink: w.sink}, in))
	switch {
	case fault.Is(err, fault.IsDmp):
		cv, err := dmp.KernelPDB(in.source(), in.source().Size)
		if err != nil {
			return symstore.Key{}, err
		}
		return symstore.PDBKey(cv.Name, cv.GUID, cv.Age)
	case s != nil && s.Symbols.Key != "":
		// The key is known although the kernel's variables are not found
		// without the PDB: this is what get is for.
		return symstore.ParseKey(s.Symbols.Key)
	case err != nil:
		return symstore.Key{}, err
	}
	return symstore.Key{}, fault.New(fault.NoCodeView, "")
}

// cutSum takes the length and the SHA-256 off a manifest's line.
func cutSum(line string) (arg string, s sum) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return line, sum{}
	}
	size, err := strconv.ParseInt(fields[1], 10, 64)
	digest, hexErr := hex.DecodeString(fields[2])
	if err != nil || hexErr != nil || size < 0 || len(digest) != len(s.sha256) {
		return line, sum{}
	}
	s = sum{known: true, size: size}
	copy(s.sha256[:], digest)
	return fields[0], s
}
