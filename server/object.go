package main

import (
	"context"
	"flag"
	"sync"

	"coredrop/core/fault"
	"coredrop/core/progress"
	"coredrop/server/bucket"
	"coredrop/server/compose"
	"coredrop/server/ranged"
)

// storeFlags say which object store is meant.
type storeFlags struct {
	endpoint, region string

	once   sync.Once
	opened *bucket.Store
	failed error
}

func (s *storeFlags) flags(set *flag.FlagSet) {
	set.StringVar(&s.endpoint, "s3-endpoint", "", "the `URL` of the object store of s3:// names (default: AWS_ENDPOINT_URL_S3, else Amazon's)")
	set.StringVar(&s.region, "s3-region", "", "the `region` that its requests are signed for (default: AWS_REGION)")
}

// named reports whether any of the flags was given.
func (s *storeFlags) named() bool { return s.endpoint != "" || s.region != "" }

// store opens it, once for all objects of a command.
func (s *storeFlags) store() (*bucket.Store, error) {
	s.once.Do(func() {
		version, _ := buildVersion()
		s.opened, s.failed = bucket.Open(bucket.Options{Endpoint: s.endpoint, Region: s.region, Agent: "coredrop", Version: version})
	})
	return s.opened, s.failed
}

// objectName reads the name of one object.
func objectName(name string) (bucket.Name, error) {
	n, err := bucket.Parse(name)
	if err != nil {
		return n, fault.Wrap(err, fault.BadOption, "%v", err)
	}
	if n.IsPrefix() {
		return n, fault.New(fault.BadOption, "%s names no object, only what is below it", n)
	}
	return n, nil
}

// openObject opens what is in a bucket.
func openObject(ctx context.Context, name string, o *opening) (elsewhere, error) {
	n, err := objectName(name)
	if err != nil {
		return elsewhere{}, err
	}
	store, err := o.stores.store()
	if err != nil {
		return elsewhere{}, err
	}
	object, err := store.Stat(ctx, n)
	if err != nil {
		return elsewhere{}, err
	}
	r := ranged.New(ctx, object, ranged.Options{Size: object.Size, Name: objectBase(name), Cache: o.cache, Request: o.cache / 8})
	return elsewhere{r.Source(), object}, nil
}

// objectBase is what an object is called without the way to it.
func objectBase(name string) string {
	n, err := bucket.Parse(name)
	if err != nil {
		return "object"
	}
	return ranged.SafeName(n.Base(), "object")
}

// objectShown is an object's name as it is printed: there is nothing secret in it.
func objectShown(name string) string { return name }

// toObject gives the writing of a dump to a bucket. begun is asked when that begins;
// nil: nobody is. An object that is there is refused now, unless it is to be replaced.
func (o *opening) toObject(ctx context.Context, name string, in *input, force bool, begun func(context.Context, *bucket.Upload) error) (writing, error) {
	to, err := objectName(name)
	if err != nil {
		return nil, err
	}
	store, err := o.stores.store()
	if err != nil {
		return nil, err
	}
	if in != nil && in.object != nil && in.object.Name == to {
		return nil, fault.New(fault.OutputFailed, "%s is the core itself", to).Hint("give the dump another name; a core is never changed")
	}
	if !force {
		there, err := store.Exists(ctx, to)
		if err != nil {
			return nil, err
		}
		if there {
			return nil, fault.New(fault.OutputExists, "%s exists", to)
		}
	}
	limitMemory(remoteLimit)
	return func(ctx context.Context, image described, _ inputs, still func() error, sink progress.Sink) (made, error) {
		var files []*bucket.Object
		if in != nil && in.spooled == nil && in.object != nil {
			files = append(files, in.object)
		}
		r, err := compose.Write(ctx, compose.Job{Image: image, Files: files, Store: store, To: to, Replace: force, Begun: begun, Still: still, Sink: sink})
		if err != nil {
			return made{}, err
		}
		warnings := r.Warnings
		if r.Unguarded {
			warnings = append(warnings, fault.Warn(fault.StoreUnguarded, "the object store knows no conditional writes: that there was no %s was asked just before it was made", to))
		}
		return made{at: to.String(), bytes: image.Size(), checksum: r.Checksum, warnings: warnings}, nil
	}, nil
}
