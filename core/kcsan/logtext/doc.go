// Package logtext finds race reports in the text of logs, whatever passed the
// kernel's lines on: dmesg in all its forms, consoles, the journal, syslog, CI
// and container stamps, JSON, mails, quotes, diffs, pages. What the lines of one
// report are worth is [coredrop/core/kcsan]'s to say; this package brings them
// together and takes off what stands around them. It reads no cores.
//
// # The prefix is learned from the report
//
// No list of tools is kept. A separator or "BUG: KCSAN:" shows what stands before
// the kernel's text in this log, and the lines of the report are those that have
// an equally shaped prefix (form): numbers as numbers, the kernel's and other
// bracketed stamps as stamps, callers as callers, words of severity and the
// calendar as such, all else as it is. What a program printed without ending its
// line may stand before the kernel's own stamp. What is behind both the separator
// and the title is taken off everywhere.
//
// A log that names callers is read a caller at a time; in the others, lines that
// no report can have are left out. A report is closed by its separator, by the
// next title, or when nothing of it has come for long.
//
// # Layers
//
//	bytes   encoding.go, read.go   UTF-16, byte order marks; lines, endless ones in pieces
//	lines   clean.go               terminal sequences, NUL bytes, carriage returns
//	        json.go, read.go       records: JSON of any layout, the journal's export format
//	        escapes.go             quoted-printable, HTML, "\n" in one line
//	text    form.go, assemble.go   prefixes, streams; history.go: what was before
//	finds   kcsan.ReadLines        grade, model, differences or reason
//	        distinct.go            equal ones once
//
// # Never silent
//
// Every line that names "BUG: KCSAN:" gives a report or a fragment with its
// reason, also in JSON, inside tags and across the pieces of a line of megabytes.
// When two layers disagree on where that text is, the one that keeps it wins.
//
// # Bounds
//
// Time is linear in the log. Memory is bounded whatever its size: streams, forms,
// lines and bytes of a report, the history, strings of JSON, and what is kept of
// different texts (2 MiB), beyond which titles are kept, and then numbers.
//
// # Sources
//
// util-linux sys-utils/dmesg.c; systemd src/shared/logs-show.c,
// JOURNAL_EXPORT_FORMATS; Documentation/ABI/testing/dev-kmsg and
// networking/netconsole.rst; RFC 3164, 5424, 2045, 7464; AOSP system/logging;
// scripts/decode_stacktrace.sh; pkg/report of google/syzkaller; the RFC of KCSAN
// of 2019 for its first form. The tests write the forms of some ninety tools.
package logtext
