package dmp

import (
	"fmt"

	"coredrop/core/windows"
)

// Differences lists where what a debugger finds in the dump is not what was
// found in the core: the empty list means that the dump is verified.
func (r *Report) Differences(k *windows.Kernel, im *Image) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if r.KernelBase != k.KDBG.KernBase() {
		add("the kernel base is %v, not %v", r.KernelBase, k.KDBG.KernBase())
	}
	if !r.Image && imageAt(k.Space, k.KDBG.KernBase()) {
		add("no image at the kernel base %v", r.KernelBase)
	}
	if r.KDBG.Size != k.KDBG.Size || string(r.KDBG.Plain) != string(k.KDBG.Plain) {
		add("the debugger block at %v differs", k.KDBG.VA)
	}
	if len(r.Modules) < len(k.Modules) {
		add("%d of %d modules can be read: %v", len(r.Modules), len(k.Modules), r.ModulesErr)
	}
	for i := range min(len(r.Modules), len(k.Modules)) {
		if r.Modules[i].Base != k.Modules[i].Base {
			add("module %d (%s) is at %v, not at %v", i, k.Modules[i].Name, r.Modules[i].Base, k.Modules[i].Base)
		}
	}
	if r.Processes < len(k.Processes) && r.Type != TypeTriage { // which lists none
		add("%d of %d processes can be read: %v", r.Processes, len(k.Processes), r.ProcessesErr)
	}
	if r.Type != im.Type {
		add("the dump's type is %s, not %s", r.Type, im.Type)
	}
	for i := range im.Shown {
		r.compareContext(&im.Shown[i], add)
	}
	want := HeaderContext{}
	if im.context != nil {
		want = headerContext(im.context)
	}
	if im.Opens != "" && r.Header != want {
		add("the header's context says rip %#x, rsp %#x, flags %#x, not %#x, %#x, %#x",
			r.Header.PC, r.Header.SP, r.Header.Flags, want.PC, want.SP, want.Flags)
	}
	return list
}

func (r *Report) compareContext(s *Shown, add func(string, ...any)) {
	if s.record == nil || s.Processor >= len(r.Contexts) {
		return
	}
	c, want := r.Contexts[s.Processor], headerContext(s.record)
	switch {
	case c.Err != nil:
		add("processor %d: its context cannot be read: %v", s.Processor, c.Err)
	case c.VA != s.Context:
		add("processor %d: its context is looked for at %v, not at %v", s.Processor, c.VA, s.Context)
	case c.PC != want.PC || c.SP != want.SP || c.Flags != want.Flags:
		add("processor %d: its context says rip %#x, rsp %#x, not %#x, %#x", s.Processor, c.PC, c.SP, want.PC, want.SP)
	}
}
