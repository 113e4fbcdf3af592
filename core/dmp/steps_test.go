package dmp

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"coredrop/core/mem"
)

// s3 is what S3 and the stores like it take.
func s3() Limits {
	return Limits{Min: 5 << 20, Max: 5 << 30, Most: 10000, Copy: 512 << 20, Upload: 16 << 20, From: everyFile}
}

func everyFile(int) bool { return true }

// partsOf reads "l3 c10 z1 p2": a literal of 3 bytes, a range of 10 of the first
// file, a zero, 2 bytes that are packed. Ranges do not adjoin in their file.
func partsOf(list string) (parts []Part) {
	off := int64(1000)
	for _, word := range strings.Fields(list) {
		p := Part{Kind: Kind(strings.IndexByte("lczp", word[0]))}
		fmt.Sscan(word[1:], &p.Bytes)
		if p.Kind == Copy {
			p.Off = off
			off += p.Bytes + 1
		}
		parts = append(parts, p)
	}
	return parts
}

// written gives steps as "s5 c10": 5 bytes sent, 10 copied.
func written(steps []Step) string {
	var list []string
	for _, s := range steps {
		list = append(list, fmt.Sprintf("%c%d", map[bool]byte{true: 'c', false: 's'}[s.Copy], s.Bytes))
	}
	return strings.Join(list, " ")
}

// checked holds steps to what Plan promises of any, and gives how many bytes they
// send.
func checked(t testing.TB, parts []Part, l Limits, steps []Step) (sent int64) {
	t.Helper()
	if len(steps) > l.Most {
		t.Fatalf("%d steps, %d allowed", len(steps), l.Most)
	}
	var at, begin int64 // of the steps; of the part that a copy is of
	part := 0
	for i, s := range steps {
		if s.Off != at || s.Bytes < 1 || s.Bytes > l.Max || s.Bytes < l.Min && i < len(steps)-1 {
			t.Fatalf("step %d of %d: %+v, the one before ends at %d", i, len(steps), s, at)
		}
		at += s.Bytes
		if !s.Copy {
			sent += s.Bytes
			if s.File != 0 || s.From != 0 {
				t.Fatalf("step %d is sent, and of a file: %+v", i, s)
			}
			continue
		}
		for part < len(parts) && begin+parts[part].Bytes <= s.Off {
			begin += parts[part].Bytes
			part++
		}
		p := parts[part]
		if p.Kind != Copy || s.File != p.File || s.From-p.Off != s.Off-begin || s.Off+s.Bytes > begin+p.Bytes || !l.From(s.File) {
			t.Fatalf("step %d: %+v is no range of %+v at %d", i, s, p, begin)
		}
	}
	if size := sizeOf(parts); at != size {
		t.Fatalf("the steps have %d bytes, the parts %d", at, size)
	}
	return sent
}

func sizeOf(parts []Part) (n int64) {
	for _, p := range parts {
		n += p.Bytes
	}
	return n
}

func TestSteps(t *testing.T) {
	for _, c := range []struct{ name, parts, want string }{
		{"nothing", "", ""},
		{"parts of nothing", "l0 c0 z0", ""},
		{"a short literal", "l3", "s3"},
		{"a short copy", "c3", "c3"},
		{"exactly the least", "l5 c5 l5", "s5 c5 s5"},
		{"a byte less than the least", "l5 c4 l5", "s14"},
		{"short ones between sent ones", "l9 c4 z2 c4 p6", "s13 s12"},
		{"the most", "c20", "c20"},
		{"a byte more than the most", "c21", "c11 c10"},
		{"many times the most", "c61 l81", "c16 c15 c15 c15 s17 s16 s16 s16 s16"},
		{"the last may be short, copied", "l5 c1", "s5 c1"},
		{"the last may be short, sent", "c20 l1", "c20 s1"},
		{"the last one lends nothing it has not", "l1 c4", "s5"},
		{"the last one lends and is left short", "l1 c6", "s5 c2"},
		{"a literal at the start is lent to from behind", "l2 c20", "s5 c17"},
		{"a literal between: by the one ahead of it", "c20 l2 c20", "c17 s5 c20"},
		{"a literal between: by both", "c12 l1 c7 l9", "c10 s5 c5 s9"},
		{"a literal between: by the one behind", "c10 l2 c8 l9", "c10 s5 c5 s9"},
		{"neither can: the shorter goes", "c9 l1 c6 l9", "c9 s16"},
		{"literals close together go as one", "c20 l1 c6 l1 c20", "c20 s8 c20"},
		{"literals apart do not", "c20 l1 c19 l1 c20", "c16 s5 c15 s5 c20"},
		{"ranges that adjoin in the dump only", "c5 c5 c7", "c5 c5 c7"},
		{"a part of nothing at the end", "l5 c8 l0", "s5 c8"},
	} {
		l := Limits{Min: 5, Max: 20, Most: 100, From: everyFile}
		parts := partsOf(c.parts)
		steps, ok := Plan(parts, l)
		if got := written(steps); !ok || got != c.want {
			t.Errorf("%s: %s is %q, want %q (%v)", c.name, c.parts, got, c.want, ok)
		}
		checked(t, parts, l, steps)
	}
}

