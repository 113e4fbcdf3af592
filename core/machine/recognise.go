package machine

import (
	"coredrop/core/fault"
	"coredrop/core/identify"
	"coredrop/core/source"
)

// Recognise names a file that no opener took, as a *fault.Error with the next
// steps of what it is. A core that looks sound is refused as unknown.
func Recognise(s source.Source) error {
	f, err := identify.Look(s)
	if err != nil {
		return err
	}
	if refusal := f.Fault(); refusal != nil {
		return refusal
	}
	return fault.New(fault.UnknownFormat, "%s, of a form that is not read", f.Sentence())
}
