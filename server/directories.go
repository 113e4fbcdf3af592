package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

var (
	windowsDrive    = regexp.MustCompile(`^[A-Za-z]:[\\/]`)
	windowsVariable = regexp.MustCompile(`%[A-Za-z_][A-Za-z0-9_()]*%`)
)

// directories gives the directories that a store of a symbol path means, and
// warns of one that cannot be right: what a shell or Windows would have put
// there, or nothing at all. filled: the store is made if need be, since files
// are kept in it. "" is the default store.
func (r *resolver) directories(dir string, filled bool) []string {
	if dir == "" {
		dir, err := defaultStore()
		if err != nil {
			r.warn("the symbol path's default store was left out: there is no HOME, and so no place for it")
			return nil
		}
		return []string{dir}
	}
	if _, err := os.Stat(dir); err == nil {
		return []string{dir}
	}
	switch {
	case dir == "~" || strings.HasPrefix(dir, "~/") || strings.HasPrefix(dir, `~\`):
		home, err := os.UserHomeDir()
		if err != nil {
			break
		}
		full := filepath.Join(home, dir[1:])
		r.warn("the symbol path's %s was taken for %s: a shell puts that there only at the beginning of a word", dir, full)
		return r.directories(full, filled)
	case windowsVariable.MatchString(dir):
		full := windowsVariable.ReplaceAllStringFunc(dir, func(v string) string {
			if value, ok := os.LookupEnv(strings.Trim(v, "%")); ok {
				return value
			}
			return v
		})
		if full == dir {
			r.warn("the symbol path's %s was left out: there is no such variable", dir)
			return nil
		}
		return r.directories(full, filled)
	case windowsDrive.MatchString(dir) && runtime.GOOS != "windows":
		r.warn("the symbol path's %s was left out: it is a path of Windows, and this is another system", dir)
		return nil
	case strings.Contains(dir, ":") && runtime.GOOS != "windows":
		var list []string
		for part := range strings.SplitSeq(dir, ":") {
			if info, err := os.Stat(part); err == nil && info.IsDir() {
				list = append(list, part)
			}
		}
		if len(list) > 0 {
			r.warn("the symbol path's %s was taken for %s: its elements are separated by ; and not by :", dir, strings.Join(list, ";"))
			return list
		}
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) && !filled {
		r.warn("the symbol path's %s is not there", dir)
	}
	return []string{dir}
}
