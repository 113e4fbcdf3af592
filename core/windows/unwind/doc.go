// Package unwind walks the call stacks of x86-64 Windows code from memory, by
// the exception data of the images: the operations of unwind information
// versions 1 and 2, chained and indirect entries, machine frames, and epilogs.
// It asks the guest nothing and guesses only where it says so. It knows images
// and memory, not processors, threads or names. Sources: Microsoft's "x64
// exception handling" and the unwinder of dotnet/runtime (which is open), both
// checked against executed code.
package unwind
