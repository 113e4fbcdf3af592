package main

import (
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"coredrop/server/fleet"
)

var fleetDir = filepath.Join("..", "docs", "fleet")

func fleetFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(fleetDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// container is what a manifest runs.
type container struct {
	Command []string
	Env     []struct{ Name, Value string }
}

// containers collects them from wherever they are in a manifest.
func containers(node *yaml.Node) (list []container) {
	for i, n := range node.Content {
		if node.Kind == yaml.MappingNode && i%2 == 0 && n.Value == "containers" {
			var some []container
			if node.Content[i+1].Decode(&some) == nil {
				list = append(list, some...)
			}
		}
		list = append(list, containers(n)...)
	}
	return list
}

// TestFleetManifests: each manifest can be read, and the command in it does what it is
// there for.
func TestFleetManifests(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(fleetDir, "*.yaml"))
	if err != nil || len(files) < 3 {
		t.Fatalf("%q, %v", files, err)
	}
	core := guestFile(t, 12<<20)
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			d := yaml.NewDecoder(strings.NewReader(string(fleetFile(t, filepath.Base(path)))))
			found := 0
			for {
				var document yaml.Node
				if err := d.Decode(&document); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				for _, c := range containers(&document) {
					found++
					s := objectStore(t)
					put(t, s, "in/vm.core", core)
					for _, e := range c.Env {
						if e.Name != "AWS_REGION" { // the test's store is in another one
							t.Setenv(e.Name, e.Value)
						}
					}
					if len(c.Command) == 0 || c.Command[0] != "/coredrop" {
						t.Fatalf("it runs %q", c.Command)
					}
					var args []string
					for _, a := range c.Command[1:] {
						args = append(args, strings.Replace(a, "BUCKET", s.Bucket, 1))
					}
					got := commanded(t.Context(), args...)
					var r fleet.Result
					if err := json.Unmarshal([]byte(got.out), &r); got.code != exitDone || err != nil || r.Outcome != fleet.Converted || s.Get(t, "out/vm.dmp") == nil {
						t.Errorf("%q: %+v, %v", args, got, err)
					}
				}
			}
			if found != 1 {
				t.Errorf("%d containers", found)
			}
		})
	}
}

// TestFleetPolicy: the rights that the policy gives are those that a run asks for, no
// more and no less, on each of the two prefixes and the bucket.
func TestFleetPolicy(t *testing.T) {
	var policy struct {
		Statement []struct {
			Action   []string
			Resource string
		}
	}
	if err := json.Unmarshal(fleetFile(t, "policy.json"), &policy); err != nil {
		t.Fatal(err)
	}
	rights := map[string]string{ // by request: Amazon S3 User Guide, "Required permissions for Amazon S3 API operations"
		"GetObject": "s3:GetObject", "HeadObject": "s3:GetObject",
		"CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "UploadPartCopy": "s3:PutObject",
		"CompleteMultipartUpload": "s3:PutObject", "PutObject": "s3:PutObject",
		"AbortMultipartUpload": "s3:AbortMultipartUpload", "ListParts": "s3:ListMultipartUploadParts",
		"ListObjects": "s3:ListBucket", "ListMultipartUploads": "s3:ListBucketMultipartUploads",
	}
	s := objectStore(t)
	core := guestFile(t, 12<<20)
	put(t, s, "in/vm.core", core)
	put(t, s, "in/small.core", demoCoreFile(t))
	s.Reset()
	// What a run does that converts, one of a small dump, and one that is cancelled.
	for _, args := range [][]string{
		{"convert", "-each", "s3://cores/in/", "s3://cores/out/"},
		{"convert", "-each", "-type", "triage", "s3://cores/in/", "s3://cores/out/triage/"},
	} {
		if got := commanded(t.Context(), args...); got.code != exitDone {
			t.Fatalf("%+v", got)
		}
	}
	interruptedConversion(t, s)
	asked := map[string]bool{}
	for _, r := range s.Asked() {
		name, key, _ := strings.Cut(r, " ")
		right, ok := rights[name]
		if !ok {
			t.Errorf("there is no right for %s", name)
		}
		where := "BUCKET"
		if dir, _, ok := strings.Cut(key, "/"); ok && key != "" {
			where += "/" + dir + "/*"
		}
		asked[right+" "+where] = true
		if name == "UploadPartCopy" {
			asked["s3:GetObject BUCKET/in/*"] = true
		}
	}
	given := map[string]bool{}
	for _, st := range policy.Statement {
		for _, a := range st.Action {
			given[a+" "+strings.TrimPrefix(st.Resource, "arn:aws:s3:::")] = true
		}
	}
	for right := range asked {
		if !given[right] {
			t.Errorf("the policy lacks %s", right)
		}
	}
	for right := range given {
		if !asked[right] {
			t.Errorf("nobody asks for %s", right)
		}
	}
}

// TestFleetGuide: the command lines of docs/fleet.md have flags that there are, and its
// table the outcomes.
func TestFleetGuide(t *testing.T) {
	guide, err := os.ReadFile(filepath.Join("..", "docs", "fleet.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	var o convertFlags
	o.set().VisitAll(func(f *flag.Flag) { known[f.Name] = true })
	found := 0
	for _, m := range regexp.MustCompile("(?m)`-([a-z][a-z0-9-]*)|^coredrop convert -([a-z][a-z0-9-]*)").FindAllStringSubmatch(string(guide), -1) {
		if name := m[1] + m[2]; !known[name] {
			t.Errorf("convert has no -%s", name)
		}
		found++
	}
	if found < 5 {
		t.Errorf("only %d flags are found", found)
	}
	var outcomes []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\|").FindAllStringSubmatch(string(guide), -1) {
		outcomes = append(outcomes, m[1])
	}
	if want := []string{string(fleet.Converted), string(fleet.Exists), string(fleet.Refused), string(fleet.Failed)}; !slices.Equal(outcomes, want) {
		t.Errorf("%q, want %q", outcomes, want)
	}
}
