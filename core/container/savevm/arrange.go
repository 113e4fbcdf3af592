package savevm

import (
	"cmp"
	"context"
	"slices"

	"coredrop/core/cpu"
	"coredrop/core/fault"
	"coredrop/core/mem"
	"coredrop/core/paging"
	"coredrop/core/words"
)

// arrangement is a way in which the machine's memory may lie: its own blocks in
// their order, as if they followed one another, the first bytes below 4 GiB and
// the rest from upper on.
type arrangement struct {
	own, plugged []*block
	below        uint64
	upper        mem.PA
}

// Bounds of what is tried: arrangements, blocks that are put in every order, and
// blocks of which every choice is looked at.
const (
	maxArrangements = 128
	maxPermuted     = 5
	maxChosenFrom   = 12
)

// arrangements lists the ways in which the memory may lie, the likeliest first.
// sure: the blocks' names say which they are and in which order.
func (st *state) arrangements(own, plugged []*block, sure bool) ([]arrangement, error) {
	below, above, known, err := st.clock()
	if err != nil {
		return nil, err
	}
	total := sum(own)
	if sure {
		if !known || !fits(total, below, above) {
			if known {
				st.options.Logf("the clock's memory says %#x bytes below 4 GiB and %#x above; the blocks have %#x", below, above, total)
			}
			below = st.rule(total)
			if total > below {
				st.warn(fault.MemoryUnplaced, "the clock's memory, which says where the machine's memory lies, is not in the file: %s were placed by the rule for the machine %s",
					words.Bytes(int64(total)), st.boardName())
			}
		}
		return withUpper([]arrangement{{own: own, plugged: plugged, below: below}}), nil
	}
	if !known {
		return nil, refuse("where the memory of this machine lies cannot be told: it is in %d blocks of any name, and the clock's memory, which says how much of it is where, is not in the file", len(own))
	}
	var list []arrangement
	for _, chosen := range choices(own, below, above) {
		rest := slices.Clone(plugged)
		for _, b := range own {
			if !slices.Contains(chosen, b) {
				rest = append(rest, b)
			}
		}
		for _, order := range orders(chosen) {
			if list = append(list, arrangement{own: order, plugged: rest, below: below}); len(list) == maxArrangements {
				return withUpper(list), nil
			}
		}
	}
	if len(list) == 0 {
		return nil, refuse("where the memory of this machine lies cannot be told: no blocks of it have the %s that the clock's memory names", words.Bytes(int64(below+above)))
	}
	return withUpper(list), nil
}

// withUpper says where memory above 4 GiB begins: on an AMD processor's machine it
// is at 1 TiB where it would reach reserved addresses otherwise.
func withUpper(list []arrangement) []arrangement {
	var out []arrangement
	for _, a := range list {
		a.upper = above4G
		out = append(out, a)
		if uint64(above4G)+sum(a.own)-a.below > reservedAMD {
			a.upper = above1T
			out = append(out, a)
		}
	}
	return out
}

// choices lists which of the blocks, in their order, have the memory that the
// clock's memory names; all of them, where that fits.
func choices(list []*block, below, above uint64) (out [][]*block) {
	if fits(sum(list), below, above) || len(list) > maxChosenFrom {
		return [][]*block{list}
	}
	for bits := 1; bits < 1<<len(list); bits++ {
		var chosen []*block
		for i, b := range list {
			if bits>>i&1 == 1 {
				chosen = append(chosen, b)
			}
		}
		if fits(sum(chosen), below, above) {
			out = append(out, chosen)
		}
	}
	return out
}

// orders lists the orders of blocks, the given one first.
func orders(list []*block) [][]*block {
	if len(list) > maxPermuted || len(list) < 2 {
		return [][]*block{list}
	}
	var out [][]*block
	for i, b := range list {
		rest := slices.Concat(list[:i], list[i+1:])
		for _, tail := range orders(rest) {
			out = append(out, append([]*block{b}, tail...))
		}
	}
	return out
}

// choose gives the arrangement in which the processors' own tables lead somewhere.
// Where several are as good the first one is taken, and that is said.
func (st *state) choose(ctx context.Context, list []arrangement) (arrangement, error) {
	if len(list) == 1 {
		return list[0], nil
	}
	scores := make([]int, len(list))
	for i, a := range list {
		places, _ := st.lay(a)
		memory, _, err := st.memory(ctx, places)
		if err != nil {
			return a, err
		}
		scores[i] = st.score(memory)
	}
	best := slices.Max(scores)
	i := slices.Index(scores, best)
	same := 0
	for _, s := range scores {
		if s == best {
			same++
		}
	}
	st.options.Logf("%d ways in which the memory may lie, the best leads to %d places, %d are as good", len(list), best, same)
	if same > 1 {
		st.warn(fault.MemoryUnplaced, "in which order the machine's blocks of memory lie is not in the file, and the processors' tables do not tell all of it: a part of the memory may be in another block's place")
	}
	return list[i], nil
}

// maxScored bounds the processors that are asked.
const maxScored = 16

// score counts how many of the places that the processors' registers name are
// reached through their page tables.
func (st *state) score(memory mem.Physical) (n int) {
	numbers := make([]uint32, 0, len(st.states))
	for i := range st.states {
		numbers = append(numbers, i)
	}
	slices.SortFunc(numbers, func(a, b uint32) int { return cmp.Compare(a, b) })
	for _, i := range numbers[:min(len(numbers), maxScored)] {
		s := st.states[i]
		if !s.Paging() || s.Get(cpu.EFER)&longMode == 0 {
			continue
		}
		mode := paging.X64
		if s.Get(cpu.CR4)&cpu.CR4LA57 != 0 {
			mode = paging.X64L5
		}
		space := paging.New(memory, s.Root(), mode)
		for _, va := range []uint64{s.PC(), s.SP(), s.Get(cpu.GDTBase)} {
			if space.Resolves(mem.VA(va)) {
				n++
			}
		}
		n += gates(space, mem.VA(s.Get(cpu.IDTBase)))
	}
	return n
}

// A gate of the interrupt table. Source: Intel SDM volume 3, figure 6-8.
const (
	gateBytes    = 16
	gateType     = 5
	gateMask     = 0x9f // present, and the type
	gateIs       = 0x8e // an interrupt gate
	gatesCounted = 20
)

// gates counts the first entries of an interrupt table that are gates to code that
// is there.
func gates(space *paging.Space, table mem.VA) (n int) {
	p := make([]byte, gateBytes*gatesCounted)
	if space.ReadAt(p, table) != nil {
		return 0
	}
	for ; len(p) > 0; p = p[gateBytes:] {
		if p[gateType]&gateMask != gateIs {
			continue
		}
		handler := uint64(le.Uint16(p)) | uint64(le.Uint16(p[6:]))<<16 | uint64(le.Uint32(p[8:]))<<32
		if space.Resolves(mem.VA(handler)) {
			n++
		}
	}
	return n
}
