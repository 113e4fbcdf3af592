package core

import (
	"bytes"
	"context"

	"coredrop/core/fault"
	"coredrop/core/machine"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// Inspect says what a file is and whether it can be converted. It reads headers,
// notes and a few hundred pages, and touches no network unless Options.Symbols
// does. The summary is never nil; an error, also in Summary.Error, says why the
// file cannot be converted.
func Inspect(ctx context.Context, s source.Source, o Options) (*Summary, error) {
	sum := NewSummary()
	err := door(ctx, s, sum, func(s source.Source) error {
		_, err := locate(ctx, s, o, sum)
		return err
	})
	return sum, err
}

// locate opens the core and finds the kernel, and notes both.
func locate(ctx context.Context, s source.Source, o Options, sum *Summary) (*windows.Kernel, error) {
	m, err := open(ctx, s, o, sum)
	if err != nil {
		return nil, sum.cannot(err)
	}
	if release, ok := linuxRelease(m); ok {
		sum.Guest.OS, sum.Guest.Version = "linux", release
		sum.Linux = &LinuxInfo{Release: release}
		return nil, sum.cannot(fault.New(fault.IsLinux, "this is a Linux guest (%s)", release))
	}
	k, err := windows.Locate(ctx, m, windows.Options{Symbols: o.Symbols, Compat: o.Compat, Sink: o.Sink})
	if k != nil {
		sum.kernel(k)
	}
	if err != nil {
		if fault.Is(err, fault.IsLinux) {
			sum.Guest.OS = "linux"
		}
		return nil, sum.cannot(err)
	}
	sum.Convert.Possible = true
	return k, nil
}

// cannot notes what stands in the way of a conversion.
func (s *Summary) cannot(err error) error {
	s.Convert = ConvertInfo{Needs: []fault.Code{fault.As(err).Code}}
	return err
}

// linuxRelease tells a Linux guest by the VMCOREINFO note that its kernel gives
// QEMU: text of lines KEY=value, beginning with the release. (Windows' FwCfg
// driver uses the same note for a dump header.)
func linuxRelease(m *machine.Machine) (string, bool) {
	for _, n := range m.Guest {
		rest, ok := bytes.CutPrefix(n.Desc, []byte("OSRELEASE="))
		if !ok {
			continue
		}
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		return string(line[:min(len(line), 65)]), true // as long as utsname allows
	}
	return "", false
}
