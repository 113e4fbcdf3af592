package dmp

// exceptionSet is how much of the exception record Windows sets where there are
// no parameters: up to the padding behind their number.
const exceptionSet = 0x1c

// leechFirstPage: LeechCore refuses a bitmap dump whose first page lies further
// in.
const leechFirstPage = 16 << 20

// Values that Windows and upstream elf2dmp write.
const (
	bugCheckLiveDump  = 0x161
	exceptionBreak    = 0x80000003
	exceptionNoReturn = 1
	machineAMD64      = 0x8664
)