// TestStepsAsTheyAreBest: long ranges are cut into steps of the size that is best,
// and into larger ones where there would be too many; a step that is not worth its
// price is not made.
func TestStepsAsTheyAreBest(t *testing.T) {
	cut := Limits{Min: 5, Max: 100, Most: 100, Copy: 20, Upload: 10, From: everyFile}
	with := func(change func(*Limits)) Limits {
		l := cut
		change(&l)
		return l
	}
	for _, c := range []struct {
		name, parts, want string
		Limits
	}{
		{"both sizes", "l30 c60", "s10 s10 s10 c20 c20 c20", cut},
		{"near the least", "l14 c27", "s7 s7 c14 c13", cut},
		{"the best is below the least", "l14 c27", "s7 s7 c14 c13", with(func(l *Limits) { l.Upload = 1 })},
		{"the best is above the most", "l101", "s51 s50", with(func(l *Limits) { l.Upload = math.MaxInt64 })},
		{"too many: twice the size", "l30 c60", "s15 s15 c30 c30", with(func(l *Limits) { l.Most = 5 })},
		{"too many: four times", "l30 c60", "s30 c60", with(func(l *Limits) { l.Most = 3 })},
		{"too many: a copy less", "l30 c60", "s90", with(func(l *Limits) { l.Most = 1 })},
		{"too many: the shortest copies are sent", "c30 l9 c20 l9 c40 l9 c10", "c30 s38 c40 s19", with(func(l *Limits) { l.Most = 4 })},
		{"of equal ones as many as there may be", "c10 l9 c10 l9 c10 l9 c10 l9", "c10 s33 s33", with(func(l *Limits) { l.Most = 3 })},
		{"its price", "l9 c10 l9", "s9 c10 s9", with(func(l *Limits) { l.Price = 4 })},
		{"its price at the end", "l9 c6", "s9 c6", with(func(l *Limits) { l.Price = 4 })},
		{"too many: one of the longest is sent", "c20 l9 c20 l9 c20 l9 c20 l9 c20", "c20 s19 s19 c20 s9 c20 s9 c20", Limits{Min: 5, Max: 20, Most: 8, From: everyFile}},
		{"more than it is worth", "l9 c10 l9", "s10 s9 s9", with(func(l *Limits) { l.Price = 5 })},
	} {
		parts := partsOf(c.parts)
		steps, ok := Plan(parts, c.Limits)
		if got := written(steps); !ok || got != c.want {
			t.Errorf("%s: %s is %q, want %q (%v)", c.name, c.parts, got, c.want, ok)
		}
		checked(t, parts, c.Limits, steps)
	}
}

