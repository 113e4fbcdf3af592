package logtext

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"coredrop/core/kcsan"
)

// reports are the texts that the forms are tried with.
var reports = []string{"v5.17-reordered", "reference-verbose", "v6.12-footer", "v5.14-unknown-origin-value", "title-tie", "depth-64"}

func goldenLines(t testing.TB, name string) []string {
	return strings.Split(strings.TrimSuffix(golden(t, name), "\n"), "\n")
}

// TestLineForms reads every report in every form, alone and in the middle of a
// log of the same form, and wants the kernel's bytes back.
func TestLineForms(t *testing.T) {
	around := []string{"random: crng init done", "", "clocksource: Switched to clocksource tsc"}
	for _, form := range lineForms {
		for _, name := range reports {
			lines := goldenLines(t, name)
			want := golden(t, name)
			for _, log := range []string{
				form.log(lines),
				form.log(slices.Concat(around, lines, around)),
				form.log(slices.Concat(lines, lines)),
			} {
				found := Parse(log)
				if len(found) == 0 {
					t.Errorf("%s, %s: nothing found in\n%s", form.name, name, log)
				}
				for _, f := range found {
					if f.Grade != kcsan.GradeWhole || f.Text() != want {
						t.Errorf("%s, %s: %s %q %q\n%s", form.name, name, f.Grade, f.Reason, f.Differences, f.Text())
						break
					}
				}
				if n := strings.Count(log, title); len(found) != n && len(found) > 0 {
					t.Errorf("%s, %s: %d found of %d", form.name, name, len(found), n)
				}
			}
		}
	}
}

// A damage is what befalls a report on its way.
type damage struct {
	name string
	do   func(r *rand.Rand, lines []string) []string
}

var damages = []damage{
	{"cut off", func(r *rand.Rand, l []string) []string { return l[:2+r.IntN(len(l)-2)] }},
	{"beginning lost", func(r *rand.Rand, l []string) []string { return l[1:] }},
	{"separators lost", func(r *rand.Rand, l []string) []string { return l[1 : len(l)-1] }},
	{"a line lost", func(r *rand.Rand, l []string) []string {
		i := r.IntN(len(l))
		if strings.Contains(l[i], title) {
			i++
		}
		return slices.Delete(slices.Clone(l), i, i+1)
	}},
	{"blank lines lost", func(r *rand.Rand, l []string) []string {
		return slices.DeleteFunc(slices.Clone(l), func(s string) bool { return s == "" })
	}},
	{"double spaced", func(r *rand.Rand, l []string) (out []string) {
		for _, s := range l {
			out = append(out, s, "")
		}
		return out
	}},
	{"trimmed", func(r *rand.Rand, l []string) (out []string) {
		for _, s := range l {
			out = append(out, strings.TrimSpace(s))
		}
		return out
	}},
	{"wrapped", func(r *rand.Rand, l []string) (out []string) {
		for _, s := range l {
			for len(s) > 68 && s != kcsan.Separator {
				i := strings.LastIndexByte(s[:68], ' ')
				if i <= 0 {
					break
				}
				out, s = append(out, s[:i]), s[i+1:]
			}
			out = append(out, s)
		}
		return out
	}},
	{"others between", func(r *rand.Rand, l []string) (out []string) {
		for _, s := range l {
			if r.IntN(3) == 0 {
				out = append(out, "nvme nvme0: 4/0/0 default/read/poll queues")
			}
			out = append(out, s)
		}
		return out
	}},
	{"a trace between", func(r *rand.Rand, l []string) []string {
		i := 3 + r.IntN(len(l)-4)
		return slices.Insert(slices.Clone(l), i, "Call Trace:", " <TASK>", " dump_stack+0x1/0x2", " </TASK>")
	}},
	{"messages dropped", func(r *rand.Rand, l []string) []string {
		return slices.Insert(slices.Clone(l), 3+r.IntN(len(l)-4), "** 7 printk messages dropped **")
	}},
	{"twice begun", func(r *rand.Rand, l []string) []string { return slices.Concat(l[:1+r.IntN(len(l)-1)], l) }},
	{"a bit flipped", func(r *rand.Rand, l []string) []string {
		l = slices.Clone(l)
		i := 2 + r.IntN(len(l)-2)
		if b := []byte(l[i]); len(b) > 0 {
			b[r.IntN(len(b))] ^= 1 << r.IntN(7)
			if l[i] = string(b); strings.ContainsAny(l[i], "\n") {
				l[i] = "?"
			}
		}
		return l
	}},
}

// TestComposedLogs composes form, report and damage, two in a row sometimes,
// and wants every title that is left in the log to be found.
func TestComposedLogs(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 79))
	for _, form := range lineForms {
		for _, d := range damages {
			for range 4 {
				name := reports[r.IntN(len(reports))]
				lines := d.do(r, goldenLines(t, name))
				what := d.name
				if r.IntN(3) == 0 {
					e := damages[r.IntN(len(damages))]
					if len(lines) > 8 {
						lines, what = e.do(r, lines), what+", "+e.name
					}
				}
				log := form.log(slices.Concat([]string{"Booting Linux"}, lines, []string{"done"}))
				checkTitles(t, fmt.Sprintf("%s, %s, %s", form.name, name, what), log)
			}
		}
	}
}

// checkTitles wants as many finds as there are lines that name a race, each with
// its title as far as the line has it.
func checkTitles(t *testing.T, what, log string) {
	t.Helper()
	found := Parse(log)
	checkFound(t, log, found)
	titles := map[string]int{}
	n := strings.Count(log, title)
	for _, f := range found {
		titles[f.Title]++
		if f.Title == "" {
			n++ // a piece without one
		}
	}
	if len(found) != n {
		t.Errorf("%s: %d found of %d in\n%s", what, len(found), n, log)
	}
}
