// Package dump is the format of Windows' crash dump files, and nothing else: the
// 64-bit and the 32-bit header as tables of fields, run lists, the bitmap, and
// where a file holds which memory. It knows no kernel: core/dmp writes dumps with
// it, core/windows reads the header that a driver left in a note.
package dump
