package core

import (
	"context"
	"strings"

	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// Convert describes the crash dump of a Windows guest's core. The image reads
// the source whenever its bytes are wanted, so the source must outlive it. The
// summary is never nil; an error, also in Summary.Error, comes without an image.
func Convert(ctx context.Context, s source.Source, o Options) (*dmp.Image, *Summary, error) {
	sum := NewSummary()
	var im *dmp.Image
	err := door(ctx, s, sum, func(s source.Source) error {
		k, err := locate(ctx, s, o, sum)
		if err != nil {
			return err
		}
		im, err = dmp.New(ctx, k, dmp.Options{Compat: o.Compat, Type: o.Type, Sink: o.Sink})
		if err != nil {
			return sum.cannot(err)
		}
		sum.image(im)
		if o.NoVerify {
			return nil
		}
		return verify(ctx, k, im, sum)
	})
	if err != nil {
		return nil, sum, err
	}
	return im, sum, nil
}

// verify reads the image back. A dump that does not hold what the core does is
// still given, with a warning; only a failing context is an error.
func verify(ctx context.Context, k *windows.Kernel, im *dmp.Image, sum *Summary) error {
	report, err := dmp.Verify(ctx, im, im.Size())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		sum.warn(fault.Warn(fault.VerifyFailed, "%s", fault.As(err).Text))
		return nil
	}
	wrong := append(report.Differences(k, im), report.Problems...)
	if len(wrong) > 0 {
		sum.warn(fault.Warn(fault.VerifyFailed, "reading the dump back: %s", strings.Join(wrong, "; ")))
		return nil
	}
	sum.Dump.Verified = true
	return nil
}
