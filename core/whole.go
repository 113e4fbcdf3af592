//go:build !lean

package core

import (
	"context"

	"coredrop/core/container/kdump"
	"coredrop/core/container/qcow2"
	"coredrop/core/container/savevm"
	"coredrop/core/machine"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/summary"
)

// kdumpOpener reads kdump cores, savevmOpener saved states of QEMU, qcow2Opener those
// in a disk image.
var (
	kdumpOpener  machine.Opener = kdump.Open
	savevmOpener machine.Opener = savevm.Open
	qcow2Opener                 = qcow2.Opener(savevm.Open)
)

// Races recovers the data-race reports that a Linux core or the text of a kernel
// log holds. The summary is never nil, and has the reports too.
func Races(ctx context.Context, s source.Source, o Options) (*races.Result, *summary.Summary, error) {
	c, _ := Open(ctx, s, o) // why it is no dump does not matter here
	result, err := c.Races(ctx)
	return result, c.Summary(), err
}

// LinuxLog gives the log of a Linux core as dmesg prints it.
func LinuxLog(ctx context.Context, s source.Source, o Options) (string, *summary.Summary, error) {
	c, _ := Open(ctx, s, o)
	text, err := c.Log(ctx)
	return text, c.Summary(), err
}
