// Package dmp describes a Windows crash dump as an ordered list of parts, from
// a kernel that core/windows found: header, then page data. Nothing is copied:
// where the input file holds guest memory verbatim, a part is a range of that
// file; only patched and incomplete pages are literal bytes.
//
// It also reads a dump back as a debugger would (Verify). It does not write
// files and does not search for anything in the guest.
package dmp
