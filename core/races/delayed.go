package races

import (
	"strconv"
	"strings"

	"coredrop/core/kcsan"
	"coredrop/core/linux"
)

// tsanAccess reads size and kind of an access from the name of the function that
// the compiler calls for it (kernel/kcsan/core.c):
//
//	__tsan_[unaligned_][volatile_]{read,write,read_write}N   N bytes; volatile ones are marked
//	__tsan_{read,write}_range                                any size
//	__tsan_atomicN_{load,store,…}                            N bits, marked
//
// size is 0 where the name does not tell it.
func tsanAccess(name string) (size uint64, typ kcsan.AccessType, ok bool) {
	rest, ok := strings.CutPrefix(name, "__tsan_")
	if !ok {
		return 0, 0, false
	}
	if bits, found := strings.CutPrefix(rest, "atomic"); found {
		return tsanAtomic(bits)
	}
	rest = strings.TrimPrefix(rest, "unaligned_")
	if after, marked := strings.CutPrefix(rest, "volatile_"); marked {
		rest, typ = after, kcsan.AccessAtomic
	}
	switch {
	case strings.HasPrefix(rest, "read_write"):
		rest, typ = rest[len("read_write"):], typ|kcsan.AccessWrite|kcsan.AccessCompound
	case strings.HasPrefix(rest, "read"):
		rest = rest[len("read"):]
	case strings.HasPrefix(rest, "write"):
		rest, typ = rest[len("write"):], typ|kcsan.AccessWrite
	default:
		return 0, 0, false
	}
	if rest == "_range" {
		return 0, typ, true
	}
	n, err := strconv.ParseUint(rest, 10, 8)
	if err != nil || n == 0 || n > 16 {
		return 0, 0, false
	}
	return n, typ, true
}

// tsanAtomic reads what follows "__tsan_atomic": all operations but load and store
// read and write.
func tsanAtomic(rest string) (size uint64, typ kcsan.AccessType, ok bool) {
	bits, op, found := strings.Cut(rest, "_")
	n, err := strconv.ParseUint(bits, 10, 8)
	if !found || err != nil || n == 0 || n%8 != 0 || n > 64 {
		return 0, 0, false // also thread_fence and signal_fence
	}
	typ = kcsan.AccessAtomic
	switch op {
	case "load":
	case "store":
		typ |= kcsan.AccessWrite
	default:
		typ |= kcsan.AccessWrite | kcsan.AccessCompound
	}
	return n / 8, typ, true
}

// delayedAccess finds a delaying consumer's access out: from the arguments that
// kcsan_setup_watchpoint keeps, checked against the name of the function that was
// called for the access; else size and kind from that name alone and the address
// from what stands on the stack or was in registers and overlaps the producer's.
// It answers false when this consumer cannot be the producer's.
func (s *State) delayedAccess(c *consumer, producer kcsan.Access) bool {
	if c.at+1 >= len(c.frames) {
		return false
	}
	size, typ, named := tsanAccess(s.function(c.frames[c.at+1]))
	a := kcsan.Access{Size: size, Type: typ, CPU: c.cpu, PID: c.task.PID}
	if s.interrupted(c.frames[c.at:]) {
		a.PID = kcsan.InterruptPID
	}
	if kept, ok := s.keptAccess(c, a, named); ok {
		if kept.Overlaps(producer) {
			c.access, c.guessed = kept, false
			return true
		}
		return false
	}
	if !named || size == 0 {
		return false
	}
	var ok bool
	a.Addr, ok = s.overlapping(c, producer, size)
	if ok {
		c.access, c.guessed = a, a.Addr != producer.Addr
	}
	return ok
}

// keptBytes is how much of kcsan_setup_watchpoint is looked at for where it keeps
// its arguments.
const keptBytes = 1024

// keptAccess reads ptr, size and access_type where kcsan_setup_watchpoint keeps
// them. What the called function's name says must agree; what it does not say
// must make sense.
func (s *State) keptAccess(c *consumer, a kcsan.Access, named bool) (kcsan.Access, bool) {
	sym, _, ok := s.k.Resolve(c.frames[c.at].Addr - 1)
	if !ok {
		return a, false
	}
	args := linux.Kept(s.k.Prefix(sym.Addr, keptBytes), s.k.Saved(c.cpu, c.frames, c.at), s.k.Uint64)
	ptr, ok1 := args.Get(linux.RegDI)
	size, ok2 := args.Get(linux.RegSI)
	if !ok1 || !ok2 || !s.k.KernelPointer(ptr) || size == 0 || size > kcsan.MaxEncodableSize || a.Size != 0 && size != a.Size {
		return a, false
	}
	a.Addr, a.Size = ptr, size
	if named {
		return a, true
	}
	raw, ok := args.Get(linux.RegDX)
	if !ok {
		return a, false
	}
	a.Type = s.Version.DecodeType(uint32(raw))
	encoded, err1 := s.Version.EncodeType(a.Type)
	_, err2 := s.Version.KindName(a.Type)
	return a, err1 == nil && err2 == nil && uint64(encoded) == raw
}
