package kcsan

import (
	"strconv"
	"strings"
)

// parseCPULine reads the line of dump_stack_print_info into f. uid tells
// whether it has a user ID.
func (f *Footer) parseCPULine(s string) (uid, ok bool) {
	s, ok = strings.CutPrefix(s, "CPU: ")
	if !ok {
		return false, false
	}
	var errs [3]error
	cpu, rest, _ := strings.Cut(s, " ")
	f.CPU, errs[0] = strconv.Atoi(cpu)
	if r, has := strings.CutPrefix(rest, "UID: "); has {
		var user string
		user, rest, _ = strings.Cut(r, " ")
		n, err := strconv.ParseUint(user, 10, 32)
		f.UID, errs[1], uid = uint32(n), err, true
	}
	rest, ok = strings.CutPrefix(rest, "PID: ")
	pid, rest, cut := strings.Cut(rest, " Comm: ")
	f.PID, errs[2] = strconv.Atoi(pid)
	if !ok || !cut || errs != [3]error{} {
		return false, false
	}
	return uid, f.parseTask(rest)
}

// parseTask reads what follows "Comm: ": the name may hold blanks and the words
// that follow it, but not more than commUncut bytes.
func (f *Footer) parseTask(s string) bool {
	window := s[:min(len(s), commUncut+len(" "+kdumpLoaded+notTainted+" "))]
	i, taint := strings.LastIndex(window, " "+notTainted+" "), notTainted
	if i < 0 {
		if i = strings.LastIndex(window, " "+taintPrefix); i < 0 {
			return false
		}
		flags := s[i+1+len(taintPrefix):]
		n := len(flags) - len(strings.TrimLeft(flags, " ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		if n == 0 || flags[n-1] != ' ' {
			return false
		}
		taint = taintPrefix + flags[:n-1]
	}
	comm, kdump := strings.CutSuffix(s[:i+1], " "+kdumpLoaded)
	f.Comm, f.KdumpLoaded, f.Taint = strings.TrimSuffix(comm, " "), kdump, taint
	if kdump {
		f.Comm = comm
	}
	f.CommUncut = len(f.Comm) > commMax
	rest := s[i+1+len(taint)+1:]
	release, rest, ok := strings.Cut(rest, " ")
	end := strings.IndexByte(rest, ' ')
	if end < 0 {
		end = len(rest)
	}
	f.Release, f.Build, f.Tail = release, rest[:end], rest[end:]
	return ok && release != "" && f.Build != ""
}

// knownFooterLine reports whether a line is one that dump_stack_print_info
// prints after the ones that have fields of their own.
func knownFooterLine(s string) bool {
	for _, p := range []string{"Workqueue: ", "Stopper: ", "Sched_ext: "} {
		if strings.HasPrefix(s, p) {
			return true
		}
	}
	return false
}
