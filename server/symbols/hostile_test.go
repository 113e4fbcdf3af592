package symbols

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// Requests of every kind, with their answers: 200 has the demo's PDB, whatever
// the spelling; all others reach no store and no upstream.
func TestHostileRequests(t *testing.T) {
	k := key(t)
	name, id := k.Name, k.ID
	var asked []string
	h := &Handler{Cache: cacheIn(t), Hosts: []string{"sym.example", "10.0.0.1", "::1"}, Instance: "me", Upstreams: []Upstream{fake(func(_ context.Context, a symstore.Key) ([]byte, error) {
		asked = append(asked, a.String())
		return pdbBytes(t), nil
	})}}
	server := httptest.NewServer(http.StripPrefix("/symbols", h)) // addresses are parsed as they are from the wire
	defer server.Close()
	plain := "/" + demo.PDBKey
	headers := func(h ...string) []string { return h }
	for _, c := range []struct {
		path   string
		header []string
		status int
	}{
		// What means the same is the same.
		{plain, nil, 200},
		{strings.ToLower(plain), nil, 200},
		{strings.ToUpper(plain), nil, 200},
		{"/ntkrnlmp%2Epdb/" + id + "/ntkrnlmp%2epdb", nil, 200},
		{"/%6e%74krnlmp.pdb/%42" + id[1:] + "/ntkrnlmp.%70db", nil, 200},
		{"//" + demo.PDBKey, nil, 200},
		{"/" + name + "//" + id + "//" + name, nil, 200},
		{plain + "?_refresh=1&upstream=https://evil.example", nil, 200},
		{plain + "?", nil, 200},
		// Decoded once, and no more than once.
		{"/ntkrnlmp%252epdb/" + id + "/ntkrnlmp%252epdb", nil, 404},
		{"////" + demo.PDBKey, nil, 404},
		{"/" + name + "%2f" + id + "%2f" + name, nil, 404},
		{"/%2e%2e/%2e%2e/etc/passwd", nil, 404},
		{"/..%2f..%2f/" + id + "/..%2f..%2f", nil, 404},
		{"/%2e%2e/" + id + "/%2e%2e", nil, 404},
		{"/../" + demo.PDBKey, nil, 404},
		{"/./" + demo.PDBKey, nil, 404},
		{plain + "/", nil, 404},
		{plain + "%00", nil, 404},
		{plain + "%0d%0aX-Evil:1", nil, 404},
		{"/" + name + "%20/" + id + "/" + name + "%20", nil, 404},
		{`/..%5c` + name + "/" + id + `/..%5c` + name, nil, 404},
		{"/%c0%ae%c0%ae/" + id + "/%c0%ae%c0%ae", nil, 404},
		{"/%EF%BC%8E.pdb/" + id + "/%EF%BC%8E.pdb", nil, 404},
		{"/a:b.pdb/" + id + "/a:b.pdb", nil, 404},
		{"/" + name + "::$DATA/" + id + "/" + name + "::$DATA", nil, 404},
		{"/~1.pdb/" + id + "/~1.pdb", nil, 404},
		// Devices of Windows.
		{"/con.pdb/" + id + "/con.pdb", nil, 404},
		{"/NUL.pdb/" + id + "/NUL.pdb", nil, 404},
		{"/com1.x.pdb/" + id + "/com1.x.pdb", nil, 404},
		{"/LPT9.pdb/" + id + "/LPT9.pdb", nil, 404},
		// What debuggers probe for, and what has no identity.
		{"/pingme.txt", nil, 404},
		{"/index2.txt", nil, 404},
		{"/000Admin/lastid.txt", nil, 404},
		{"/" + name + "/" + id + "/file.ptr", nil, 404},
		{"/" + name + "/" + id + "/ntkrnlmp.pd_", nil, 404},
		{"/msfz0/" + name, nil, 404},
		{"/" + name + "/" + id + "/other.pdb", nil, 404},
		{"/" + name + "/" + id[:32] + "/" + name, nil, 404},
		{"/" + name + "/" + id + strings.Repeat("0", 20) + "/" + name, nil, 404},
		{"/" + strings.Repeat("a", 5000) + ".pdb/" + id + "/" + strings.Repeat("a", 5000) + ".pdb", nil, 404},
		{"/", nil, 404},
		{"", nil, 404},
		// From other sites, and under other names.
		{plain, headers("Sec-Fetch-Site", "cross-site"), 404},
		{plain, headers("Sec-Fetch-Site", "same-site"), 200},
		{plain, headers("Sec-Fetch-Site", "same-origin"), 200},
		{plain, headers("Host", "evil.example"), 404},
		{plain, headers("Host", "SYM.example:8080"), 200},
		{plain, headers("Host", "10.0.0.1"), 200},
		{plain, headers("Host", "[::1]:8080"), 200},
		{plain, headers("Host", "sym.example.evil.example"), 404},
		// Through proxies, this one among them: from what it has.
		{plain, headers("Via", "1.1 other, 1.1 me"), 200},
		{plain, headers("Via", strings.Repeat("1.1 x, ", 2000)), 200},
		// Ranges.
		{plain, headers("Range", "bytes=0-0"), 206},
		{plain, headers("Range", "bytes=999999999-"), 416},
		{plain, headers("Range", "bytes=-"+strings.Repeat("9", 30)), 416},
		{plain, headers("Range", "bytes="+strings.Repeat("0-1,", 3000)+"0-1"), 200},
		{plain, headers("If-None-Match", "*"), 304},
	} {
		r, err := http.NewRequest("GET", server.URL+"/symbols", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "sym.example"
		for i := 0; i < len(c.header); i += 2 {
			r.Header.Set(c.header[i], c.header[i+1])
			if c.header[i] == "Host" {
				r.Host = c.header[i+1]
				r.Header.Del("Host")
			}
		}
		path, query, _ := strings.Cut("/symbols"+c.path, "?")
		r.URL.RawQuery, r.URL.Opaque = query, path // as it is
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatalf("%s: %v", c.path, err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(response.Body); err != nil {
			t.Errorf("%s: %v", c.path, err)
		}
		response.Body.Close()
		if response.StatusCode != c.status || c.status == 200 && !bytes.Equal(body.Bytes(), pdbBytes(t)) {
			t.Errorf("%s %.60q: %d, not %d", c.path, c.header, response.StatusCode, c.status)
		}
		if c.status == 404 && (response.Header.Get("Cache-Control") != "no-store" || !strings.Contains(body.String(), string(fault.SymbolsNotFound))) {
			t.Errorf("%s: %v %s", c.path, response.Header, &body)
		}
	}
	if len(asked) != 1 || asked[0] != demo.PDBKey {
		t.Errorf("the upstream was asked for %q", asked)
	}
	if s := h.Stats(); s.Cache.Files != 1 || s.Misses != 0 {
		t.Errorf("%+v", s)
	}
}

// One that asks for what this server itself asks for is told from what is here.
func TestLoopedRequestsAskNobody(t *testing.T) {
	h := &Handler{Instance: "me", Cache: cacheIn(t), Upstreams: []Upstream{fake(func(context.Context, symstore.Key) ([]byte, error) {
		t.Error("it was asked")
		return nil, nil
	})}}
	for i, via := range []string{"1.1 me", "HTTP/1.1 me (comment), 2 x", "1.0 a,1.1 me", "2 me"} {
		if w := ask(h, invented(i), "Via", via); w.Code != 404 || h.Stats().Misses != 0 {
			t.Errorf("%q: %d", via, w.Code)
		}
	}
}

// FuzzParsePath: what is accepted is a PDB's key, and builds one path.
func FuzzParsePath(f *testing.F) {
	for _, s := range []string{demo.PDBKey, "a%2epdb/" + strings.Repeat("1", 33) + "/a.pdb", "//", "%", "%2", "%zz", "..%2f", "con.pdb/" + strings.Repeat("1", 33) + "/con.pdb"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := http.NewRequest("GET", "http://x/"+s, nil)
		if err != nil {
			return
		}
		asked, k, err := ParsePath(r.URL)
		if err != nil {
			if !fault.Is(err, fault.SymbolsNotFound) && !fault.Is(err, fault.NoCodeView) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := symstore.ParseKey(k.String())
		if err != nil || again != k || k.Name != strings.ToLower(asked.Name) || !strings.EqualFold(asked.Name, k.Name) {
			t.Errorf("%+v, %+v, %v", asked, k, err)
		}
		if strings.ContainsAny(asked.Name+asked.ID+k.Name+k.ID, `/\%:`) || strings.HasPrefix(k.Name, ".") {
			t.Errorf("%+v, %+v", asked, k)
		}
	})
}
