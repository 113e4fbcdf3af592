package mem

import (
	"container/list"
	"context"
	"fmt"
	"sync"
)

// BlockReader unpacks the memory of a container that packs it in blocks of one
// size. It is for one goroutine: it may keep buffers.
type BlockReader interface {
	// Read fills p with whole blocks, the first one by its number: its physical
	// address divided by the block size. It is asked only for what the extents
	// hold.
	Read(p []byte, first uint64) error
}

// Pages is Physical over a container that packs memory in blocks. Single reads go
// through a cache of unpacked blocks; a pass over much of it unpacks ahead on all
// processors.
type Pages struct {
	// Fetch names blocks that will be read next, by their numbers, as Fetch.Frames
	// does page frames; nil: nothing would be gained.
	Fetch func(blocks []uint64) (n int)

	extents []Extent
	block   int64 // bytes
	open    func() BlockReader
	workers int
	budget  int64

	mu     sync.Mutex // of the cache, and of reader
	reader BlockReader
	blocks map[uint64]*list.Element
	recent *list.List // of *unpacked, the latest first
}

type unpacked struct {
	number uint64
	data   []byte
}

// NewPages gives the memory of extents (sorted, disjoint, of whole blocks) that
// the readers unpack. workers is how many of them a pass may use at once, at least
// one; the cache holds at most budget bytes, DefaultCache when it is 0 or less.
func NewPages(extents []Extent, block int64, workers int, budget int64, open func() BlockReader) *Pages {
	if budget <= 0 {
		budget = DefaultCache
	}
	return &Pages{extents: extents, block: block, open: open, workers: max(workers, 1), budget: budget,
		reader: open(), blocks: map[uint64]*list.Element{}, recent: list.New()}
}

// Extents lists what the container holds, sorted and disjoint.
func (m *Pages) Extents() []Extent { return m.extents }

// Prefetch names the blocks of what will be read soon.
func (m *Pages) Prefetch() *Fetch {
	if m.Fetch == nil {
		return nil
	}
	return &Fetch{Frames: m.fetch, Room: int(m.budget / m.block / 2)}
}

// fetch names the blocks of page frames that are not unpacked yet.
func (m *Pages) fetch(frames []PA) (n int) {
	var blocks []uint64
	var upTo []int // by block: how many frames are done with it and those before
	for i, pa := range frames[:min(len(frames), maxNamed)] {
		if number := uint64(pa) / uint64(m.block); m.has(pa) && !m.holds(number) {
			blocks, upTo = append(blocks, number), append(upTo, i)
		}
		n = i + 1
	}
	if len(blocks) > 0 {
		if named := m.Fetch(blocks); named < len(blocks) {
			n = upTo[named]
		}
	}
	return n
}

// maxNamed bounds how many frames are looked at for one journey.
const maxNamed = 1024

func (m *Pages) has(pa PA) bool {
	_, ok := Find(m.extents, pa)
	return ok
}

// holds reports whether a block is unpacked, and keeps it longer then.
func (m *Pages) holds(number uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	el, ok := m.blocks[number]
	if ok {
		m.recent.MoveToFront(el)
	}
	return ok
}

// ReadAt fills p from guest physical address pa on.
func (m *Pages) ReadAt(p []byte, pa PA) error {
	for len(p) > 0 {
		i, ok := Find(m.extents, pa)
		if !ok {
			return &HoleError{pa}
		}
		left := min(uint64(len(p)), uint64(m.extents[i].End()-pa))
		for left > 0 {
			data, err := m.cached(uint64(pa) / uint64(m.block))
			if err != nil {
				return err
			}
			n := copy(p[:left], data[uint64(pa)%uint64(m.block):])
			p, pa, left = p[n:], pa+PA(n), left-uint64(n)
		}
	}
	return nil
}

