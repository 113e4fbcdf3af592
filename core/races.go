package core

import (
	"context"
	"io"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/windows"
)

// Races recovers the data-race reports that a Linux core holds: printed ones
// from its log, and those that never were from memory and CPU state. The text of
// a kernel log instead of a core gives the reports in it; its format is "log".
// The summary is never nil, and has the reports too. A kernel without KCSAN gives
// an empty result and a warning; a core of another guest is an error.
func Races(ctx context.Context, s source.Source, o Options) (*races.Result, *Summary, error) {
	sum := NewSummary()
	var result *races.Result
	err := door(ctx, s, sum, func(s source.Source) error {
		if isText(s) {
			sum.File.Format = "log"
			found, err := kcsan.ReadLog(ctx, io.NewSectionReader(s, 0, s.Size))
			result = races.FromFound(found)
			sum.races(result)
			return err
		}
		k, err := linuxKernel(ctx, s, o, sum)
		if err != nil {
			return err
		}
		result, err = races.Recover(ctx, k, o.Sink)
		if result != nil {
			sum.races(result)
		}
		return err
	})
	return result, sum, err
}

// isText tells the text of a log from a core, which has a NUL byte among its first
// ones, and from what else is not text.
func isText(s source.Source) bool {
	head := make([]byte, min(s.Size, 512))
	if n, err := s.ReadAt(head, 0); n < len(head) && err != nil {
		return false
	}
	for _, c := range head {
		if c < ' ' && c != '\n' && c != '\r' && c != '\t' && c != 0x1b || c == 0x7f {
			return false
		}
	}
	return len(head) > 0
}

// LinuxLog gives the log of a Linux core as dmesg prints it: a time stamp and the
// text, lines after a record's first one indented as far.
func LinuxLog(ctx context.Context, s source.Source, o Options) (string, *Summary, error) {
	sum := NewSummary()
	var b strings.Builder
	err := door(ctx, s, sum, func(s source.Source) error {
		k, err := linuxKernel(ctx, s, o, sum)
		if err != nil {
			return err
		}
		return k.Log(ctx, func(r linux.Record) bool {
			b.WriteString(r.Dmesg())
			return true
		})
	})
	return b.String(), sum, err
}

// linuxKernel opens the core, finds the Linux kernel in it and notes both. A
// guest of another kind is named.
func linuxKernel(ctx context.Context, s source.Source, o Options, sum *Summary) (*linux.Kernel, error) {
	m, err := open(ctx, s, o, sum)
	if err != nil {
		return nil, err
	}
	sum.Convert.Needs = append(sum.Convert.Needs, fault.IsLinux)
	if !linux.Is(m) {
		// Whether it could be converted is not asked here, so an error is not
		// of interest: an image is.
		if w, _ := windows.Locate(ctx, m, windows.Options{Sink: o.Sink}); w != nil && w.Image != nil {
			sum.Guest.OS, sum.Convert.Needs = "windows", []fault.Code{}
			return nil, fault.New(fault.IsWindows, "")
		}
	}
	k, err := linux.Locate(ctx, m, linux.Options{Sink: o.Sink})
	if err != nil {
		return nil, err
	}
	sum.linux(k)
	return k, nil
}
