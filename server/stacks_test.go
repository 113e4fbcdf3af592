package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
)

// TestStacksOfLinux prints the CPUs of a Linux guest in the kernel's form.
func TestStacksOfLinux(t *testing.T) {
	path := plainLinux(t)
	var out, errs bytes.Buffer
	if code := runStacks(context.Background(), []string{"-symbols", "none", path}, nil, &out, &errs); code != exitDone {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	for _, want := range []string{"CPU 0, task bash (3)\n default_idle+0x8/0x50\n", "\nCPU 1, task sleep (4)\n panic+0x20/0x50\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if code := runStacks(context.Background(), []string{"-json", "-symbols", "none", path}, nil, &out, &errs); code != exitDone || !strings.Contains(out.String(), `"from": "kallsyms"`) {
		t.Errorf("exit %d: %s", code, out.String())
	}
}
