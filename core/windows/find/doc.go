// Package find finds the Windows kernel in a frozen machine: the page-table
// base, the kernel image, its debugger block, plain or encoded, with a PDB or
// without, which CPU runs which processor, and whose registers a debugger should
// be shown. What a kernel is, and how its parts are read, is core/windows'.
//
// Everything read from the guest is a claim until it is proved: a page-table
// root is right when a kernel is found through it, an image is the kernel when
// its record, its PDB (if there is one) and its debugger block agree, and a
// debugger block is right when what it points to is there.
package find
