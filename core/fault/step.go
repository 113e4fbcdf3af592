package fault

import (
	"slices"
	"strings"
)

// Surface is where an error is shown: what helps on the command line may not
// exist on the page.
type Surface string

// The surfaces.
const (
	Page Surface = "page"
	CLI  Surface = "cli"
)

// Step is one next step: words, a command to copy, or a command that words lead
// to. The words {file} and {dump} in it stand for the file that the error is
// about and for the dump that would be made of it.
type Step struct {
	Text    string    `json:"text,omitempty"`
	Command string    `json:"command,omitempty"`
	For     []Surface `json:"for"` // none: all
}

// On reports whether the step helps on a surface.
func (s Step) On(on Surface) bool { return len(s.For) == 0 || slices.Contains(s.For, on) }

// String gives the step as one line: "unpack it first: gunzip -k vm.core.gz".
func (s Step) String() string {
	if s.Text == "" || s.Command == "" {
		return s.Text + s.Command
	}
	return s.Text + ": " + s.Command
}

// Names of what a step leaves open, where no file is known.
const (
	anyFile = "FILE"
	anyDump = "OUT.dmp"
)

// About names the file in a step; "" leaves it open. In a command the name is
// quoted for a shell where it must be. An address (https://HOST/PATH) stands in the
// tool's own commands, which read it; others are meant for the file that it names.
func (s Step) About(file string) Step {
	name, dump := file, DumpName(file)
	if !strings.HasPrefix(s.Command, "coredrop ") {
		name = lastPart(file)
	}
	if lastPart(file) == "" {
		name, dump = anyFile, anyDump
	}
	s.Text = strings.NewReplacer("{file}", name, "{dump}", dump).Replace(s.Text)
	s.Command = strings.NewReplacer("{file}", Quote(name), "{dump}", Quote(dump)).Replace(s.Command)
	if len(s.For) == 0 {
		s.For = []Surface{Page, CLI}
	}
	return s
}

// lastPart is what an address names; a path stays as it is.
func lastPart(file string) string {
	scheme, rest, ok := strings.Cut(file, "://")
	if !ok || strings.ContainsAny(scheme, `./\`) {
		return file
	}
	return rest[strings.LastIndexByte(rest, '/')+1:]
}

// DumpName suggests the name of the dump that is made of a core: its own with
// another ending, never the core's. Of an address it is the last part's.
func DumpName(core string) string {
	core = lastPart(core)
	base := core
	for _, ending := range []string{".gz", ".zst", ".xz", ".lzma", ".bz2", ".lz4", ".lzo"} {
		if short, ok := strings.CutSuffix(core, ending); ok && short != "" && !strings.HasSuffix(short, "/") {
			core, base = short, short
			break
		}
	}
	for _, ending := range []string{".core", ".elf", ".dump", ".raw", ".img", ".bin"} {
		if short, ok := strings.CutSuffix(core, ending); ok && short != "" && !strings.HasSuffix(short, "/") {
			base = short
			break
		}
	}
	return base + ".dmp"
}

// Quote makes a name one word of a POSIX shell, and no flag.
func Quote(name string) string {
	if strings.HasPrefix(name, "-") {
		name = "./" + name
	}
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:=@%+,-", r) || r >= 0xa0
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// Steps lists the next steps with the file named ("" where it is not known):
// those of this occurrence, then the catalogue's.
func (e *Error) Steps(file string) []Step {
	list := slices.Clone(e.Hints)
	if !e.Only {
		list = append(list, catalogue[e.Code].Remedy...)
	}
	out := make([]Step, 0, len(list))
	for _, s := range list {
		out = append(out, s.About(file))
	}
	return out
}

// Remedy lists the steps of a surface as lines, or of every surface; no file is
// named.
func (e *Error) Remedy(on ...Surface) []string { return Lines(e.Steps(""), on...) }

// Lines gives the steps that help on one of the surfaces, all without one, as
// lines; each once.
func Lines(steps []Step, on ...Surface) []string {
	list := []string{}
	for _, s := range steps {
		helps := len(on) == 0 || slices.ContainsFunc(on, s.On)
		if line := s.String(); helps && !slices.Contains(list, line) {
			list = append(list, line)
		}
	}
	return list
}
