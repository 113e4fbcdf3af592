package ranged

import (
	"container/list"
	"context"
	"slices"

	"coredrop/core/source"
)

// block is one of the object's, there or on its way.
type block struct {
	number int64
	data   []byte
	at     *list.Element // in Reader.recent
	kept   bool          // in Reader.kept
	ahead  bool          // fetched because it was announced: nobody asked for its error
	there  bool          // filled; of Reader.mu

	ready chan struct{} // closed when it is filled, or failed
	err   error         // of the fetching; to be read behind ready
}

// read fills p from off on, which is inside the object.
func (r *Reader) read(p []byte, off int64) (int, error) {
	size := int64(r.o.Block)
	if len(p) == 0 {
		return 0, nil
	}
	if first, last := off/size, (off+int64(len(p))-1)/size; (last-first+1)*size > r.o.Cache/2 {
		return r.past(p, off)
	}
	done := 0
	for done < len(p) {
		at, end := off+int64(done), off+int64(len(p))
		var numbers []int64
		for n := at / size; n*size < end; n++ {
			numbers = append(numbers, n)
		}
		list, err := r.claim(numbers, false)
		if err != nil {
			return done, err
		}
		for _, b := range list {
			if err = r.wait(b); err != nil {
				break
			}
			done += copy(p[done:], b.data[(off+int64(done))%size:])
		}
		if err == errAhead {
			continue // it was announced and did not come; now somebody waits for it
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// past fills p from off on without keeping anything.
func (r *Reader) past(p []byte, off int64) (int, error) {
	r.mu.Lock()
	err := r.broken()
	r.mu.Unlock()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	var pieces []chan error
	for at := int64(0); at < int64(len(p)); at += r.o.Request {
		pieces = append(pieces, r.start(ctx, off+at, p[at:min(at+r.o.Request, int64(len(p)))]))
	}
	n := 0 // bytes before the first failure
	for i, piece := range pieces {
		// All are waited for: p is the caller's again.
		switch failed := <-piece; {
		case failed == nil && err == nil:
			n = int(min(int64(i+1)*r.o.Request, int64(len(p))))
		case err == nil:
			err = r.fail(failed)
			cancel()
		}
	}
	return n, err
}

// start fills p in the background.
func (r *Reader) start(ctx context.Context, off int64, p []byte) chan error {
	done := make(chan error, 1)
	go func() { done <- r.fetch(ctx, off, [][]byte{p}, func(int) {}) }()
	return done
}

// prefetch fetches the blocks that ranges lie in, as far as half of the room for
// blocks goes, and returns when they are there. What does not come is not said:
// who reads it will learn why.
func (r *Reader) prefetch(ranges []source.Range) {
	most := r.ahead()
	var numbers []int64
	for _, x := range ranges {
		if x.Off < 0 || x.Bytes <= 0 || x.Off >= r.o.Size {
			continue
		}
		last := (x.Off + min(x.Bytes, r.o.Size-x.Off) - 1) / int64(r.o.Block)
		for n := x.Off / int64(r.o.Block); n <= last && len(numbers) < most; n++ {
			if !slices.Contains(numbers, n) {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	list, err := r.claim(numbers, true)
	if err != nil {
		return // so will the read
	}
	for _, b := range list {
		r.wait(b) // the read will say it
	}
}

// claim gives blocks by their ascending numbers, and has those fetched that are not
// there. It waits until there is room for them: half of the room is enough for any
// list, and the other half at most is kept for readers that were announced.
func (r *Reader) claim(numbers []int64, ahead bool) ([]*block, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if err := r.broken(); err != nil {
			return nil, err
		}
		if r.makeRoom(numbers) {
			break
		}
		r.change.Wait()
	}
	var list, missing []*block
	for _, n := range numbers {
		b := r.blocks[n]
		if b == nil {
			b = &block{number: n, ahead: ahead, ready: make(chan struct{}), data: make([]byte, r.bytes(n))}
			b.at = r.recent.PushFront(b)
			r.blocks[n] = b
			r.held += int64(len(b.data))
			missing = append(missing, b)
		}
		r.recent.MoveToFront(b.at)
		r.keep(b, ahead)
		list = append(list, b)
	}
	most := int(r.o.Request / int64(r.o.Block))
	for len(missing) > 0 {
		n := 1
		for n < min(len(missing), most) && missing[n].number == missing[0].number+int64(n) {
			n++
		}
		go r.load(missing[:n])
		missing = missing[n:]
	}
	return list, nil
}

// bytes is the length of a block: the last one may be shorter.
func (r *Reader) bytes(number int64) int64 {
	return min(int64(r.o.Block), r.o.Size-number*int64(r.o.Block))
}

// makeRoom drops the blocks that were not read for the longest time until those
// of numbers that are not there have room; false: they would have none, and
// nothing was dropped.
func (r *Reader) makeRoom(numbers []int64) bool {
	need := r.held - r.o.Cache
	for _, n := range numbers {
		if r.blocks[n] == nil {
			need += r.bytes(n)
		}
	}
	var old []*block
	for e := r.recent.Back(); e != nil && need > 0; e = e.Prev() {
		b := e.Value.(*block)
		if b.there && !b.kept && !slices.Contains(numbers, b.number) {
			old = append(old, b)
			need -= int64(len(b.data))
		}
	}
	if need > 0 {
		return false
	}
	for _, b := range old {
		r.drop(b)
	}
	return true
}

// drop forgets a block.
func (r *Reader) drop(b *block) {
	delete(r.blocks, b.number)
	r.recent.Remove(b.at)
	r.held -= int64(len(b.data))
	r.keep(b, false)
}

// keep says whether a block stays until it is read. Who announces much and does not
// read it loses what is oldest.
func (r *Reader) keep(b *block, kept bool) {
	if i := slices.Index(r.kept, b); i >= 0 {
		r.kept = slices.Delete(r.kept, i, i+1)
	}
	if b.kept = kept; kept {
		r.kept = append(r.kept, b)
	}
	for int64(len(r.kept))*int64(r.o.Block) > r.o.Cache/2 {
		r.kept[0].kept = false
		r.kept = slices.Delete(r.kept, 0, 1)
	}
}

// load fetches adjoining blocks by one request; each is there as soon as it came.
func (r *Reader) load(list []*block) {
	parts := make([][]byte, len(list))
	for i, b := range list {
		parts[i] = b.data
	}
	came := 0
	err := r.fetch(r.ctx, list[0].number*int64(r.o.Block), parts, func(i int) {
		came = i + 1
		r.settle(list[i], nil)
	})
	for _, b := range list[came:] {
		r.settle(b, err)
	}
}

// settle ends the fetching of a block.
func (r *Reader) settle(b *block, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.err = err; err != nil {
		r.drop(b)
	}
	b.there = err == nil
	close(b.ready)
	r.change.Broadcast()
}

// wait waits for a block. errAhead: it was announced and did not come.
func (r *Reader) wait(b *block) error {
	select {
	case <-b.ready:
	default:
		select {
		case <-b.ready:
		case <-r.ctx.Done():
			return r.fail(cancelled(r.ctx))
		}
	}
	switch {
	case b.err == nil:
		return nil
	case b.ahead:
		return errAhead
	}
	return r.fail(b.err)
}
