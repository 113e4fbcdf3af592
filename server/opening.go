package main

import (
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"

	"coredrop/core"
	"coredrop/core/progress"
)

// opening is how a core is opened, where it holds more than one thing, is packed or
// lies elsewhere: flags that every command which takes a core has.
type opening struct {
	snapshot  string
	unpack    bool
	allowHTTP texts
	stores    storeFlags
	cache     int64 // bytes that may be kept of what lies elsewhere; 0: as its reader thinks best
}

func (o *opening) flags(set *flag.FlagSet) {
	set.StringVar(&o.snapshot, "snapshot", "", "the snapshot of a disk image to read, by its `name` or id (default: the only one with memory)")
	set.BoolVar(&o.unpack, "unpack", false, "unpack a file that is compressed as a whole, to a temporary file, which is removed at the end")
	set.Var(&o.allowHTTP, "allow-http", allowHTTPUsage)
	o.stores.flags(set)
}

// open opens a core: a file, or what an address names. Both are only read.
func (o *opening) open(ctx context.Context, name string, stdin io.Reader) (*input, error) {
	s, ok := schemeOf(name)
	if !ok {
		return openInput(ctx, name, stdin)
	}
	limitMemory(remoteLimit)
	ctx, cancel := context.WithCancel(ctx)
	from, err := s.open(ctx, name, o)
	if err != nil {
		cancel()
		return nil, err
	}
	return &input{from: from.Source, object: from.object, end: cancel}, nil
}

// remoteLimit is from where on, in bytes, memory is collected as often as it takes where
// a core or a dump lies elsewhere: the buffers of what is on its way are much garbage.
// It is no bound of what may be used.
const remoteLimit = 52 << 20

// limitMemory sets such a limit, unless the environment has one. Tests, which run many
// commands in one process, have none.
var limitMemory = func(bytes int64) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(bytes)
	}
}

// unpacked unpacks the input, if that is asked for and it is packed. out is the
// directory of the output, "" where there is none: the temporary file goes there,
// or else beside the input, or else where temporary files go.
func (o *opening) unpacked(ctx context.Context, in *input, path, out string, sink progress.Sink) error {
	if !o.unpack {
		return nil
	}
	var places []string
	if out != "" {
		places = append(places, out)
	}
	if in.file != nil && path != standard {
		places = append(places, filepath.Dir(path))
	}
	s := &spooler{places: append(places, os.TempDir()), volume: volumeOf, sink: sink}
	return s.spool(ctx, in)
}

// of gives the options with what the opening has to say.
func (o *opening) of(options core.Options, in *input) core.Options {
	options.Snapshot = o.snapshot
	if in.spooled != nil {
		options.Packed, options.Warnings = in.spooled.packed, in.spooled.warnings
	}
	return options
}
