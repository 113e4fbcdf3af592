package summary

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/invopop/jsonschema"
)

var update = flag.Bool("update", false, "rewrite summary.schema.json")

const schemaFile = "summary.schema.json"

// TestSchema holds the published schema to the structs: go test ./core/summary
// -update rewrites it, npm run types makes web/summary.d.ts of it.
func TestSchema(t *testing.T) {
	if runtime.GOOS == "js" {
		t.Skip("reads the source tree")
	}
	r := &jsonschema.Reflector{Anonymous: true}
	for _, dir := range []string{".", "../fault"} {
		if err := r.AddGoComments("coredrop/core/summary", dir); err != nil {
			t.Fatal(err)
		}
	}
	s := r.Reflect(&Summary{})
	s.Title = "Summary"
	s.ID = ""
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(s); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(want, b.Bytes()) {
		t.Errorf("%s is not what the structs say (%v): go test ./core/summary -update", schemaFile, err)
	}
}

// TestEveryFieldIsPlain: every field has a name in JSON, and what may be null
// says so: a reader of the schema must not be surprised.
func TestEveryFieldIsPlain(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" || name != strings.ToLower(name) {
				t.Errorf("%s.%s is called %q", typ, f.Name, name)
			}
			if null := strings.Contains(f.Tag.Get("jsonschema"), "nullable"); f.Type.Kind() == reflect.Pointer && null == (options == "omitempty") {
				t.Errorf("%s.%s: a pointer is left out or null, and says which", typ, f.Name)
			}
			look(f.Type)
		}
	}
	look(reflect.TypeFor[Summary]())
	if len(seen) < 25 {
		t.Errorf("only %d types", len(seen))
	}
}
