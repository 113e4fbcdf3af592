package logtext

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// A bigLog is a console log of any size, made while it is read: reports of
// changing tasks and addresses among lines of others.
type bigLog struct {
	left    int64
	report  []string
	pending []byte
	n       int
}

func newBigLog(t testing.TB, size int64) *bigLog {
	return &bigLog{left: size, report: goldenLines(t, "reference-verbose")}
}

func (g *bigLog) Read(p []byte) (int, error) {
	if g.left <= 0 {
		return 0, io.EOF
	}
	if len(g.pending) == 0 {
		var b strings.Builder
		for _, l := range g.report {
			l = strings.ReplaceAll(l, "task 42", fmt.Sprintf("task %d", 100+g.n%30000))
			fmt.Fprintf(&b, "[%5d.%06d][  T%d] %s\n", g.n, g.n%1e6, 100+g.n%300, l)
		}
		for i := range 6 {
			fmt.Fprintf(&b, "[%5d.%06d][  T%d] usb 1-%d: new high-speed USB device number %d using xhci_hcd\n", g.n, i, i, i, g.n)
		}
		g.pending = []byte(b.String())
		g.n++
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	g.left -= int64(n)
	return n, nil
}

// BenchmarkRead measures logs of growing size: time per byte and memory must
// not grow with it.
func BenchmarkRead(b *testing.B) {
	for _, mib := range []int64{1, 10, 100, 150} {
		b.Run(fmt.Sprintf("%dMiB", mib), func(b *testing.B) {
			b.SetBytes(mib << 20)
			for b.Loop() {
				var peak uint64
				g := newBigLog(b, mib<<20)
				log, err := Read(b.Context(), &watched{g, &peak, 0})
				if err != nil || log.Count < g.n-1 {
					b.Fatal(log.Count, g.n, err)
				}
				b.ReportMetric(float64(peak)/(1<<20), "peak-MiB")
				b.ReportMetric(float64(log.Count), "reports")
				b.ReportMetric(float64(len(log.Entries)), "texts")
			}
		})
	}
}

// watched notes the most memory in use while its reader is read.
type watched struct {
	io.Reader
	peak *uint64
	n    int
}

func (w *watched) Read(p []byte) (int, error) {
	if w.n++; w.n%256 == 0 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		*w.peak = max(*w.peak, m.HeapInuse+m.StackInuse)
	}
	return w.Reader.Read(p)
}

// BenchmarkHostile measures what is meant to take long.
func BenchmarkHostile(b *testing.B) {
	debug.SetGCPercent(100)
	for name, unit := range map[string]string{
		"titles":        title + " data-race in a / b\n",
		"one line":      "BUG: KCSAN: data-race in a / b x ",
		"separators":    strings.Repeat("=", 66) + "\n",
		"brackets":      strings.Repeat("[", 200) + title + " x\n",
		"prefixes":      strings.Repeat("[    1.000000]", 18) + title + " x\n",
		"json":          `{"a":[{"b":"` + title + ` in x"}]}` + "\n",
		"quoted":        "=3D=3D=3D=3D=3D=3D=3D=3D=\n",
		"tags":          strings.Repeat("<b>", 100) + title + "</b>\n",
		"ends":          reportedBy + " on:\n",
		"frames + ends": strings.Repeat(" a+0x1/0x2\n", 50) + reportedBy + " on:\n",
	} {
		for _, mib := range []int{1, 10} {
			b.Run(fmt.Sprintf("%s/%dMiB", name, mib), func(b *testing.B) {
				log := strings.Repeat(unit, mib<<20/len(unit))
				b.SetBytes(int64(len(log)))
				for b.Loop() {
					if _, err := Read(b.Context(), strings.NewReader(log)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
