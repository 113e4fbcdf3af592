package core

import (
	"bytes"
	"context"
	"encoding/binary"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/synth"
)

// Where the kernel is not found in what is there of a core, what is missing is
// said first: it is the likelier reason.
func TestWhatIsMissingIsSaidBeforeWhatWasNotFound(t *testing.T) {
	whole, err := demo.Core()
	if err != nil {
		t.Fatal(err)
	}
	zeros := bytes.Clone(whole)
	clear(zeros[1000000:])
	named := bytes.Clone(whole)
	binary.LittleEndian.PutUint64(named[0xc0+0x38+0x20:], 4096)
	for _, c := range []struct {
		data []byte
		code fault.Code
		say  string
		step string
	}{
		{whole[:1000000], fault.Truncated, "bytes of memory are missing", "copy it again"},
		{zeros, fault.DamagedCopy, "zeros to its end", "copy it again"},
		{named, fault.PagingCore, "name 0.033 % of the file", "without paging"},
	} {
		_, err := Open(context.Background(), synth.Source(c.data), Options{})
		if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), "and perhaps for that reason") {
			t.Errorf("%s: %v", c.code, err)
			continue
		}
		if steps := strings.Join(fault.As(err).Remedy(), "\n"); !strings.Contains(steps, c.step) {
			t.Errorf("%s: %s", c.code, steps)
		}
	}
}
