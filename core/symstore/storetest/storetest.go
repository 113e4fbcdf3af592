// Package storetest is the conformance suite of symstore.Store: every store of
// the project passes it.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"coredrop/core/fault"
	"coredrop/core/pdb/pdbtest"
	"coredrop/core/symstore"
)

// PDB writes a PDB that verifies under the key that comes with it. Different
// seeds give different keys; size is about how many bytes it has.
func PDB(seed uint64, size int) (symstore.Key, []byte) {
	random := rand.New(rand.NewPCG(seed, 1))
	var guid [16]byte
	for i := range guid {
		guid[i] = byte(random.Uint32())
	}
	age := 1 + random.Uint32N(1<<16)
	data := pdbtest.New(pdbtest.Spec{GUID: guid, Age: age, Padding: size, Sections: []uint32{0x1000},
		Publics: []pdbtest.Public{{Name: "KdDebuggerDataBlock", Segment: 1, Offset: 0x20}}})
	// Behind the blocks the reader knows of, the content is free: it tells files
	// of one key apart.
	for range 64 {
		data = append(data, byte(random.Uint32()))
	}
	key, err := symstore.PDBKey("ntkrnlmp.pdb", guid, age)
	if err != nil {
		panic(err) // the name is right
	}
	return key, data
}

// large is more than a few blocks of any store, and no multiple of a block.
const large = 1<<20 + 12345

// Run checks a store. new gives an empty one, for use until its test ends.
func Run(t *testing.T, new func(t *testing.T) symstore.Store) {
	run(t, new, replace)
}

// RunFirstStays checks a store in which a file that is there stays.
func RunFirstStays(t *testing.T, new func(t *testing.T) symstore.Store) {
	run(t, new, firstStays)
}

// run checks a store; second is what becomes of another file of a key that has one.
func run(t *testing.T, new func(t *testing.T) symstore.Store, second func(*testing.T, symstore.Store)) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, symstore.Store)
	}{
		{"absent", absent}, {"round trip", roundTrip}, {"read at", readAt}, {"keys apart", apart}, {"either case", eitherCase},
		{"second", second}, {"invisible until complete", invisible}, {"source fails", sourceFails},
		{"source is cut off", cutOff}, {"cancelled", cancelled}, {"concurrent", concurrent},
		{"empty", empty}, {"verifies", verifies}, {"stage", stage},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, new(t)) })
	}
}

