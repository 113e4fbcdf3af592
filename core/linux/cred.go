package linux

// The members of struct task_struct in front of its name, include/linux/sched.h:
// real_cred, cred and, with CONFIG_KEYS, cached_requested_key.
const credReach = 24

// struct cred, include/linux/cred.h: where the effective user ID is, by where
// cap_permitted is. The reference count in front has 4 bytes, or 8 from 6.7 on;
// with DEBUG_CREDENTIALS (to 6.6) 16 more come behind it.
var credEUID = map[int]uint64{48: 20, 56: 24, 64: 36}

// With DEBUG_CREDENTIALS a magic number, CRED_MAGIC, is in front of the IDs.
const (
	credDebug = 64 // cap_permitted's place then
	credMagic = 0x43736564
)

// credBytes is how much of a struct cred is looked at.
const credBytes = 72

// EUID is the effective user ID of a task's own credentials (real_cred). It
// answers false where their layout is not told by those of the idle task, which
// may do everything.
func (k *Kernel) EUID(t Task) (uint32, bool) {
	l := k.taskOffsets()
	if !l.ok || t.comm == 0 {
		return 0, false
	}
	// The idle task's two pointers are equal.
	for back := uint64(16); back <= credReach; back += 8 {
		real, ok1 := k.view.u64(l.idle - back)
		cred, ok2 := k.view.u64(l.idle - back + 8)
		if !ok1 || !ok2 || real != cred || real < kernelHalf {
			continue
		}
		euid, ok := k.credLayout(real)
		if !ok {
			return 0, false
		}
		if p, ok := k.view.u64(t.comm - back); ok && p >= kernelHalf {
			return k.view.u32(p + euid)
		}
	}
	return 0, false
}

// credLayout finds the effective user ID in init_cred: all its IDs are 0, and the
// first word that is not is cap_permitted, a mask of low bits.
func (k *Kernel) credLayout(init uint64) (euid uint64, ok bool) {
	p := k.view.prefix(init, credBytes)
	for off, euid := range credEUID {
		caps := le64(p, off)
		if caps>>30 == 0 || caps&(caps+1) != 0 {
			continue
		}
		zero := off != credDebug || le32(p, int(euid-20)) == credMagic
		for id := euid - 16; id < euid+16; id += 4 { // uid to fsgid
			zero = zero && le32(p, int(id)) == 0
		}
		if zero {
			return euid, true
		}
	}
	return 0, false
}
