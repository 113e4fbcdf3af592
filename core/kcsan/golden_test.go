package kcsan

import (
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// goldenModels are the models of the files in testdata/golden.
func goldenModels() map[string][]*Report {
	const w, c, a, x, s = AccessWrite, AccessCompound, AccessAtomic, AccessAssert, AccessScoped
	at := func(v Version, release string, other, own AccessType) *Report {
		r := race(v, fnAlpha+0x19, fnBeta+0x22)
		r.Other.Type, r.Own.Type = other, own
		r.Footer.Release = release
		return r
	}
	ref := func(other, own AccessType) *Report { return at(Reference, "5.9.1", other, own) }
	with := func(r *Report, f func(r *Report)) *Report { f(r); return r }
	frames := func(addrs ...uint64) []Frame {
		var out []Frame
		for _, a := range addrs {
			out = append(out, NewFrame(symbols, a))
		}
		return out
	}
	lock := "ffff888003e08dd8 (&tty->ldisc_sem){++++}-{0:0}, at: caller+0x24/0x100"
	return map[string][]*Report{
		"reference-access-names": {ref(0, w), ref(a, w|a), ref(s, w|s), ref(a|s, w|a|s), ref(x, x|w), ref(x|s, x|w|s)},
		"reference-unknown-origin": {{
			Version: Reference,
			Own: Thread{Access: Access{Addr: 0xffff933db8a2ae6c, Size: 1, PID: InterruptPID, CPU: 0},
				Trace: Trace{Frames: frames(fnAlpha+0x19, fnTestMod+0x59)}},
			Footer: Footer{Comm: "swapper/0", Taint: "Not tainted", Release: "5.9.1", Build: "#1",
				Hardware: "QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.12.0-1 04/01/2014"},
		}},
		"reference-unknown-origin-assert": {with(ref(0, x|s), func(r *Report) {
			r.Other = nil
			r.Own.Addr, r.Own.Size, r.Own.CPU, r.Footer.CPU = 0xffff933db8a2ae6c, 4, 1, 1
		})},
		"reference-verbose": {with(ref(0, w), func(r *Report) {
			r.Other.Verbose, r.Own.Verbose = verboseBlock("producer", 42), verboseBlock("consumer", 43)
			r.Other.Verbose.Locks.Depth, r.Other.Verbose.Locks.Held = 1, []string{lock}
		})},
		"reference-verbose-without-task": {with(ref(0, w), func(r *Report) {
			r.Own.Verbose = verboseBlock("consumer", 43)
		})},
		"title-tie": {with(ref(0, w), func(r *Report) {
			r.Other.Trace.Frames, r.Own.Trace.Frames = frames(fnLongA), frames(fnLongB)
		})},
		"only-runtime-frames": {with(ref(0, w), func(r *Report) {
			r.Other.Trace, _ = Reference.Sanitize(symbols, []uint64{fnSetup, fnTsan}, 0)
			r.Own.Trace, _ = Reference.Sanitize(symbols, []uint64{fnTsan, fnOnce}, 0)
		})},
		"depth-64": {with(ref(0, w), func(r *Report) {
			other, own := []uint64{fnSetup, fnTsan}, []uint64(nil)
			for i := range uint64(100) {
				other, own = append(other, fnAlpha+i), append(own, fnBeta+i)
			}
			r.Other.Trace, _ = Reference.Sanitize(symbols, other, 0)
			r.Own.Trace, _ = Reference.Sanitize(symbols, own, 0)
		})},
		"v5.10-read-write": {with(at(V5_10, "5.10.223", w|c|a, w|c), func(r *Report) { r.Other.PID = InterruptPID })},
		"v5.14-unknown-origin-value": {with(at(V5_14, "5.14.0", 0, x), func(r *Report) {
			r.Other, r.Own.Size = nil, 4
			r.Values = &Values{Old: 0xff00ff2a, New: 0x2a, Mask: 0xff00ff00}
		})},
		"v5.16-scoped-location": {with(at(V5_16, "5.16.0", x|w|s, w), func(r *Report) {
			r.Other.Trace, _ = V5_16.Sanitize(symbols, []uint64{fnCaller, fnAlpha + 0x32, fnThread + 0x59}, fnAlpha+0x22)
		})},
		"v5.17-reordered": {with(at(V5_17, "5.17.0", a|s, w|c|a|s), func(r *Report) {
			r.Other.Trace, _ = V5_17.Sanitize(symbols, []uint64{fnCaller, fnAlpha + 0x32, fnThread + 0x59}, fnAlpha+0x22)
			r.Own.Trace, _ = V5_17.Sanitize(symbols, []uint64{fnBeta + 0x99}, fnBeta+0x22)
			r.Own.Size, r.Values = 2, &Values{Old: 0x512}
		})},
		"v6.12-footer": {with(at(V6_12, "6.12.117", w, 0), func(r *Report) {
			r.Other.PID = InterruptPID
			r.Other.Trace.Frames, r.Own.Trace.Frames = frames(fnAlpha+0x22), frames(fnTestMod+0x59)
			r.Own.Verbose = verboseBlock("", 0)
			r.Own.Verbose.Locks = HeldLocks{Off: true}
			r.Values = &Values{Old: 1, New: 2}
			f := &r.Footer
			f.UID, f.Comm, f.KdumpLoaded, f.Taint = 1000, "kworker/u8:1", true, "Tainted: G        W        N"
			f.Tail = " PREEMPT(full)  643f0550273df44de202c746b1714cae6e26f37f"
			f.Taints = "[W]=WARN, [N]=TEST"
			f.Hardware = "QEMU Standard PC (i440FX + PIIX, 1996), BIOS 1.16.2-debian-1.16.2-1 04/01/2014"
			f.More = []string{"Workqueue: events_unbound toggle_allocation_gate"}
		})},
		"symbolized": {with(at(V6_1, "6.1.0", w, 0), func(r *Report) {
			r.Other.PID = InterruptPID
			r.Other.Trace.Frames = append([]Frame{{Note: "inlined_helper include/linux/helper.h:23 [inline]", Inline: true}}, frames(fnAlpha+0x22)...)
			r.Other.Trace.Frames[1].Note = "kernel/alpha.c:442"
			r.Own.Trace.Frames = frames(fnBeta+0x59, noSymbol)
			r.Own.Trace.Frames[0].Symbol.Module = "kcsan_test"
			r.Own.Trace.Frames[0].Note = "kernel/kcsan/kcsan_test.c:17"
		})},
	}
}

// TestGoldens compares hand-written texts with what their models print, and
// the models with what is read back. A symbol line of a trace has no address in
// it, so the parsed model has none.
func TestGoldens(t *testing.T) {
	models := goldenModels()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	if err != nil || len(files) != len(models) {
		t.Fatalf("%d files, %d models, %v", len(files), len(models), err)
	}
	for name, reports := range models {
		t.Run(name, func(t *testing.T) {
			want := readFile(t, filepath.Join("testdata", "golden", name+".txt"))
			got := ""
			for _, r := range reports {
				text, err := r.Text()
				if err != nil {
					t.Fatal(err)
				}
				got += text
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			found := readAll(want)
			if len(found) != len(reports) {
				t.Fatalf("%d reports found, want %d", len(found), len(reports))
			}
			for i, f := range found {
				grade := GradeWhole
				if name == "symbolized" {
					grade = GradeRetyped
				}
				if f.Grade != grade {
					t.Fatalf("report %d: %s %s", i, f.Reason, f.Differences)
				}
				if want := asParsed(reports[i]); !reflect.DeepEqual(f.Report, want) {
					t.Errorf("read back:\n%+v\nwant:\n%+v", f.Report, want)
				}
			}
		})
	}
}

// readAll reads a text of reports only, from separator to separator.
func readAll(text string) (found []Reading) {
	for _, part := range strings.Split(strings.TrimPrefix(strings.TrimSuffix(text, Separator+"\n"), Separator+"\n"), Separator+"\n"+Separator+"\n") {
		found = append(found, ReadLines(strings.Split(strings.TrimSuffix(part, "\n"), "\n"), Context{Opened: true, Closed: true}))
	}
	return found
}

// asParsed is the report without what its text does not tell.
func asParsed(r *Report) *Report {
	out := *r
	strip := func(th Thread) Thread {
		th.Trace.Frames = slices.Clone(th.Trace.Frames)
		if len(th.Trace.Frames) == 0 {
			th.Trace.Frames = nil
		}
		for i := range th.Trace.Frames {
			if f := &th.Trace.Frames[i]; f.Symbol.Name != "" {
				f.Addr = 0
			}
		}
		if th.Trace.ReorderedTo != nil {
			to := *th.Trace.ReorderedTo
			to.Addr = 0
			th.Trace.ReorderedTo = &to
		}
		return th
	}
	out.Own = strip(r.Own)
	if r.Other != nil {
		other := strip(*r.Other)
		out.Other = &other
	}
	return &out
}