func put(t *testing.T, s symstore.Store, k symstore.Key, data []byte) {
	t.Helper()
	// A reader that gives little at a time, as a connection does.
	if err := s.Put(context.Background(), k, &trickle{r: bytes.NewReader(data)}); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

type trickle struct {
	r io.Reader
	n int
}

func (t *trickle) Read(p []byte) (int, error) {
	t.n = t.n%7001 + 1000
	return t.r.Read(p[:min(len(p), t.n)])
}

func get(t *testing.T, s symstore.Store, k symstore.Key) symstore.File {
	t.Helper()
	f, err := s.Get(context.Background(), k)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func holds(t *testing.T, s symstore.Store, k symstore.Key, want []byte) {
	t.Helper()
	sameBytes(t, get(t, s, k), want)
}

func sameBytes(t *testing.T, f symstore.File, want []byte) {
	t.Helper()
	if f.Size() != int64(len(want)) {
		t.Fatalf("%d bytes instead of %d", f.Size(), len(want))
	}
	got, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("the content differs")
	}
}

func isAbsent(t *testing.T, s symstore.Store, k symstore.Key) {
	t.Helper()
	f, err := s.Get(context.Background(), k)
	if f != nil {
		f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("absent file: %v", err)
	}
}

func absent(t *testing.T, s symstore.Store) {
	k, _ := PDB(1, 0)
	isAbsent(t, s, k)
}

func roundTrip(t *testing.T, s symstore.Store) {
	for i, size := range []int{0, 5000, large} {
		k, data := PDB(uint64(i), size)
		put(t, s, k, data)
		holds(t, s, k, data)
		holds(t, s, k, data) // a second time
	}
}

func readAt(t *testing.T, s symstore.Store) {
	k, data := PDB(1, large)
	put(t, s, k, data)
	f := get(t, s, k)
	size := int64(len(data))
	for _, c := range []struct{ off, n int64 }{{0, 1}, {0, 4096}, {1, 300000}, {size - 1, 1}, {262143, 2}, {size - 300000, 300000}, {0, size}} {
		p := make([]byte, c.n)
		if n, err := f.ReadAt(p, c.off); n != len(p) || err != nil && err != io.EOF || !bytes.Equal(p, data[c.off:c.off+c.n]) {
			t.Errorf("%d bytes at %d: %d, %v", c.n, c.off, n, err)
		}
	}
	p := make([]byte, 100)
	if n, err := f.ReadAt(p, size-10); n != 10 || err != io.EOF || !bytes.Equal(p[:10], data[size-10:]) {
		t.Errorf("over the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(p, size); n != 0 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(p, size+1000); n != 0 || err != io.EOF {
		t.Errorf("behind the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(p, -1); n != 0 || err == nil {
		t.Errorf("before the start: %d, %v", n, err)
	}
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			p := make([]byte, 70000)
			for j := range 4 {
				off := int64(i*100000 + j*10000)
				if _, err := f.ReadAt(p, off); err != nil || !bytes.Equal(p, data[off:][:len(p)]) {
					t.Errorf("concurrent read at %d: %v", off, err)
				}
			}
		})
	}
	group.Wait()
}

func apart(t *testing.T, s symstore.Store) {
	a, dataA := PDB(1, 100)
	b, dataB := PDB(2, 200)
	c := symstore.Key{Name: "ntoskrnl.pdb", ID: a.ID}
	put(t, s, a, dataA)
	isAbsent(t, s, b)
	isAbsent(t, s, c)
	put(t, s, b, dataB)
	holds(t, s, a, dataA)
	holds(t, s, b, dataB)
}

func eitherCase(t *testing.T, s symstore.Store) {
	k, data := PDB(1, 100)
	lower, err := symstore.ParseKey(fmt.Sprintf("%s/%s/%[1]s", k.Name, bytes.ToLower([]byte(k.ID))))
	if err != nil {
		t.Fatal(err)
	}
	put(t, s, lower, data)
	holds(t, s, k, data)
}

func replace(t *testing.T, s symstore.Store) {
	k, old := PDB(1, large)
	newer := append(append([]byte{}, old[:len(old)-64]...), bytes.Repeat([]byte{7}, 100)...)
	put(t, s, k, old)
	f := get(t, s, k)
	put(t, s, k, newer)
	holds(t, s, k, newer)
	sameBytes(t, f, old) // who has it open goes on with it
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	put(t, s, k, old)
	holds(t, s, k, old)
}

func firstStays(t *testing.T, s symstore.Store) {
	k, first := PDB(1, large)
	later := append(append([]byte{}, first[:len(first)-64]...), bytes.Repeat([]byte{7}, 100)...)
	put(t, s, k, first)
	f := get(t, s, k)
	put(t, s, k, later)
	holds(t, s, k, first)
	sameBytes(t, f, first)
}

// spy looks into the store at each read.
type spy struct {
	r    io.Reader
	look func()
}

func (s spy) Read(p []byte) (int, error) {
	s.look()
	return s.r.Read(p[:min(len(p), 100000)])
}

func invisible(t *testing.T, s symstore.Store) {
	k, data := PDB(1, large)
	looks := 0
	err := s.Put(context.Background(), k, spy{bytes.NewReader(data), func() { looks++; isAbsent(t, s, k) }})
	if err != nil || looks < 10 {
		t.Fatalf("%d looks, %v", looks, err)
	}
	holds(t, s, k, data)
}

var errSource = errors.New("the source fails")

