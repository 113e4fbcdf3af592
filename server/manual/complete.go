package manual

import (
	"flag"
	"fmt"
	"slices"
	"strings"
)

// Shells are the shells there are completions for, with the function that writes
// them and the name of the file under which the shell finds it.
var Shells = []struct {
	Name  string
	File  string // below the directory of shared data, for the program coredrop
	Write func(Program) string
}{
	{"bash", "bash-completion/completions/%s", Bash},
	{"zsh", "zsh/site-functions/_%s", Zsh},
	{"fish", "fish/vendor_completions.d/%s.fish", Fish},
}

// Bash gives the completions for bash; they need nothing but bash itself. Where
// they have no word, bash completes names of files (-o default).
func Bash(p Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# bash completion for %[1]s\n_%[1]s() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} flags=\n\tCOMPREPLY=()\n", p.Name)
	fmt.Fprintf(&b, "\tif [ \"$COMP_CWORD\" = 1 ]; then\n\t\tCOMPREPLY=($(compgen -W %s -- \"$word\"))\n\t\treturn\n\tfi\n\tcase \"${COMP_WORDS[1]} $before\" in\n", quote(strings.Join(names(p), " ")))
	for _, c := range p.Commands {
		for _, f := range c.Flags {
			if list := choices(f); list != nil {
				fmt.Fprintf(&b, "\t%s) COMPREPLY=($(compgen -W %s -- \"$word\")); return ;;\n", quote(c.Name+" -"+f.Name), quote(strings.Join(list, " ")))
			}
		}
	}
	b.WriteString("\tesac\n\tcase ${COMP_WORDS[1]} in\n")
	for _, c := range p.Commands {
		var list []string
		for _, f := range c.Flags {
			list = append(list, "-"+f.Name)
		}
		fmt.Fprintf(&b, "\t%s) flags=%s ;;\n", c.Name, quote(strings.Join(list, " ")))
	}
	fmt.Fprintf(&b, "\tesac\n\tcase $word in\n\t-*) COMPREPLY=($(compgen -W \"$flags\" -- \"$word\")) ;;\n\tesac\n}\ncomplete -o default -F _%[1]s %[1]s\n", p.Name)
	return b.String()
}

// Zsh gives the completions for zsh.
func Zsh(p Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion for %[1]s\nlocal -a commands\ncommands=(\n", p.Name)
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "  %s\n", quote(c.Name+":"+strings.ReplaceAll(c.Summary, ":", `\:`)))
	}
	b.WriteString(")\nif (( CURRENT == 2 )); then\n  _describe command commands\n  _files\n  return\nfi\nlocal command=$words[2]\nshift words\n(( CURRENT-- ))\ncase $command in\n")
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "  %s) _arguments", c.Name)
		for _, f := range c.Flags {
			fmt.Fprintf(&b, " \\\n    %s", quote(zshFlag(f)))
		}
		b.WriteString(" \\\n    '*:file:_files' ;;\n")
	}
	b.WriteString("esac\n")
	return b.String()
}

var zshText = strings.NewReplacer("[", `\[`, "]", `\]`, ":", `\:`)

// zshFlag is a flag as _arguments takes it: "*-name[text]:value:(choices)".
func zshFlag(f *flag.Flag) string {
	s := "*-" + f.Name + "[" + zshText.Replace(short(f)) + "]"
	if !takesValue(f) {
		return s
	}
	name, _ := flag.UnquoteUsage(f)
	s += ":" + zshText.Replace(name) + ":"
	if list := choices(f); list != nil {
		return s + "(" + strings.Join(list, " ") + ")"
	}
	return s + "_files"
}

// Fish gives the completions for fish.
func Fish(p Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s\nset -l commands %s\n", p.Name, strings.Join(names(p), " "))
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "complete -c %s -n \"not __fish_seen_subcommand_from $commands\" -a %s -d %s\n", p.Name, c.Name, fishQuote(c.Summary))
	}
	for _, c := range p.Commands {
		for _, f := range c.Flags {
			fmt.Fprintf(&b, "complete -c %s -n '__fish_seen_subcommand_from %s' -o %s -d %s", p.Name, c.Name, f.Name, fishQuote(short(f)))
			switch list := choices(f); {
			case list != nil:
				fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(list, " ")))
			case takesValue(f):
				b.WriteString(" -r")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func names(p Program) []string {
	list := []string{"help"}
	for _, c := range p.Commands {
		list = append(list, c.Name)
	}
	slices.Sort(list)
	return list
}

// quote makes one word of s for bash and zsh.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// fishQuote makes one word of s for fish, which has another way with quotes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