// TestStepsThatCannotBe: a dump that is longer than the most steps of the most
// bytes, by a byte, and limits that no store has.
func TestStepsThatCannotBe(t *testing.T) {
	l := Limits{Min: 5, Max: 20, Most: 3, From: everyFile}
	for parts, can := range map[string]bool{"l60": true, "l61": false, "c60": true, "c1 l59": true, "l1 c59": true, "c30 c31": false} {
		steps, ok := Plan(partsOf(parts), l)
		if ok != can || !ok && steps != nil {
			t.Errorf("%s: %q, %v", parts, written(steps), ok)
		}
		if ok {
			checked(t, partsOf(parts), l, steps)
		}
	}
	for _, l := range []Limits{{Min: 0, Max: 20, Most: 3}, {Min: 5, Max: 9, Most: 3}, {Min: 5, Max: 20, Most: 0}, {Min: -5, Max: 20, Most: 3}} {
		if _, ok := Plan(partsOf("l5"), l); ok {
			t.Errorf("%+v", l)
		}
	}
	l = Limits{Min: 1, Max: math.MaxInt64, Most: math.MaxInt, Price: math.MaxInt64, From: everyFile}
	for _, parts := range [][]Part{{{Bytes: -1}}, {{Bytes: math.MaxInt64}, {Bytes: math.MaxInt64}}, {{Bytes: 1}, {Kind: Copy, Bytes: -1}}} {
		if steps, ok := Plan(parts, l); ok {
			t.Errorf("%v: %v", parts, steps)
		}
	}
	if steps, ok := Plan(partsOf("l5 c5 l5"), l); !ok || written(steps) != "s15" {
		t.Errorf("at any price: %q, %v", written(steps), ok)
	}
}

// TestStepsOfFilesThatCannotBeCopied: a core that is not in the store, or that is
// so short that the store copies no range of it, is sent.
func TestStepsOfFilesThatCannotBeCopied(t *testing.T) {
	parts := partsOf("l5 c30 l5 c30 l5")
	parts[3].File = 1
	for _, c := range []struct {
		from func(int) bool
		want string
	}{
		{nil, "s19 s19 s19 s18"},
		{func(int) bool { return false }, "s19 s19 s19 s18"},
		{func(file int) bool { return file == 0 }, "s5 c15 c15 s20 s20"},
		{func(file int) bool { return file == 1 }, "s20 s20 c15 c15 s5"},
	} {
		l := Limits{Min: 5, Max: 20, Most: 10, From: c.from}
		steps, ok := Plan(parts, l)
		if got := written(steps); !ok || got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
		checked(t, parts, l, steps)
	}
}

