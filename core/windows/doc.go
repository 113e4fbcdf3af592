// Package windows says what a Windows kernel is: the layouts of its structures,
// its debugger block (KDBG), plain or encoded, and what the block leads to:
// processors, modules, processes, the bug check, the times. They are read
// through an address space; how that and the kernel are found in a frozen machine
// is windows/find's. It writes nothing and does not know the crash dump's format.
package windows
