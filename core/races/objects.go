package races

import (
	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/owner"
)

// maxObjects bounds the addresses whose owner is asked for.
const maxObjects = 4096

// accesses are the threads of a report as they are printed, the watcher's last.
func accesses(m *kcsan.Report) []*kcsan.Thread {
	if m.Other != nil {
		return []*kcsan.Thread{m.Other, &m.Own}
	}
	return []*kcsan.Thread{&m.Own}
}

// own finds out what each report's accesses were to. For a report that the kernel
// printed long ago it is what lies there now.
func (r *Result) own(k *linux.Kernel) {
	var f *owner.Finder
	type asked struct{ addr, size uint64 }
	known := map[asked]owner.Object{}
	for i := range r.Reports {
		rep := &r.Reports[i]
		if rep.Model == nil {
			continue
		}
		for _, t := range accesses(rep.Model) {
			ask := asked{t.Addr, t.Size}
			o, ok := known[ask]
			if !ok {
				if len(known) == maxObjects {
					return
				}
				if f == nil {
					f = owner.New(k)
				}
				o = f.At(t.Addr, t.Size)
				known[ask] = o
			}
			rep.Objects = append(rep.Objects, o)
		}
	}
}

// what words the object of a report for the line above it; "" where nothing is known of it.
func (rep *Report) what() string {
	if len(rep.Objects) == 0 {
		return ""
	}
	o := rep.Objects[len(rep.Objects)-1]
	switch {
	case o.Kind == owner.Unknown || o.Kind == owner.User:
		return ""
	case rep.State == Printed && !o.Lasting() && o.Kind != owner.Absent:
		return "; at the address now: " + o.String()
	}
	return "; at the address: " + o.String()
}
