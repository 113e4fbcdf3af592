package linux

import (
	"bytes"
	"context"
	"strings"

	"coredrop/core/fault"
)

// struct new_utsname, include/uapi/linux/utsname.h: five strings of 65 bytes.
const (
	utsField   = 65
	utsRelease = 2
	utsVersion = 3
	utsFields  = 6
)

var (
	bannerMark = []byte("Linux version ")
	maxBanner  = 1024
)

// identify reads release, version and banner.
func (k *Kernel) identify(ctx context.Context) {
	k.Release = k.Info.Release()
	if at, ok := k.Address("init_uts_ns"); ok {
		at += k.Info.Offset("uts_namespace.name", 0)
		k.readUTS(at)
	}
	if at, ok := k.Symbols.Lookup("linux_banner"); ok {
		if s, ok := k.view.cstring(at, maxBanner); ok && strings.HasPrefix(s, string(bannerMark)) {
			k.Banner = strings.TrimRight(s, "\n")
		}
	}
	if k.Banner == "" && ctx.Err() == nil {
		k.Banner, _ = bannerIn(k.view, k.image)
	}
	rest, ok := strings.CutPrefix(k.Banner, string(bannerMark))
	if !ok {
		return
	}
	release, _, _ := strings.Cut(rest, " ")
	if k.Release == "" {
		k.Release = release
	}
	if i := strings.LastIndex(rest, ") #"); k.Version == "" && i >= 0 {
		k.Version = rest[i+2:]
	}
}

// The newest release on which the layouts were measured.
const (
	newestMajor = 7
	newestMinor = 3
)

// warnNewer says that a kernel is newer than any that was measured.
func (k *Kernel) warnNewer() {
	if major, minor := k.MinorRelease(); major > newestMajor || major == newestMajor && minor > newestMinor {
		k.warn(fault.NewerKernel, "Linux %d.%d is newer than %d.%d, the newest that was measured", major, minor, newestMajor, newestMinor)
	}
}

// readUTS takes release and version from a struct new_utsname; before 5.11 a
// reference count of 4 bytes comes first.
func (k *Kernel) readUTS(at uint64) {
	p := k.view.prefix(at, 8+utsField*utsFields)
	for _, skip := range []int{0, 4, 8} {
		if skip+utsField*utsFields > len(p) || !bytes.HasPrefix(p[skip:], []byte("Linux\x00")) {
			continue
		}
		field := func(n int) string {
			f := p[skip+n*utsField:][:utsField]
			if i := bytes.IndexByte(f, 0); i >= 0 {
				f = f[:i]
			}
			return string(f)
		}
		if r := field(utsRelease); r != "" {
			k.Release = r
		}
		k.Version = field(utsVersion)
		return
	}
}

// bannerIn searches mapped memory for linux_banner: the text followed by a
// release and a line end, which the kernel's format strings do not have. Since
// 6.1 there is a second one, without build number and date, for the time before
// the last link step; the full one is preferred.
func bannerIn(v view, spans []span) (string, bool) {
	var banner string
	scanSpans(v, spans, maxBanner, func(chunk []byte, _ uint64) bool {
		for rest := chunk; ; {
			i := bytes.Index(rest, bannerMark)
			if i < 0 {
				return false
			}
			rest = rest[i:]
			text := rest[:min(len(rest), maxBanner)]
			if j := bytes.IndexByte(text, '\n'); j > len(bannerMark) && text[len(bannerMark)] >= '0' && text[len(bannerMark)] <= '9' {
				banner = string(text[:j])
				if n := strings.LastIndex(banner, ") #"); n >= 0 && leadingInt(banner[n+3:]) > 0 {
					return true
				}
			}
			rest = rest[len(bannerMark):]
		}
	})
	return banner, banner != ""
}

// scanSpans hands mapped memory to visit piece by piece, pieces overlapping by
// overlap bytes, until visit answers true. What cannot be read is passed over
// page by page.
func scanSpans(v view, spans []span, overlap int, visit func(chunk []byte, at uint64) bool) {
	buf := make([]byte, scanChunk)
	for _, s := range spans {
		for at := s.start; at < s.end; {
			n := min(uint64(len(buf)), s.end-at)
			p := v.prefixInto(buf[:n], at)
			if len(p) > 0 && visit(p, at) {
				return
			}
			switch {
			case uint64(len(p)) < n: // a hole
				at += uint64(len(p)) + mem4K
			case at+n == s.end:
				at = s.end
			default:
				at += n - uint64(overlap)
			}
		}
	}
}
