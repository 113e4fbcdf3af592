package core

import (
	"slices"
	"strings"

	"coredrop/core/fault"
)

// unpacking makes our own commands among an error's next steps unpack the file,
// which is packed where the user has it.
func unpacking(err error) error {
	f, ok := err.(*fault.Error)
	if !ok {
		return err
	}
	steps := slices.Clone(f.Hints)
	if !f.Only {
		row, _ := fault.Lookup(f.Code)
		steps = append(steps, row.Remedy...)
	}
	for i, s := range steps {
		if words := strings.SplitN(s.Command, " ", 3); len(words) == 3 && words[0] == "coredrop" && strings.Contains(words[2], "{file}") {
			steps[i].Command = strings.Join([]string{words[0], words[1], "-unpack", words[2]}, " ")
		}
	}
	said := *f
	return said.Instead(steps...)
}
