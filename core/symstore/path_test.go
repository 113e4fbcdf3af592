package symstore

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"coredrop/core/fault"
)

func TestParsePath(t *testing.T) {
	const ms = MicrosoftURL
	dirs := func(s ...string) []string { return s }
	for in, want := range map[string]struct {
		elements []Element
		warnings int
	}{
		"":                               {nil, 0},
		" ; ;;":                          {nil, 0},
		`C:\syms`:                        {[]Element{{Stores: dirs(`C:\syms`)}}, 0},
		"/a; /b ":                        {[]Element{{Stores: dirs("/a")}, {Stores: dirs("/b")}}, 0},
		ms:                               {[]Element{{URL: ms}}, 0},
		ms + "/":                         {[]Element{{URL: ms}}, 0},
		"srv*" + ms:                      {[]Element{{URL: ms}}, 0},
		"srv*/a*" + ms:                   {[]Element{{Stores: dirs("/a"), URL: ms}}, 0},
		`SRV*C:\a*D:\b*HTTPS://h/`:       {[]Element{{Stores: dirs(`C:\a`, `D:\b`), URL: "https://h"}}, 0},
		"srv*/a":                         {[]Element{{Stores: dirs("/a")}}, 0},
		"srv*/a*":                        {[]Element{{Stores: dirs("/a")}}, 0},
		"srv*":                           {[]Element{{Stores: dirs(""), URL: ms}}, 0},
		"srv**":                          {[]Element{{Stores: dirs(""), URL: ms}}, 0},
		"srv**https://h/x":               {[]Element{{Stores: dirs(""), URL: "https://h/x"}}, 0},
		"srv**/b*https://h":              {[]Element{{Stores: dirs("", "/b"), URL: "https://h"}}, 0},
		"symsrv*symsrv.dll*/a*https://h": {[]Element{{Stores: dirs("/a"), URL: "https://h"}}, 0},
		"SymSrv*SymSrv.DLL*https://h":    {[]Element{{URL: "https://h"}}, 0},
		"symsrv*other.dll*/a":            {nil, 1},
		"cache*/c":                       {[]Element{{Stores: dirs("/c")}}, 0},
		"cache*":                         {[]Element{{Stores: dirs("")}}, 0},
		"cache*/c;/a;srv*/b*https://h":   {[]Element{{Stores: dirs("/c", "/a")}, {Stores: dirs("/c", "/b"), URL: "https://h"}}, 0},
		"/a;cache*/c;https://h":          {[]Element{{Stores: dirs("/a")}, {Stores: dirs("/c"), URL: "https://h"}}, 0},
		"cache*/c;/a;cache*/d;/b":        {[]Element{{Stores: dirs("/c", "/a")}, {Stores: dirs("/c", "/d", "/b")}}, 0},
		"cache*/c;/a;cache*/d":           {[]Element{{Stores: dirs("/c", "/a")}, {Stores: dirs("/c", "/d")}}, 0},
		`\\server\share`:                 {nil, 1},
		`srv*\\server\share*https://h`:   {[]Element{{URL: "https://h"}}, 1},
		`cache*\\server\share;/a`:        {[]Element{{Stores: dirs("/a")}}, 1},
		"http://h/x":                     {[]Element{{URL: "http://h/x", Plain: true}}, 0},
		`"/a b"`:                         {[]Element{{Stores: dirs("/a b")}}, 1},
		`'srv*/a*https://h'`:             {[]Element{{Stores: dirs("/a"), URL: "https://h"}}, 1},
		`"/a;/b"`:                        {[]Element{{Stores: dirs("/a")}, {Stores: dirs("/b")}}, 2},
		"ftp://h/x":                      {nil, 1},
		"file:///x":                      {nil, 1},
		"srv*/a*ftp://h":                 {[]Element{{Stores: dirs("/a")}}, 1},
		"https://":                       {nil, 1},
		"https:///x":                     {nil, 1},
		"https://u:p@h/x":                {nil, 1},
		"https://h/x?y":                  {nil, 1},
		"https://h/ x":                   {nil, 1},
		"srv*https://h*/a":               {[]Element{{URL: "https://h"}}, 1},
		"srv*https://h*https://i":        {[]Element{{URL: "https://h"}}, 1},
		"pdb*/a":                         {nil, 1},
		"/a\x00b":                        {nil, 1},
		"srv*" + strings.Repeat("/a*", 10) + "https://h": {[]Element{{Stores: strings.Split(strings.Repeat("/a*", 9)+"/a", "*"), URL: "https://h"}}, 0},
		"srv*" + strings.Repeat("/a*", 11) + "https://h": {[]Element{{Stores: strings.Split(strings.Repeat("/a*", 9)+"/a", "*"), URL: "https://h"}}, 1},
	} {
		p, warnings := ParsePath(in)
		for i := range p.Elements {
			if len(p.Elements[i].Stores) == 0 {
				p.Elements[i].Stores = nil
			}
		}
		if !reflect.DeepEqual(p.Elements, want.elements) {
			t.Errorf("%q:\n %+v instead of\n %+v", in, p.Elements, want.elements)
		}
		if len(warnings) != want.warnings {
			t.Errorf("%q: warnings %v", in, warnings)
		}
		for _, w := range warnings {
			if w.Code != fault.SymbolPath {
				t.Errorf("%q: %v", in, w)
			}
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"srv*/a*https://h", "cache*/c;/a", `\\s\s;http://h`, "srv**", "symsrv*symsrv.dll*", "cache**", "*;*", "srv*" + strings.Repeat("a*", 20)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, warnings := ParsePath(s)
		if got := fmt.Sprint(ParsePath(s)); got != fmt.Sprint(p, warnings) {
			t.Fatal("not the same twice")
		}
		for _, e := range p.Elements {
			if len(e.Stores) > maxStores || len(e.Stores) == 0 && e.URL == "" {
				t.Fatalf("%q: element %+v", s, e)
			}
			if e.URL != "" && (!strings.HasPrefix(e.URL, "https://") && !strings.HasPrefix(e.URL, "http://") || strings.ContainsAny(e.URL, " ?#\r\n*;")) {
				t.Fatalf("%q: server %q", s, e.URL)
			}
			for _, d := range e.Stores {
				if strings.HasPrefix(d, `\\`) || strings.ContainsAny(d, "\x00*;") {
					t.Fatalf("%q: store %q", s, d)
				}
			}
		}
		if len(p.Elements)+len(warnings) > 2*len(s)+1 {
			t.Fatalf("%d elements, %d warnings from %d bytes", len(p.Elements), len(warnings), len(s))
		}
	})
}
