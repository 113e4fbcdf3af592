package qcow2

import (
	"context"
	"testing"

	"coredrop/core/machine"
	"coredrop/core/synth"
)

// BenchmarkState reads a state of 256 MiB in order, by reads of 1 MiB; what the
// tables cost is the difference between sizes of clusters.
func BenchmarkState(b *testing.B) {
	state := make([]byte, 256<<20)
	copy(state, "QEVM")
	for name, bits := range map[string]uint{"512": 9, "4k": 12, "64k": 16, "2M": 21} {
		image := synth.QCOW2{ClusterBits: bits, Disk: 1 << 20, Snapshots: []synth.QCOW2Snapshot{{ID: "1", Name: "a", State: state}}}.Bytes()
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(state)))
			for b.Loop() {
				var in seen
				if _, err := Opener(in.open)(context.Background(), inMemory(image), machine.Options{}); err != nil {
					b.Fatal(err)
				}
				if err := in.source.Scan(0, in.source.Size, make([]byte, 1<<20), func([]byte) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
