// Package linux reads a frozen Linux guest without its vmlinux: what the kernel
// says of itself (vmcoreinfo), its symbols (kallsyms, as they lie in memory),
// modules, log, tasks and stacks. It does not know what a race report is, and
// it knows nothing of containers.
//
// Everything it reads is hostile: lists may be cyclic, lengths may lie, names
// may have no end. Every walk has a bound, every read may fail, and what could
// not be read is said in a warning or an error, never guessed.
//
// The layouts were measured on kernels 5.10.223, 6.1.192, 6.12.117 and 7.3.4 and
// are named after the kernel's own structures.
package linux
