package savevm

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/words"
)

// place is where pages of blocks are in the guest's memory.
type place struct {
	start mem.PA
	pages uint64
	first uint32 // number of the first page
}

// Where boards of the two architectures have their memory. Source: QEMU 10.0
// hw/i386/pc.c, hw/arm/virt.c.
const (
	above4G  = 4 << 30
	virtBase = 1 << 30
	legacy   = 0xa0000 // from here to 1 MiB: memory of cards, ROMs
	roms     = 0xc0000
	biosLow  = 0xe0000
	highMem  = 1 << 20

	// above1T is where memory above 4 GiB begins on an AMD processor's machine
	// whose addresses would reach reserved ones otherwise.
	above1T     = 1 << 40
	reservedAMD = 0xfd00000000
)

// The clock's memory, in which QEMU tells the firmware where memory is. Source:
// QEMU 10.0 hw/i386/pc.c (pc_cmos_init).
const (
	cmosBytes    = 128
	cmosBelow16M = 0x30 // KiB above 1 MiB, u16
	cmosAbove16M = 0x34 // 64 KiB above 16 MiB, u16
	cmosAbove4G  = 0x5b // 64 KiB above 4 GiB, 24 bits
	cmosWrap     = 1 << 40
	cmosUnit     = 64 << 10
	cmosFirst    = 16 << 20
	cmosFirstKiB = 1 << 20
	maxBelow     = 4 << 30
	boardVirt    = "virt-"
	blockVirt    = "mach-virt.ram"
	blockPC      = "pc.ram"
	blockMicro   = "microvm.ram"
	blockBIOS    = "pc.bios"
	blockROM     = "pc.rom"
	blockNode    = "ram-node"
	blockDIMM    = "memdimm" // of libvirt, and the slot's number
)

// mapper collects places.
type mapper struct {
	st     *state
	places []place
}

// isRAM reports whether a block's name is not that of firmware, of a card's memory
// or of a table.
func isRAM(name string) bool {
	for _, word := range []string{"pc.bios", "pc.rom", "system.flash", "virt.flash", "vga.", "qxl.", "isa-bios"} {
		if strings.HasPrefix(name, word) {
			return false
		}
	}
	return !strings.Contains(name, "/") && !strings.HasSuffix(name, ".rom") && !strings.HasSuffix(name, "vram") && !strings.HasSuffix(name, ".bios")
}

// base gives the blocks that are the machine's own memory, in their order, and the
// other memory, which was plugged in. sure: names alone say so.
func (st *state) base() (own, plugged []*block, sure bool) {
	var free []*block
	blocks := st.ram.blocks
	for i := range blocks {
		b := &blocks[i]
		switch {
		case b.name == blockPC || b.name == blockVirt || b.name == blockMicro:
			own = append(own, b)
		case !isRAM(b.name):
		case isNumbered(b.name, blockDIMM):
			plugged = append(plugged, b)
		default:
			free = append(free, b)
		}
	}
	if len(own) > 0 {
		return own, append(plugged, free...), true
	}
	slices.SortFunc(free, func(a, b *block) int { return naturally(a.name, b.name) })
	var others []*block
	for _, b := range free {
		if isNumbered(b.name, blockNode) {
			own = append(own, b)
		} else {
			others = append(others, b)
		}
	}
	if len(own) > 0 {
		return own, append(plugged, others...), true
	}
	return free, plugged, len(free) == 1
}

func isNumbered(name, word string) bool {
	rest, ok := strings.CutPrefix(name, word)
	_, err := strconv.ParseUint(rest, 10, 16)
	return ok && err == nil
}

