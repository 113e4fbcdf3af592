package dmp

// Step is a piece of the dump as one part of an object that a store assembles: of
// a multipart upload, as S3 calls it.
type Step struct {
	Copy  bool  // the store copies a range of an input file; else the bytes are sent to it
	File  int   // of a copy: which of the input's files, as in Part
	From  int64 // of a copy: in that file
	Off   int64 // in the dump
	Bytes int64
}

// Limits are what a store takes, and what suits it.
type Limits struct {
	Min, Max int64 // bytes of a step; only the last one may be shorter. Max is twice Min at least
	Most     int   // steps

	// Copy and Upload are the bytes up to which a step of either kind is best: a
	// longer range is cut, so that several run at once. Where that makes too many
	// steps, they are longer. 0: as long as may be.
	Copy, Upload int64
	// Price is what a step costs beside its bytes, in bytes: that many more are sent
	// rather than make one more step.
	Price int64
	// Equal: all steps but the last have one length, as some stores want it. It is that
	// of Upload, or longer.
	Equal bool
	// From says whether the store can copy ranges of a file of the input: it has the
	// file, and S3 copies none of an object of 5 MiB or less. nil: of none, and all is
	// sent.
	From func(file int) bool
}

// Plan turns a dump's parts into the steps that make it in a store; one after the
// other they are the dump. What the store can copy it copies, and about as little
// as can be is sent: a part shorter than Min goes with neighbouring bytes, and
// where there are too many ranges the short ones are sent as well. A dump without
// bytes has no steps. It returns false where the dump is longer than Most steps of
// Max bytes, and for limits that contradict themselves.
func Plan(parts []Part, limits Limits) ([]Step, bool) {
	p := &planner{Limits: limits, parts: parts}
	if p.Min < 1 || p.Max/2 < p.Min || p.Most < 1 || !p.measure() {
		return nil, false
	}
	if p.Equal {
		return p.equal(), true
	}
	p.choose()
	return p.cut(), true
}

// equal cuts the dump into steps of one length. Those that lie in one range of the
// input are copied.
func (p *planner) equal() (steps []Step) {
	length := max(p.best(p.Upload), p.Min, (p.size-1)/int64(p.Most)+1)
	i, start := 0, int64(0) // the part that a step begins in, and where it is
	for off := int64(0); off < p.size; off += length {
		for start+p.parts[i].Bytes <= off {
			start += p.parts[i].Bytes
			i++
		}
		s, part := Step{Off: off, Bytes: min(length, p.size-off)}, p.parts[i]
		if part.Kind == Copy && off+s.Bytes <= start+part.Bytes && p.From != nil && p.From(part.File) {
			s.Copy, s.File, s.From = true, part.File, part.Off+off-start
		}
		steps = append(steps, s)
	}
	return steps
}

// What bounds costs, so that none is too large for its type.
const (
	longest   = 1 << 58 // bytes of a dump, and a step's price times how many there may be
	unreached = 1 << 62 // a cost, of what cannot be
)

// planner looks for the ranges of the input that are copied: for the cheapest way
// from the dump's start to its end, from one of them to a later one, where what
// lies between is sent.
type planner struct {
	Limits
	parts []Part
	size  int64  // of the dump
	stops []stop // in order; the first one is the dump's start, and empty
	last  int    // the stop from which on all is sent: the way ends there
}

// stop is a part that could be copied.
type stop struct {
	off, end int64 // in the dump
	part     int
	cost     int64 // of all before its end, if it is copied
	prior    int   // the stop that is copied before it then
}

// measure lists the stops, and reports whether the dump fits.
func (p *planner) measure() bool {
	most := int64(longest)
	if p.Max <= most/int64(p.Most) {
		most = p.Max * int64(p.Most)
	}
	p.stops = append(p.stops, stop{})
	for i, part := range p.parts {
		if part.Bytes < 0 || part.Bytes > most-p.size {
			return false
		}
		// A short one can be a step only as the last.
		last := i == len(p.parts)-1
		if part.Kind == Copy && part.Bytes > 0 && (part.Bytes >= p.Min || last) && p.From != nil && p.From(part.File) {
			p.stops = append(p.stops, stop{off: p.size, end: p.size + part.Bytes, part: i})
		}
		p.size += part.Bytes
	}
	return true
}

// choose settles what is copied. If that is too much in the longest of steps, the
// price of one is raised until it is not: what is not worth it then is sent, short
// ranges first.
func (p *planner) choose() {
	limit := longest / int64(len(p.stops))
	price := min(max(0, p.Price), limit)
	if p.way(price, price, 0) {
		return
	}
	price = least(price, min(price+2*min(p.Max, limit), limit), func(price int64) bool { return p.way(price, price, 0) })
	// Of ranges of one length it is all that are not worth it, or none. A somewhat
	// higher price up to one of them, and a lower one from there on, leave as many as
	// there may be.
	higher, lower := price+price/64, price-price/64-1
	from := least(0, int64(len(p.stops)), func(i int64) bool { return p.way(higher, lower, int(i)) })
	if !p.way(higher, lower, int(from)) && !p.way(price, price, 0) {
		p.last = 0
	}
}

