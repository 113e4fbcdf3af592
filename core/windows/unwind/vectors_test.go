package unwind_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"coredrop/core/mem"
	"coredrop/core/pe"
	"coredrop/core/windows/unwind"
	"coredrop/server/corpustest"
)

// hex64 is a number written as hexadecimal digits.
type hex64 uint64

func (h *hex64) UnmarshalJSON(b []byte) error {
	n, err := strconv.ParseUint(strings.Trim(string(b), `"`), 16, 64)
	*h = hex64(n)
	return err
}

// functionTruth is an entry of the listing.
type functionTruth struct {
	Begin, End, Data                     hex64
	Version, Flags, Prolog, FPReg, FPOff *uint32
	Epilogs                              [][2]uint8
	Codes                                [][4]uint32
	Chain                                []hex64
}

type frameTruth struct {
	RIP, RSP hex64
	NV       []hex64
	Kind     string
	Func     hex64
	At       string
}

type vector struct {
	RIP    hex64
	Regs   []hex64
	Stack  [3]json.RawMessage
	Frames []frameTruth
}

type vectors struct {
	Name       string `json:"-"`
	Base, Size hex64
	Functions  []functionTruth
	Vectors    []vector
	image      []byte
	stacks     io.ReaderAt
}

// load reads the vectors of an image.
func load(t testing.TB, dir, name string) *vectors {
	t.Helper()
	v := &vectors{Name: name}
	data, err := io.ReadAll(corpustest.Open(t, filepath.Join(dir, name+".json.zst")))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
	if v.image, err = io.ReadAll(corpustest.Open(t, filepath.Join(dir, name+".image.zst"))); err != nil {
		t.Fatal(err)
	}
	v.stacks = corpustest.File(t, filepath.Join(dir, name+".stacks.zst"))
	return v
}

