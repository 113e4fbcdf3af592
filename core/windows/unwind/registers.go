package unwind

// Register is a general register in the numbers that unwind information uses.
type Register uint8

// The registers.
const (
	RAX Register = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15
	registerCount
)

// nonvolatile are the registers that a called function keeps for its caller.
const nonvolatile = 1<<RBX | 1<<RSP | 1<<RBP | 1<<RSI | 1<<RDI | 1<<R12 | 1<<R13 | 1<<R14 | 1<<R15

// allKnown says that every register's value is known.
const allKnown = 1<<registerCount - 1

// Registers are a frame's registers. Known has a bit for each general register
// whose value is the frame's: behind a call only the nonvolatile ones are.
type Registers struct {
	RIP   uint64
	R     [registerCount]uint64
	Known uint16
}

// Full gives a frame's registers where all are known.
func Full(rip uint64, r [16]uint64) Registers { return Registers{RIP: rip, R: r, Known: allKnown} }

// Partial gives a frame's registers where only RIP, RSP and RBP are known.
func Partial(rip, rsp, rbp uint64) Registers {
	r := Registers{RIP: rip, Known: 1<<RSP | 1<<RBP}
	r.R[RSP], r.R[RBP] = rsp, rbp
	return r
}

// PC is the address of the next instruction.
func (r *Registers) PC() uint64 { return r.RIP }

// SP is the stack pointer.
func (r *Registers) SP() uint64 { return r.R[RSP] }

// knows reports whether a register's value is known.
func (r *Registers) knows(n Register) bool { return r.Known>>n&1 != 0 }

func (r *Registers) set(n Register, v uint64) { r.R[n], r.Known = v, r.Known|1<<n }

// lose drops a register's value.
func (r *Registers) lose(n Register) { r.Known &^= 1 << n }