// TestStepsAreTheDump: an image put together as the steps say, ranges from the
// file, the rest through Scan, is the image.
func TestStepsAreTheDump(t *testing.T) {
	g := newGuest(2, true)
	g.fragments(60, 0x1000000)
	k := g.kernel(t, nil)
	im := build(t, k, Options{})
	want := bytesOf(t, im, g.file)
	for _, l := range []Limits{
		{Min: 1, Max: 1 << 30, Most: 10000, From: everyFile},
		{Min: 3 * mem.PageSize, Max: 6 * mem.PageSize, Most: 10000, From: everyFile},
		{Min: 5000, Max: 70001, Most: 20, Copy: 20000, Upload: 12345, From: everyFile},
		{Min: 5000, Max: 70001, Most: 20},
	} {
		steps, ok := Plan(im.Parts(), l)
		if !ok {
			t.Fatalf("%+v", l)
		}
		checked(t, im.Parts(), l, steps)
		var got []byte
		for _, s := range steps {
			if s.Copy {
				got = append(got, g.file[s.From:][:s.Bytes]...)
				continue
			}
			if err := im.Scan(context.Background(), s.Off, s.Bytes, make([]byte, 4096), func(p []byte) error {
				got = append(got, p...)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d steps do not make the dump", len(steps))
		}
	}
}

// randomParts makes n parts that go to size bytes, or less: alike, or of all
// lengths, with ranges of some files.
func randomParts(r *rand.Rand, n int, size int64) []Part {
	parts := make([]Part, n)
	kinds := 2 + r.IntN(3)
	shortest := 1 + r.Int64N(1<<20)
	var off int64
	for i := range parts {
		most := max(1, 2*size/int64(n+1))
		p := Part{Kind: Kind(r.IntN(kinds)), Bytes: 1 + r.Int64N(most)}
		switch r.IntN(4) {
		case 0: // as patches are: a page or two
			p.Bytes = min(most, mem.PageSize*(1+r.Int64N(2)))
		case 1: // all lengths alike
			p.Bytes = min(most, 1+r.Int64N(1<<r.IntN(40)))
		case 2: // one length for many
			p.Bytes = min(most, shortest)
		}
		if p.Kind == Copy {
			p.File, p.Off = r.IntN(3), off
			off += p.Bytes + r.Int64N(2)
		}
		if size -= p.Bytes; size < 0 {
			return parts[:i]
		}
		parts[i] = p
	}
	return parts
}

// TestStepsTile: of lists of no part to a million, and of no byte to 16 TiB, the
// steps are the dump and keep the limits. Where these leave room for steps, no
// more is sent than if short ranges were, and each long one lent what it may have
// to lend.
func TestStepsTile(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 1))
	lists := 0
	for round := range 400 {
		n := int(math.Pow(10, 6*r.Float64()*r.Float64()))
		size := r.Int64N(1 << r.IntN(45))
		switch round {
		case 0:
			n = 0
		case 1:
			n, size = 1000000, 16<<40
		case 2:
			n, size = 1000000, 32<<30
		}
		parts := randomParts(r, n, size)
		l := s3()
		l.Most -= r.IntN(2)
		l.Price = r.Int64N(1 << 20)
		if round%4 == 3 {
			l.Min = 1 + r.Int64N(1<<r.IntN(20))
			l.Max = 2*l.Min + r.Int64N(1<<30)
			l.Copy, l.Upload = r.Int64N(1<<30), r.Int64N(1<<30)
			l.From = func(file int) bool { return file != 1 }
		}
		steps, ok := Plan(parts, l)
		total := sizeOf(parts)
		if fits := (total+l.Max-1)/l.Max <= int64(l.Most); ok != fits {
			t.Fatalf("%d bytes: %v", total, ok)
		}
		if !ok {
			continue
		}
		lists++
		sent := checked(t, parts, l, steps)
		bound, copied := int64(0), int64(0)
		for _, p := range parts {
			if p.Kind != Copy || !l.From(p.File) || p.Bytes < 3*l.Min {
				bound += p.Bytes
			} else {
				copied++
			}
		}
		bound += (copied+1)*l.Min + (2*copied+1)*l.Price
		if total/l.Max+2*int64(len(parts)) < int64(l.Most) && sent > bound {
			t.Fatalf("%d of %d bytes are sent, %d are bound to be", sent, total, bound)
		}
		l.Equal = true
		equal, ok := Plan(parts, l)
		if !ok {
			t.Fatalf("%d bytes in no equal steps", total)
		}
		checked(t, parts, l, equal)
		for i, s := range equal {
			if i < len(equal)-1 && s.Bytes != equal[0].Bytes || s.Bytes > equal[0].Bytes {
				t.Fatalf("step %d of %d has %d bytes, the first one %d", i, len(equal), s.Bytes, equal[0].Bytes)
			}
		}
		i, start := 0, int64(0)
		for _, s := range equal { // what lies in one range is copied
			for start+parts[i].Bytes <= s.Off {
				start += parts[i].Bytes
				i++
			}
			if p := parts[i]; s.Copy != (p.Kind == Copy && l.From(p.File) && s.Off+s.Bytes <= start+p.Bytes) {
				t.Fatalf("%+v is of %+v", s, p)
			}
		}
	}
	if lists < 300 {
		t.Errorf("%d lists of parts had steps", lists)
	}
}

// leastSent is the least that any steps send, tried out byte by byte.
func leastSent(parts []Part, l Limits) int64 {
	var of []int // by byte: its part
	for i, p := range parts {
		of = append(of, slices.Repeat([]int{i}, int(p.Bytes))...)
	}
	size := int64(len(of))
	least := make([]int64, size+1) // from a byte to the end
	for at := size - 1; at >= 0; at-- {
		least[at] = math.MaxInt64
		for n := int64(1); n <= l.Max && at+n <= size; n++ {
			if n < l.Min && at+n < size || least[at+n] == math.MaxInt64 {
				continue
			}
			sent := n
			if of[at] == of[at+n-1] && parts[of[at]].Kind == Copy {
				sent = 0
			}
			least[at] = min(least[at], sent+least[at+n])
		}
	}
	return least[0]
}

