package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"coredrop/core/summary"
)

// version, commit and date (of the commit, YYYY-MM-DD) are set by the linker (see
// the Makefile); a binary built by plain go build takes the first two from the
// build information.
var (
	version = ""
	commit  = ""
	date    = ""
)

// buildVersion gives the version and the commit this binary was built from,
// "devel" and "unknown" where nobody recorded them.
func buildVersion() (v, c string) {
	v, c = version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		if v == "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if c == "" && s.Key == "vcs.revision" {
				c = s.Value
			}
		}
	}
	if v == "" {
		v = "devel"
	}
	if c == "" {
		c = "unknown"
	}
	return v, c
}

// versionLine is what -version prints.
func versionLine() string {
	v, c := buildVersion()
	return fmt.Sprintf("coredrop %s (commit %s, schema %d, %s, %s/%s)", v, c, summary.Schema, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
