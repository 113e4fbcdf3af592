package dmp

import (
	"coredrop/core/mem"
	"coredrop/core/windows"
)

// Shown says whose registers a debugger finds for one processor.
type Shown struct {
	Processor int               // its number in Windows
	CPU       int               // the machine's CPU that runs it; -1: none
	From      windows.Registers // live, record or none
	Context   mem.VA            // where its record is; 0: there is no place
	Opens     bool              // the dump's header has its registers
	Why       string            // why From is what it is

	record []byte // what the dump holds at Context; nil: not known
}

// open notes whose registers the header has: those of the processor that
// core/windows chose, whichever they are.
func (im *Image) open(k *windows.Kernel, live bool) {
	im.Opens = k.Opening(live)
	i := k.Opens.Index
	if i < 0 || i >= len(im.Shown) {
		return
	}
	switch s := &im.Shown[i]; s.From {
	case windows.RegistersLive:
		im.context = contextRecord(k.Machine.CPUs[s.CPU].State)
	case windows.RegistersRecord:
		im.context = k.Processors[i].Record.Raw
	default:
		return
	}
	im.Shown[i].Opens = true
}
