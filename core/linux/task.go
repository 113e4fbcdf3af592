package linux

type taskLayout struct{}