// cached gives one unpacked block, which is never changed.
func (m *Pages) cached(number uint64) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if el, ok := m.blocks[number]; ok {
		m.recent.MoveToFront(el)
		return el.Value.(*unpacked).data, nil
	}
	data := make([]byte, m.block)
	if err := m.reader.Read(data, number); err != nil {
		return nil, err
	}
	m.blocks[number] = m.recent.PushFront(&unpacked{number, data})
	for int64(m.recent.Len())*m.block > m.budget && m.recent.Len() > 1 {
		delete(m.blocks, m.recent.Remove(m.recent.Back()).(*unpacked).number)
	}
	return data, nil
}

// scanJob is how many bytes a worker unpacks at a time.
const scanJob = 256 << 10

// job is a stretch of a pass: blocks to be unpacked, of which a part is wanted.
type job struct {
	first uint64 // number of the first block
	data  []byte
	skip  int // bytes of the first block in front of what is wanted
	want  int // bytes
	done  chan error
}

// Scan unpacks ahead, at most a few jobs for each worker, and hands over in
// order.
func (m *Pages) Scan(ctx context.Context, e Extent, buf []byte, visit func(pa PA, p []byte) error) error {
	i, ok := Find(m.extents, e.Start)
	if !ok || e.Bytes > uint64(m.extents[i].End()-e.Start) {
		return &HoleError{e.Start}
	}
	next := m.jobs(e)
	if m.workers == 1 {
		return m.inTurn(ctx, e.Start, next, buf, visit)
	}
	return m.ahead(ctx, e.Start, next, buf, visit)
}

// jobs gives the jobs of a range one after another; nil at its end.
func (m *Pages) jobs(e Extent) func() *job {
	at, end := e.Start, e.End()
	size := PA(max(scanJob, m.block))
	return func() *job {
		if at >= end {
			return nil
		}
		stop := min((at+size)&^(size-1), end)
		first := uint64(at) / uint64(m.block)
		blocks := (uint64(stop)+uint64(m.block)-1)/uint64(m.block) - first
		j := &job{first: first, skip: int(uint64(at) % uint64(m.block)), want: int(stop - at)}
		j.data = make([]byte, blocks*uint64(m.block))
		at = stop
		return j
	}
}

// inTurn unpacks one job after the other.
func (m *Pages) inTurn(ctx context.Context, pa PA, next func() *job, buf []byte, visit func(PA, []byte) error) error {
	r := m.open()
	for j := next(); j != nil; j = next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.Read(j.data, j.first); err != nil {
			return err
		}
		if err := j.handOver(&pa, buf, visit); err != nil {
			return err
		}
	}
	return nil
}

// ahead has workers unpack jobs; what they are at is bounded by the queue.
func (m *Pages) ahead(ctx context.Context, pa PA, next func() *job, buf []byte, visit func(PA, []byte) error) error {
	work := make(chan *job)
	queue := make(chan *job, 2*m.workers) // in the order of the addresses
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Add(1 + m.workers)
	go func() {
		defer all.Done()
		defer close(work)
		defer close(queue)
		for j := next(); j != nil; j = next() {
			j.done = make(chan error, 1)
			select {
			case queue <- j:
			case <-stop:
				return
			}
			select {
			case work <- j:
			case <-stop:
				j.done <- ctx.Err()
				return
			}
		}
	}()
	for range m.workers {
		go func() {
			defer all.Done()
			r := m.open()
			for j := range work {
				j.done <- unpack(r, j)
			}
		}()
	}
	defer all.Wait()
	defer close(stop)
	for j := range queue {
		select {
		case err := <-j.done:
			if err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := j.handOver(&pa, buf, visit); err != nil {
			return err
		}
	}
	return nil
}

// unpack fills a job. A decoder that panics must not end the program, which
// recovers nothing of another goroutine.
func unpack(r BlockReader, j *job) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("unpacking block %d: %v", j.first, v)
		}
	}()
	return r.Read(j.data, j.first)
}

// handOver gives what was wanted of a job in parts of at most len(buf) bytes.
func (j *job) handOver(pa *PA, buf []byte, visit func(PA, []byte) error) error {
	for p := j.data[j.skip:][:j.want]; len(p) > 0; {
		n := min(len(p), len(buf))
		if err := visit(*pa, p[:n]); err != nil {
			return err
		}
		p, *pa = p[n:], *pa+PA(n)
	}
	return nil
}
