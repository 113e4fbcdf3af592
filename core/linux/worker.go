package linux

import "bytes"

// struct worker, kernel/workqueue_internal.h, and what it points to: these
// members have been in the same places since 3.10.
const (
	workerFunc  = 24 // current_func
	workerPool  = 32 // current_pwq, struct pool_workqueue
	pwqQueue    = 8  // its struct workqueue_struct
	workerBytes = 0x140
	queueBytes  = 0x400
	workerName  = 32 // WORKER_DESC_LEN, WQ_NAME_LEN
)

// Work is what a kworker does, as print_worker_info tells it.
type Work struct {
	Queue string
	Func  uint64
	Desc  string // set_worker_desc's, "" where it is the queue's name
}

// Work finds the struct worker of a thread whose stack is frames: a pointer on it
// leads to a structure that names the function that process_one_work called. busy
// tells whether the thread runs a work item at all.
func (k *Kernel) Work(frames []Frame) (w Work, busy, ok bool) {
	name := func(f Frame) (Symbol, bool) {
		s, _, ok := k.Resolve(f.Addr - 1)
		return s, ok
	}
	for i := 1; i < len(frames); i++ {
		if s, ok := name(frames[i]); !ok || PlainName(s.Name) != "process_one_work" {
			continue
		}
		fn, ok := name(frames[i-1])
		if !ok {
			return Work{}, true, false
		}
		// The pointer is in a frame of process_one_work or worker_thread, or in
		// one that saved their registers.
		for j := min(i+1, len(frames)-1); j >= 0; j-- {
			f := frames[j]
			if f.End <= f.SP || f.End-f.SP > mem4K {
				continue
			}
			p := k.view.prefix(f.SP, int(f.End-f.SP))
			for off := 0; off+8 <= len(p); off += 8 {
				if w, ok := k.workAt(le64(p, off), fn.Addr); ok {
					return w, true, true
				}
			}
		}
		return Work{}, true, false
	}
	return Work{}, false, false
}

// workAt reads the struct worker at an address, when it runs the function fn.
func (k *Kernel) workAt(at, fn uint64) (Work, bool) {
	if at < kernelHalf || at%8 != 0 {
		return Work{}, false
	}
	if f, ok := k.view.u64(at + workerFunc); !ok || f != fn {
		return Work{}, false
	}
	pwq, ok1 := k.view.u64(at + workerPool)
	queue, ok2 := k.view.u64(pwq + pwqQueue)
	if !ok1 || !ok2 || queue < kernelHalf {
		return Work{}, false
	}
	worker, wq := k.view.prefix(at, workerBytes), k.view.prefix(queue, queueBytes)
	// The worker's description is the queue's name unless the function set
	// another: what stands in both is the name.
	for _, s := range texts(wq, 8) {
		for _, d := range texts(worker, 4) {
			if s == d {
				return Work{Queue: s, Func: fn}, true
			}
		}
	}
	off, ok := k.queueName()
	if !ok {
		return Work{}, false
	}
	w := Work{Func: fn, Queue: textAt(wq, off)}
	for _, d := range texts(worker, 4) {
		if len(d) > len(w.Desc) {
			w.Desc = d
		}
	}
	return w, w.Queue != ""
}

// queueName finds where a struct workqueue_struct has its name, by the system's
// own queue, which is called events.
func (k *Kernel) queueName() (int, bool) {
	for _, name := range []string{"system_wq", "system_percpu_wq"} {
		at, ok := k.Symbols.Lookup(name)
		if !ok {
			continue
		}
		p, _ := k.view.u64(at)
		if i := bytes.Index(k.view.prefix(p, queueBytes), []byte("events\x00")); p >= kernelHalf && i >= 0 {
			return i, true
		}
	}
	return 0, false
}

// texts are the texts that begin at multiples of align: printable, of two bytes
// at least, with an end.
func texts(p []byte, align int) []string {
	var out []string
	for off := 0; off < len(p); off += align {
		if s := textAt(p, off); len(s) > 1 {
			out = append(out, s)
		}
	}
	return out
}

// textAt is the text at an offset, "" where there is none.
func textAt(p []byte, off int) string {
	p = p[min(off, len(p)):]
	n := bytes.IndexByte(p[:min(len(p), workerName)], 0)
	if n < 0 {
		return ""
	}
	for _, c := range p[:n] {
		if c < ' ' || c > '~' {
			return ""
		}
	}
	return string(p[:n])
}
