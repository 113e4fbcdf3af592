// Package kcsan is the kernel concurrency sanitizer's reporting system in Go:
// the model of a race, the rules by which kernel/kcsan/report.c prints it, and
// the way back from text to model.
package kcsan
