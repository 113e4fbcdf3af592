// Package stacks says where every processor of a Windows guest stood, and every
// thread that can be reached: call stacks with names, from the guest's memory
// alone. Package unwind walks; this one knows where stacks begin, what the
// addresses on them are called, and what follows from them. What it says is
// what the core proves; what is guessed is marked. Nothing it reads is trusted:
// lists, offsets and stack limits are checked against each other.
package stacks