// TestStepsSendLittle: almost always nothing is sent that need not be, and never
// as much as a step's least more.
func TestStepsSendLittle(t *testing.T) {
	r := rand.New(rand.NewPCG(25, 2))
	more := 0
	const rounds = 20000
	for range rounds {
		l := Limits{Min: 1 + r.Int64N(6), Most: 1 << 20, From: everyFile}
		l.Max = 2*l.Min + r.Int64N(9)
		var parts []Part
		for range 1 + r.IntN(9) {
			parts = append(parts, Part{Kind: Kind(r.IntN(2)), Bytes: 1 + r.Int64N(1+r.Int64N(6*l.Min))})
		}
		steps, _ := Plan(parts, l)
		sent, least := checked(t, parts, l, steps), leastSent(parts, l)
		if sent < least || sent >= least+l.Min {
			t.Fatalf("%+v of %+v: %d bytes are sent, %d need be", l, parts, sent, least)
		}
		if sent > least {
			more++
		}
	}
	if more > rounds/100 {
		t.Errorf("%d of %d send more than need be", more, rounds)
	}
}

// TestStepsOfTooManyRanges: where there may be fewer copies than ranges, almost as
// little is sent as if the longest ranges were copied, as many as there may be.
func TestStepsOfTooManyRanges(t *testing.T) {
	for name, bytes := range map[string]func(*rand.Rand) int64{
		"all lengths": func(r *rand.Rand) int64 { return 1 + r.Int64N(32<<20) },
		"one length":  func(*rand.Rand) int64 { return 16 << 20 },
		"two lengths": func(r *rand.Rand) int64 { return 8 << 20 << (3 * r.IntN(2)) },
	} {
		for _, literal := range []int64{0, 4096} {
			r := rand.New(rand.NewPCG(25, 3))
			var parts []Part
			var copies []int64
			for range 20000 {
				n := bytes(r)
				copies = append(copies, n)
				parts = append(parts, Part{Kind: Literal, Bytes: literal}, Part{Kind: Copy, Bytes: n})
			}
			l := s3()
			steps, ok := Plan(parts, l)
			if !ok {
				t.Fatal(name)
			}
			sent := checked(t, parts, l, steps)
			slices.Sort(copies)
			slices.Reverse(copies)
			size := sizeOf(parts)
			least := size
			for _, n := range copies[:(int64(l.Most)-size/l.Max)/2-1] {
				least -= n - l.Min
			}
			if float64(sent) > 1.02*float64(least) || len(steps) < l.Most*99/100 {
				t.Errorf("%s, %d bytes between: %d steps send %d bytes, %d would do", name, literal, len(steps), sent, least)
			}
		}
	}
}

// FuzzPlan takes bytes as a list of parts.
func FuzzPlan(f *testing.F) {
	f.Add([]byte("\x01\x20\x00\x02\x01\x30"), uint8(5), uint8(0), uint16(100), uint8(3))
	f.Add([]byte("\x01\xff\x00\x01\x01\xff\x00\x01\x01\xff"), uint8(7), uint8(1), uint16(3), uint8(0))
	f.Add([]byte("\x05\x09\x01\x09\x05\x09\x01\x09"), uint8(9), uint8(90), uint16(2), uint8(1))
	f.Fuzz(func(t *testing.T, list []byte, least, room uint8, most uint16, price uint8) {
		l := Limits{Min: int64(least), Most: int(most), Price: int64(price), From: func(file int) bool { return file != 2 }}
		l.Max = 2*l.Min + int64(room)
		var parts []Part
		for ; len(list) >= 2; list = list[2:] {
			parts = append(parts, Part{Kind: Kind(list[0] & 3), File: int(list[0] >> 2 & 3), Off: int64(list[0]), Bytes: int64(list[1])})
		}
		steps, ok := Plan(parts, l)
		if fits := l.Min > 0 && most > 0 && (sizeOf(parts)+l.Max-1)/l.Max <= int64(most); ok != fits {
			t.Fatalf("%v", ok)
		}
		if ok {
			checked(t, parts, l, steps)
		}
	})
}