func sourceFails(t *testing.T, s symstore.Store) { failing(t, s, errSource) }

// A connection that breaks off fails with io.ErrUnexpectedEOF, which is easily
// taken for the end.
func cutOff(t *testing.T, s symstore.Store) { failing(t, s, io.ErrUnexpectedEOF) }

type failReader struct{ err error }

func (f failReader) Read([]byte) (int, error) { return 0, f.err }

func failing(t *testing.T, s symstore.Store, failure error) {
	k, data := PDB(1, large)
	half := func() io.Reader { return io.MultiReader(bytes.NewReader(data[:len(data)/2]), failReader{failure}) }
	if err := s.Put(context.Background(), k, half()); !errors.Is(err, failure) {
		t.Errorf("a failing source: %v", err)
	}
	isAbsent(t, s, k)
	put(t, s, k, data)
	if err := s.Put(context.Background(), k, half()); !errors.Is(err, failure) {
		t.Errorf("a failing source: %v", err)
	}
	holds(t, s, k, data)
}

func cancelled(t *testing.T, s symstore.Store) {
	k, data := PDB(1, large)
	ctx, cancel := context.WithCancel(context.Background())
	reads := 0
	err := s.Put(ctx, k, spy{bytes.NewReader(data), func() {
		if reads++; reads == 3 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || !fault.Is(err, fault.Cancelled) {
		t.Errorf("Put: %v", err)
	}
	if reads > 4 {
		t.Errorf("%d reads after the third", reads-3)
	}
	isAbsent(t, s, k)
	if f, err := s.Get(ctx, k); f != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("Get: %v", err)
	}
}

func concurrent(t *testing.T, s symstore.Store) {
	k, data := PDB(1, 300000)
	other, otherData := PDB(2, 300000)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if err := s.Put(context.Background(), k, bytes.NewReader(data)); err != nil {
				t.Errorf("Put: %v", err)
			}
			if err := s.Put(context.Background(), other, bytes.NewReader(otherData)); err != nil {
				t.Errorf("Put: %v", err)
			}
		})
		group.Go(func() {
			for range 20 {
				f, err := s.Get(context.Background(), k)
				if errors.Is(err, fs.ErrNotExist) {
					continue
				}
				if err != nil {
					t.Errorf("Get: %v", err)
					return
				}
				got := make([]byte, f.Size())
				if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF || !bytes.Equal(got, data) {
					t.Errorf("something else was there: %d bytes, %v", len(got), err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	holds(t, s, k, data)
	holds(t, s, other, otherData)
}

// An empty file is not a symbol file, but the store does not look: Verify does.
func empty(t *testing.T, s symstore.Store) {
	k, _ := PDB(1, 0)
	if err := s.Put(context.Background(), k, bytes.NewReader(nil)); err != nil {
		if isAbsent(t, s, k); !fault.Is(err, fault.SymbolsNotAPDB) {
			t.Errorf("a store that verifies: %v", err)
		}
		return
	}
	if f := get(t, s, k); f.Size() != 0 || !fault.Is(symstore.Verify(f, k), fault.SymbolsNotAPDB) {
		t.Errorf("%d bytes", f.Size())
	}
}

func verifies(t *testing.T, s symstore.Store) {
	k, data := PDB(1, large)
	put(t, s, k, data)
	if err := symstore.Verify(get(t, s, k), k); err != nil {
		t.Error(err)
	}
}

func stage(t *testing.T, s symstore.Store) {
	st, ok := s.(symstore.Stager)
	if !ok {
		t.Skip("this store does not stage")
	}
	k, data := PDB(1, large)
	f, err := st.Stage(context.Background(), k, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	sameBytes(t, f, data)
	isAbsent(t, s, k)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	isAbsent(t, s, k)
	if f, err = st.Stage(context.Background(), k, bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if err := symstore.Verify(f, k); err != nil {
		t.Error(err)
	}
	if err := f.Publish(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	holds(t, s, k, data)
}
