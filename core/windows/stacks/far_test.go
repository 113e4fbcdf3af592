package stacks_test

import (
	"context"
	"reflect"
	"testing"

	"coredrop/core/cpu"
	"coredrop/core/source/remotetest"
	"coredrop/core/synth"
	"coredrop/core/windows/stacks"
)

// TestFarStacks: where each read is a journey, the stacks of the processors are
// walked together, and those of the threads; what they say is the same.
func TestFarStacks(t *testing.T) {
	const processors, threads = 16, 64
	o := synth.Options{Apart: 2<<20 + 0x1000, Group: 1}
	for range processors {
		o.CPUs = append(o.CPUs, synth.Kernel)
	}
	// Each processor's stack goes from one page on to the next.
	dress := func(s *scene) {
		s.sleepers(threads)
		for i, c := range s.CPUs() {
			sp := s.Stack(i) + 0x1000 - 0x30
			s.Write64(sp+0x28, driver+0x1130)
			s.Write64(sp+0x58, s.kernel+0x1820)
			s.Write64(sp+0x88, 0)
			c.State.SetAll(cpu.Values{cpu.RIP: driver + 0x1020, cpu.RSP: sp})
		}
	}
	near := sceneSource(o, dress)
	k := kernelOf(t, near)
	r := stacks.New(context.Background(), k, nil)
	list := r.Processors()
	others, err := r.Threads()
	if err != nil || len(others) < threads || addresses(list[0].Stack) != "driver+0x1020 driver+0x1130 nt+0x1820 | thread-start" {
		t.Fatalf("%d threads, %v, %s", len(others), err, addresses(list[0].Stack))
	}

	far, count := remotetest.Of(near)
	k = kernelOf(t, far)
	spent := func(do func()) *remotetest.Remote {
		before := *count
		do()
		return &remotetest.Remote{Rounds: count.Rounds - before.Rounds, Requests: count.Requests - before.Requests}
	}
	var gotList []*stacks.Processor
	var gotOthers []*stacks.Thread
	spent(func() { r = stacks.New(context.Background(), k, nil) }).Within(t, "what 16 processors run", 5, 21)
	spent(func() { gotList = r.Processors() }).Within(t, "16 stacks", 7, 68)
	spent(func() { gotOthers, err = r.Threads() }).Within(t, "64 threads", 23, 92)
	if err != nil || !reflect.DeepEqual(gotList, list) || !reflect.DeepEqual(gotOthers, others) {
		t.Errorf("the stacks are others: %v", err)
	}
}
