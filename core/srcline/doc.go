// Package srcline finds the source lines of code addresses: file, line and the
// chain of inlined functions, from the DWARF of an ELF file (a vmlinux, a
// module's .ko.debug, any program), versions 2 to 5.
//
// Such a file has several hundred megabytes; debug/dwarf reads sections whole. So
// only ranges are read: the table of addresses (.debug_aranges) leads to one
// compilation unit, and that unit alone, with its abbreviations and its line
// program, is handed to debug/dwarf as if it were all there is. What it refers
// to elsewhere (strings, address lists) is rewritten to plain numbers and looked
// up here, see rewrite. A few units are kept; memory stays within a bound that
// does not depend on the file's size.
//
// Everything in the file may lie. It does not judge whether the file belongs to
// a core: BuildID is for that.
package srcline