// names lists the vectors that are there: the corpus's, which may be more than
// when this was written, or those that are committed where there is no corpus.
func names(t testing.TB) (dir string, list []string) {
	dir = "testdata"
	if corpus, ok := corpustest.Find(t, "unwind"); ok {
		dir = filepath.Join(corpus, "unwind")
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json.zst"))
	if err != nil || len(files) == 0 {
		t.Fatal("no vectors", err)
	}
	for _, f := range files {
		list = append(list, strings.TrimSuffix(filepath.Base(f), ".json.zst"))
	}
	return dir, list
}

var errOutside = errors.New("outside of what was recorded")

// pieces is memory of a few pieces.
type pieces []struct {
	at   uint64
	data []byte
}

func (m pieces) ReadAt(p []byte, va mem.VA) error {
	for _, s := range m {
		if off := uint64(va) - s.at; uint64(va) >= s.at && off <= uint64(len(s.data)) && uint64(len(s.data))-off >= uint64(len(p)) {
			copy(p, s.data[off:])
			return nil
		}
	}
	return errOutside
}

// image makes the unwinder's view of an image in memory.
func image(m pe.Memory, base mem.VA, size uint32) *unwind.Image {
	i := &unwind.Image{Base: base, Size: size, Executable: func(uint32) bool { return false }}
	img, err := pe.Read(m, base)
	if err != nil {
		i.Why = err
		return i
	}
	i.Functions, i.Why = img.Functions(m)
	i.Executable = func(rva uint32) bool {
		s, ok := img.SectionAt(rva)
		return ok && s.Executable()
	}
	return i
}

// stack reads a vector's stack.
func (v *vectors) stack(t testing.TB, x vector) (uint64, []byte) {
	var va hex64
	var off, n int64
	for i, to := range []any{&va, &off, &n} {
		if err := json.Unmarshal(x.Stack[i], to); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, n)
	if _, err := v.stacks.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return uint64(va), p
}

// walk walks from a vector's registers, with an image and a stack.
func (v *vectors) walk(x vector, img []byte, at uint64, stack []byte, guess bool) *unwind.Stack {
	return v.walkIn(pieces{{uint64(v.Base), img}, {at, stack}}, x, guess)
}

// walkIn walks from a vector's registers in some memory.
func (v *vectors) walkIn(m pe.Memory, x vector, guess bool) *unwind.Stack {
	only := image(m, mem.VA(v.Base), uint32(v.Size))
	w := unwind.Walker{Memory: m, Guess: guess, At: func(va uint64) *unwind.Image {
		if va-uint64(v.Base) < uint64(v.Size) {
			return only
		}
		return nil
	}}
	var r [16]uint64
	for i := range r {
		r[i] = uint64(x.Regs[i])
	}
	return w.Walk(unwind.From{Registers: unwind.Full(uint64(x.RIP), r), User: true})
}

var nvOrder = []unwind.Register{unwind.RBX, unwind.RBP, unwind.RSI, unwind.RDI, unwind.R12, unwind.R13, unwind.R14, unwind.R15}

// same reports whether a frame is as expected, its function included.
func same(f *unwind.Frame, want frameTruth) bool {
	return sameRegisters(f, want) && (want.Kind == "outside" || covers(f, want))
}

func sameRegisters(f *unwind.Frame, want frameTruth) bool {
	if f.RIP != uint64(want.RIP) || f.SP() != uint64(want.RSP) || f.Trust != unwind.Certain {
		return false
	}
	for i, n := range nvOrder {
		if i < len(want.NV) && (f.Known>>n&1 == 0 || f.R[n] != uint64(want.NV[i])) {
			return false
		}
	}
	switch want.Kind {
	case "exact":
		return f.Kind.Exact()
	case "call":
		return !f.Kind.Exact()
	}
	return f.Image == nil
}

// covers reports whether the function is the expected one; none for a leaf.
func covers(f *unwind.Frame, want frameTruth) bool {
	if want.At == "leaf" {
		return !f.Covered && f.FunctionErr == nil
	}
	return f.Covered && f.Function.Begin == uint32(want.Func)
}

func describe(s *unwind.Stack) string {
	var b strings.Builder
	for _, f := range s.Frames {
		b.WriteString(strconv.FormatUint(f.RIP, 16) + "@" + strconv.FormatUint(f.SP(), 16) + " ")
	}
	return b.String() + string(s.End.Code) + ": " + s.End.Text
}

// TestVectors walks from every recorded state; the frames are those that the
// processor itself made.
func TestVectors(t *testing.T) {
	dir, list := names(t)
	for _, name := range list {
		t.Run(name, func(t *testing.T) {
			v := load(t, dir, name)
			wrong := 0
			for n, x := range v.Vectors {
				at, stack := v.stack(t, x)
				for _, guess := range []bool{false, true} {
					s := v.walk(x, v.image, at, stack, guess)
					ok := len(s.Frames) == len(x.Frames)
					for i := 0; ok && i < len(s.Frames); i++ {
						ok = same(&s.Frames[i], x.Frames[i])
					}
					if !ok {
						if wrong++; wrong < 5 {
							t.Errorf("vector %d, guess %v: %s\nwant %x", n, guess, describe(s), x.Frames)
						}
					}
				}
			}
			if wrong > 0 {
				t.Errorf("%d of %d vectors are wrong", wrong, 2*len(v.Vectors))
			}
			t.Logf("%d vectors", len(v.Vectors))
		})
	}
}

// TestDecoding compares every entry of the images' exception directories with
// an independent decoder's listing.
func TestDecoding(t *testing.T) {
	dir, list := names(t)
	for _, name := range list {
		t.Run(name, func(t *testing.T) {
			v := load(t, dir, name)
			m := pieces{{uint64(v.Base), v.image}}
			img, err := pe.Read(m, mem.VA(v.Base))
			if err != nil {
				t.Fatal(err)
			}
			table, err := img.Functions(m)
			if err != nil || table.Len() != len(v.Functions) {
				t.Fatalf("%v entries, want %d: %v", table, len(v.Functions), err)
			}
			for i, want := range v.Functions {
				f, err := table.Entry(i)
				if err != nil || f != (pe.Function{Begin: uint32(want.Begin), End: uint32(want.End), Unwind: uint32(want.Data)}) {
					t.Fatalf("entry %d: %+v, want %+v (%v)", i, f, want, err)
				}
				if f.Unwind&1 != 0 {
					continue // indirect: the listing has nothing more
				}
				info, err := unwind.Decode(m, img.Base, img.SizeOfImage, f.Unwind)
				if err != nil {
					t.Fatalf("entry %#x: %v", f.Begin, err)
				}
				compareInfo(t, f, info, want)
			}
		})
	}
}

func compareInfo(t *testing.T, f pe.Function, info *unwind.Info, want functionTruth) {
	t.Helper()
	got := [5]uint32{uint32(info.Version), uint32(info.Flags), uint32(info.Prolog), uint32(info.Frame), info.FrameOffset}
	if got != [5]uint32{*want.Version, *want.Flags, *want.Prolog, *want.FPReg, *want.FPOff} {
		t.Errorf("entry %#x: header %v", f.Begin, got)
	}
	var codes [][4]uint32
	for _, c := range info.Codes {
		codes = append(codes, [4]uint32{uint32(c.Offset), uint32(c.Op), uint32(c.Info), c.Value})
	}
	var epilogs [][2]uint8
	for _, e := range info.Epilogs {
		epilogs = append(epilogs, [2]uint8{e.Low, e.Info})
	}
	var chain []hex64
	if c := info.Chain; c != nil {
		chain = []hex64{hex64(c.Begin), hex64(c.End), hex64(c.Unwind)}
	}
	if !slices.Equal(codes, want.Codes) || !slices.Equal(epilogs, want.Epilogs) || !slices.Equal(chain, want.Chain) {
		t.Errorf("entry %#x: %v %v %x, want %v %v %x", f.Begin, codes, epilogs, chain, want.Codes, want.Epilogs, want.Chain)
	}
}

// hostile is the list of damages.
type hostile struct {
	Image string
	Cases []struct {
		Name         string
		Vector       int
		ImagePatches [][2]string `json:"image_patches"`
		StackPatches [][2]any    `json:"stack_patches"`
		SameFrames   int         `json:"same_frames"`
		Why          string
	}
}

// TestHostile damages an image or a stack. The frames before the damage stay;
// then the walk ends with a reason, or goes on with frames marked as guesses.
func TestHostile(t *testing.T) {
	dir, _ := names(t)
	h := corpustest.ReadJSON[hostile](t, filepath.Join(dir, "hostile.json"))
	v := load(t, dir, h.Image)
	for _, c := range h.Cases {
		t.Run(c.Name, func(t *testing.T) {
			x := v.Vectors[c.Vector]
			at, stack := v.stack(t, x)
			img := slices.Clone(v.image)
			for _, p := range c.ImagePatches {
				off, err := strconv.ParseUint(p[0], 16, 32)
				if err != nil {
					t.Fatal(err)
				}
				copy(img[off:], unhex(t, p[1]))
			}
			for _, p := range c.StackPatches {
				copy(stack[int(p[0].(float64)):], unhex(t, p[1].(string)))
			}
			for _, guess := range []bool{false, true} {
				s := v.walk(x, img, at, stack, guess)
				if len(s.Frames) < c.SameFrames {
					t.Fatalf("%s: only %d frames, want %d as before (%s)", describe(s), len(s.Frames), c.SameFrames, c.Why)
				}
				for i := range s.Frames {
					f := &s.Frames[i]
					switch {
					case i < c.SameFrames:
						// The last frame's function may be what is damaged.
						if ok := same(f, x.Frames[i]); !ok && (i < c.SameFrames-1 || !sameRegisters(f, x.Frames[i])) {
							t.Errorf("frame %d is not as before: %s (%s)", i, describe(s), c.Why)
						}
					case i < len(x.Frames) && same(f, x.Frames[i]):
					case f.Trust != unwind.Certain:
					case f.Image == nil && i == len(s.Frames)-1:
						// An address outside every image is no frame, but the reason.
					default:
						t.Errorf("frame %d is wrong and not marked: %s (%s)", i, describe(s), c.Why)
					}
				}
				if s.End.Code == "" || s.End.Text == "" {
					t.Errorf("no reason: %s", describe(s))
				}
				if c.SameFrames < len(x.Frames) && !guess && len(s.Frames) == len(x.Frames) {
					t.Errorf("the damage was not noticed: %s (%s)", describe(s), c.Why)
				}
				t.Log(describe(s))
			}
		})
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
