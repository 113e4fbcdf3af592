package source

// Batch is ranges for one call of Prefetch: of no more blocks than the source keeps.
type Batch struct {
	to     Source
	list   []Range
	blocks map[int64]bool
}

// Batch begins an empty one, for a source that has Prefetch.
func (s Source) Batch() *Batch { return &Batch{to: s, blocks: map[int64]bool{}} }

// Add puts a range of a block at most, and of a byte at least, into the batch. false:
// it is left out, as it would be too much with those that are there.
func (b *Batch) Add(r Range) bool {
	size, most := int64(b.to.Block), b.to.Ahead
	if size <= 0 {
		size = DefaultBlock
	}
	if most <= 0 {
		most = DefaultAhead
	}
	first, last := r.Off/size, (r.End()-1)/size
	more := 0
	for n := first; n <= last; n++ {
		if !b.blocks[n] {
			more++
		}
	}
	if len(b.list) > 0 && len(b.blocks)+more > most {
		return false
	}
	for n := first; n <= last; n++ {
		b.blocks[n] = true
	}
	b.list = append(b.list, r)
	return true
}

// Send prefetches the batch.
func (b *Batch) Send() {
	if len(b.list) > 0 {
		b.to.Prefetch(b.list)
	}
}