// least gives the smallest number above low that fits, or high.
func least(low, high int64, fits func(int64) bool) int64 {
	for low+1 < high {
		if middle := low + (high-low)/2; fits(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}

// way finds the cheapest way, where a step costs more up to a stop than from it
// on, and reports whether the longest of its steps are few enough.
func (p *planner) way(before, after int64, from int) bool {
	far := 0 // of the stops ahead of the last two, the cheapest to send all from
	for i := 1; i < len(p.stops); i++ {
		price := before
		if i >= from {
			price = after
		}
		s, near := &p.stops[i], &p.stops[i-1]
		s.cost, s.prior = unreached, i-1
		if need := p.need(near, s); need <= p.behind(near)+p.ahead(s) {
			s.cost = near.cost + s.off - near.end + need + price
			if s.off > near.end {
				s.cost += price
			}
		}
		if i == 1 {
			continue
		}
		// A stop that is sent has Min bytes: there is nothing to borrow.
		if p.stops[i-2].onward() < p.stops[far].onward() {
			far = i - 2
		}
		if cost := p.stops[far].onward() + s.off + 2*price; cost <= s.cost {
			s.cost, s.prior = cost, far
		}
	}
	p.last = 0
	cheapest := int64(unreached)
	for i := range p.stops {
		cost := p.stops[i].onward() + p.size
		if p.stops[i].end < p.size {
			cost += after
		}
		if cost < cheapest {
			p.last, cheapest = i, cost
		}
	}
	return p.count(p.Max, p.Max) <= int64(p.Most)
}

// onward is what it costs to copy s and to send all from there on, but for how
// far that is.
func (s *stop) onward() int64 { return s.cost - s.end }

// need is how many bytes the gap between two copied stops lacks.
func (p *planner) need(s, next *stop) int64 {
	if s.end == next.off {
		return 0
	}
	return max(0, p.Min-(next.off-s.end))
}

// behind is what a stop can lend to the gap behind it, whatever it lends to the
// one ahead: that is less than Min.
func (p *planner) behind(s *stop) int64 { return max(0, s.end-s.off-2*p.Min) }

// ahead is what a stop can lend to the gap ahead of it.
func (p *planner) ahead(s *stop) int64 {
	if s.end == p.size {
		return s.end - s.off - 1
	}
	return s.end - s.off - p.Min
}

// long gives the steps of the way, each as long as it is, from the last to the
// first.
func (p *planner) long(yield func(Step) bool) {
	end, lent := p.size, int64(0) // of what is sent behind s, and what s lends to it
	for s := &p.stops[p.last]; ; s = &p.stops[s.prior] {
		at := s.end - lent
		if at < end && !yield(Step{Off: at, Bytes: end - at}) || at == 0 {
			return
		}
		near, part := &p.stops[s.prior], p.parts[s.part]
		need := p.need(near, s)
		lent = min(need, p.behind(near))
		end = s.off + need - lent
		if !yield(Step{Copy: true, File: part.File, From: part.Off + end - s.off, Off: end, Bytes: at - end}) {
			return
		}
	}
}

// count is how many steps there are if a copy has up to so many bytes, and what is
// sent; too many are not counted to the end.
func (p *planner) count(copied, sent int64) (n int64) {
	for s := range p.long {
		if n += p.pieces(s, copied, sent); n > int64(p.Most) {
			break
		}
	}
	return n
}

// pieces is in how many steps a long one is cut. None is shorter than Min: where
// Min and the best size are near each other, they are longer than that.
func (p *planner) pieces(s Step, copied, sent int64) int64 {
	best := sent
	if s.Copy {
		best = copied
	}
	return max(1, min((s.Bytes-1)/best+1, s.Bytes/p.Min))
}

// cut cuts the long steps into equal ones.
func (p *planner) cut() []Step {
	copied, sent := p.best(p.Copy), p.best(p.Upload)
	n := p.count(copied, sent)
	for ; n > int64(p.Most); n = p.count(copied, sent) {
		copied, sent = p.best(2*copied), p.best(2*sent)
	}
	steps := make([]Step, n)
	for s := range p.long {
		for left := p.pieces(s, copied, sent); left > 0; left-- {
			bytes := s.Bytes / left
			s.Bytes -= bytes
			piece := s
			piece.Off, piece.Bytes = s.Off+s.Bytes, bytes
			if s.Copy {
				piece.From += s.Bytes
			}
			n--
			steps[n] = piece
		}
	}
	return steps
}

// best is a size as it may be.
func (p *planner) best(bytes int64) int64 {
	if bytes <= 0 || bytes > p.Max {
		return p.Max
	}
	return bytes
}
