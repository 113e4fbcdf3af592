// Package races recovers the data-race reports that a Linux core still holds:
// those in the log, those being printed or prepared when the machine stopped,
// those that a rule suppressed, and what is left of those before. It brings
// package linux, which reads the guest, and package kcsan, which knows what a
// report is, together.
//
// What is rebuilt says from what it was rebuilt, and what could not be known is
// said, never guessed.
package races
