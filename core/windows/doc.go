// Package windows finds the Windows kernel in a frozen machine: the page-table
// base, the kernel image, its debugger block (KDBG), plain or encoded, with a
// PDB or without, and what the block leads to: processors, modules, processes,
// the bug check, the times. It writes nothing and does not know the crash
// dump's format.
//
// Everything read from the guest is a claim until it is proved: a page-table
// root is right when a kernel is found through it, an image is the kernel when
// its record, its PDB (if there is one) and its debugger block agree, and a
// debugger block is right when what it points to is there.
package windows
