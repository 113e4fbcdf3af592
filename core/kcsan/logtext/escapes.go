package logtext

import (
	"html"
	"regexp"
	"strings"

	"coredrop/core/kcsan"
)

// An unescaper takes back what mail and web pages do to lines.
type unescaper struct {
	quoted bool   // the lines are quoted-printable (RFC 2045)
	soft   string // a line that goes on in the next
	broken bool   // soft holds one
}

// tag matches the elements that pages show logs in. A log has words in angle
// brackets of its own ("<TASK>", "<3>", "[<ffffffff81000000>]"), which are none.
var tag = regexp.MustCompile(`(?i)</?(?:a|abbr|article|b|blockquote|body|br|button|code|dd|del|div|dl|dt|em|font|footer|form|h[1-6]|head|header|hr|html|i|img|input|ins|kbd|label|li|link|main|mark|meta|nav|ol|p|path|pre|s|samp|script|section|small|span|strong|style|sub|summary|details|sup|svg|table|tbody|td|textarea|th|thead|title|tr|tt|u|ul|var|wbr)(?:\s[^<>]*)?/?>|<!(?:--[^<>]*--|DOCTYPE[^<>]*)>`)

// lineEnd matches the tags that end a line of the page.
var lineEnd = regexp.MustCompile(`(?i)<(?:br\s*/?|/p|/div|/tr|/li|/pre|/h[1-6])>`)

// entity matches what stands for one character.
var entity = regexp.MustCompile(`&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|lt|gt|amp|quot|apos|nbsp);`)

// hardBlank is what a page shows for a blank that must stay, and what is copied
// from it.
const hardBlank = "\u00a0"

// Evidence that a mail is quoted-printable, besides its header.
const (
	encodingHeader = "content-transfer-encoding:"
	quotedEquals   = "=3D=3D=3D=3D=3D=3D=3D=3D"
)

// maxSoft bounds a line that is put together from soft breaks.
const maxSoft = 8 << 10

// lines gives the lines that one line is, and what was taken back. None: the
// line goes on in the next.
func (u *unescaper) lines(l string, visit func(l, diff string)) {
	diff := ""
	u.header(l)
	if !u.quoted && strings.Contains(l, quotedEquals) {
		u.quoted = true
	}
	if u.quoted {
		was := l
		if u.broken {
			l, diff = u.soft+l, kcsan.DiffQuoted
			u.soft, u.broken = "", false
		}
		if t := strings.TrimRight(l, " \t"); strings.HasSuffix(t, "=") && softBreak(t) && len(t) < maxSoft {
			u.soft, u.broken = t[:len(t)-1], true
			return
		}
		if plain := unquote(l); plain != l && (!strings.Contains(l, title) || strings.Contains(plain, title)) {
			l = plain
		}
		if l != was {
			diff = kcsan.DiffQuoted
		}
	}
	if strings.IndexByte(l, '<') >= 0 && tag.MatchString(l) {
		u.page(l, visit)
		return
	}
	if strings.IndexByte(l, '&') >= 0 && entity.MatchString(l) {
		l, diff = unentity(l), kcsan.DiffHTML
	}
	if strings.Contains(l, hardBlank) {
		l = strings.ReplaceAll(l, hardBlank, " ")
		if diff == "" {
			diff = kcsan.DiffHardBlanks
		}
	}
	if at := strings.Index(l, title); at >= 0 && strings.Contains(l, `\n`) {
		parts := strings.Split(strings.ReplaceAll(l, `\r\n`, `\n`), `\n`)
		// A quote or the like behind the last one is no line.
		if len(parts) > 2 || len(parts[len(parts)-1]) > len("');") {
			for _, part := range parts {
				visit(strings.ReplaceAll(part, `\t`, "\t"), kcsan.DiffEscaped)
			}
			return
		}
	}
	visit(l, diff)
}

// flush gives the line whose continuation did not come.
func (u *unescaper) flush(visit func(l, diff string)) {
	if u.broken {
		l := u.soft
		u.soft, u.broken = "", false
		visit(unquote(l), kcsan.DiffQuoted)
	}
}

// header looks for the line that says how a mail is encoded, and for the next
// mail of an mbox.
func (u *unescaper) header(l string) {
	if strings.HasPrefix(l, "From ") && strings.Contains(l, "@") {
		u.quoted = false
		return
	}
	if len(l) > len(encodingHeader) && len(l) < 2*maxBracket && strings.EqualFold(l[:len(encodingHeader)], encodingHeader) {
		u.quoted = strings.EqualFold(strings.TrimSpace(l[len(encodingHeader):]), "quoted-printable")
	}
}

// softBreak reports whether the equal sign at the end of a line is one: the
// separator of a report that is not quoted-printable ends in many.
func softBreak(l string) bool {
	return !strings.HasSuffix(l, "==") || strings.HasSuffix(l, "=3D=")
}

// unquote decodes "=3D" and its like, and leaves alone what is not.
func unquote(l string) string {
	if strings.IndexByte(l, '=') < 0 {
		return l
	}
	var b strings.Builder
	for i := 0; i < len(l); i++ {
		if l[i] == '=' && i+2 < len(l) {
			hi, lo := hexDigit(l[i+1]), hexDigit(l[i+2])
			if hi >= 0 && lo >= 0 {
				b.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		b.WriteByte(l[i])
	}
	return b.String()
}

func hexDigit(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// page gives the lines of a line of HTML. What has no text at all is no line.
func (u *unescaper) page(l string, visit func(l, diff string)) {
	parts := strings.Split(lineEnd.ReplaceAllString(l, "\n"), "\n")
	if strings.Contains(l, title) && !strings.Contains(tag.ReplaceAllString(l, ""), title) {
		visit(l, "") // it is inside of a tag
	}
	for i, part := range parts {
		bare := tag.ReplaceAllString(part, "")
		if bare == "" && (i == len(parts)-1 || part != "") {
			continue
		}
		visit(unentity(bare), kcsan.DiffHTML)
	}
}

// unentity decodes entities; a hard blank is a blank.
func unentity(l string) string {
	return strings.ReplaceAll(html.UnescapeString(l), hardBlank, " ")
}