// naturally compares names with the numbers in them taken as numbers.
func naturally(a, b string) int {
	head := func(s string) (word string, n uint64, rest string) {
		i := strings.IndexFunc(s, isDigit)
		if i < 0 {
			return s, 0, ""
		}
		word, s = s[:i], s[i:]
		k := strings.IndexFunc(s, func(r rune) bool { return !isDigit(r) })
		if k < 0 {
			k = len(s)
		}
		n, _ = strconv.ParseUint(s[:k], 10, 64)
		return word, n, s[k:]
	}
	for a != "" && b != "" {
		wordA, numberA, restA := head(a)
		wordB, numberB, restB := head(b)
		if c := cmp.Or(cmp.Compare(wordA, wordB), cmp.Compare(numberA, numberB)); c != 0 {
			return c
		}
		a, b = restA, restB
	}
	return cmp.Compare(len(a), len(b))
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

func sum(list []*block) (total uint64) {
	for _, b := range list {
		total += b.bytes
	}
	return total
}

// place finds out where the blocks are in the guest's memory. What cannot be known
// is left out, with a warning that counts it.
func (st *state) place(ctx context.Context) ([]place, error) {
	own, plugged, sure := st.base()
	if len(own) == 0 {
		return nil, fault.New(fault.NoMemory, "the saved state lists no memory of the machine")
	}
	if st.machine.Arch == nil {
		st.machine.Arch = st.guessArch()
	}
	var chosen arrangement
	switch st.machine.Arch {
	case cpu.ARM64:
		chosen = arrangement{own: own, plugged: plugged, upper: virtBase}
	case cpu.X64, cpu.X86:
		list, err := st.arrangements(own, plugged, sure)
		if err != nil {
			return nil, err
		}
		if chosen, err = st.choose(ctx, list); err != nil {
			return nil, err
		}
	default:
		return nil, fault.New(fault.UnsupportedCPU, "this is a saved state of a machine whose processor is not supported: %s", st.boardName())
	}
	places, lost := st.lay(chosen)
	if lost > 0 {
		st.warn(fault.MemoryUnplaced, "%s of memory that was plugged in are left out: the file does not say at which address they were", words.Bytes(int64(lost)))
	}
	for i := 1; i < len(places); i++ {
		if p := places[i-1]; p.start+mem.PA(p.pages)*mem.PA(st.ram.pageSize) > places[i].start {
			return nil, fault.New(fault.DamagedHeader, "two pieces of memory would be at %v", places[i].start)
		}
	}
	return places, nil
}

// lay places the blocks of an arrangement; lost are the bytes of plugged memory
// whose address is not known.
func (st *state) lay(a arrangement) (list []place, lost uint64) {
	m := &mapper{st: st}
	if st.machine.Arch == cpu.ARM64 {
		m.linear(a.own, 0, sum(a.own), a.upper)
	} else {
		m.pc(a)
	}
	lost = m.plugged(a.plugged)
	slices.SortFunc(m.places, func(a, b place) int { return cmp.Compare(a.start, b.start) })
	return m.places, lost
}

// guessArch tells the processor without its registers.
func (st *state) guessArch() *cpu.Arch {
	for _, b := range st.ram.blocks {
		switch {
		case b.name == blockPC || b.name == blockBIOS || b.name == blockMicro:
			return cpu.X64
		case b.name == blockVirt:
			return cpu.ARM64
		}
	}
	switch {
	case strings.HasPrefix(st.board, "pc-") || strings.HasPrefix(st.board, "microvm"):
		return cpu.X64
	case strings.HasPrefix(st.board, boardVirt):
		return cpu.ARM64
	}
	return nil
}

// linear places the blocks' bytes from lo to hi, as if they followed one another,
// at an address.
func (m *mapper) linear(list []*block, lo, hi uint64, at mem.PA) {
	page := uint64(m.st.ram.pageSize)
	start := uint64(0)
	for _, b := range list {
		from, to := max(lo, start), min(hi, start+b.bytes)
		if from < to {
			m.places = append(m.places, place{at + mem.PA(from-lo), (to - from) / page, b.first + uint32((from-start)/page)})
		}
		start += b.bytes
	}
}

// pc places the memory of a PC.
func (m *mapper) pc(a arrangement) {
	st := m.st
	low := func(lo, hi uint64) {
		if lo < min(hi, a.below) {
			m.linear(a.own, lo, min(hi, a.below), mem.PA(lo))
		}
	}
	low(0, legacy)
	if !st.hasVGA() {
		low(legacy, roms)
	}
	m.legacyROMs(low)
	low(highMem, a.below)
	m.linear(a.own, a.below, sum(a.own), a.upper)
	if i, ok := st.ram.byName[blockBIOS]; ok {
		if b := &st.ram.blocks[i]; b.bytes < 1<<24 {
			m.linear([]*block{b}, 0, b.bytes, mem.PA(above4G-b.bytes))
		}
	}
}

// hasVGA reports whether a card's memory is at 0xa0000.
func (st *state) hasVGA() bool {
	for _, b := range st.ram.blocks {
		if strings.HasSuffix(b.name, "vram") {
			return true
		}
	}
	return false
}

// clock gives how much memory is below and above 4 GiB, as the clock's memory
// says; above 1 TiB the number above is short of that many.
func (st *state) clock() (below, above uint64, ok bool, err error) {
	rtc := st.device(func(name string) bool { return name == deviceRTC })
	if rtc == nil {
		return 0, 0, false, nil
	}
	p, err := rtc.read(st.source, cmosBytes)
	if err != nil {
		return 0, 0, false, err
	}
	below, above, ok = cmos(p)
	return below, above, ok, nil
}

// fits reports whether so much memory is what the clock's memory says.
func fits(total, below, above uint64) bool {
	return total >= below && (total-below)%cmosWrap == above
}

func (st *state) boardName() string {
	if st.board == "" {
		return "(which has no name in the file)"
	}
	return st.board
}

// cmos reads how much memory there is below and above 4 GiB.
func cmos(p []byte) (below, above uint64, ok bool) {
	if len(p) < cmosBytes {
		return 0, 0, false
	}
	below = cmosFirst + uint64(le.Uint16(p[cmosAbove16M:]))*cmosUnit
	if below == cmosFirst {
		below = cmosFirstKiB + uint64(le.Uint16(p[cmosBelow16M:]))<<10
	}
	above = (uint64(le.Uint16(p[cmosAbove4G:])) | uint64(p[cmosAbove4G+2])<<16) * cmosUnit
	return below, above, below < maxBelow
}

// rule is how much of the memory boards place below 4 GiB. Source: QEMU 10.0
// hw/i386/pc_piix.c, pc_q35.c, microvm.c.
func (st *state) rule(total uint64) uint64 {
	const g = 1 << 30
	low, from := uint64(3*g), uint64(3*g+g/2)
	switch {
	case strings.HasPrefix(st.board, "pc-q35"):
		low, from = 2*g, 0xb0000000
	case strings.HasPrefix(st.board, "microvm"):
		low, from = 3*g, 3*g
	case strings.HasPrefix(st.board, "pc-i440fx-1.") || strings.HasPrefix(st.board, "pc-1.") || strings.HasPrefix(st.board, "pc-0."):
		low = from
	}
	if total >= from {
		return low
	}
	return total
}
