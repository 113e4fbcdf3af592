package bucket_test

import (
	"crypto/md5"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"coredrop/core/fault"
	"coredrop/server/bucket"
	"coredrop/server/bucket/buckettest"
)

// profile writes a credentials file with two profiles, of which the other one is of a
// user.
func profile(t *testing.T, path, user string) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n\n[other]\naws_access_key_id = %s\naws_secret_access_key = %s\n", user, buckettest.SecretKey)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// withoutKeys takes the keys out of the environment.
func withoutKeys(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
}

// look reads the one object there is.
func look(t *testing.T, c *bucket.Store, s *buckettest.Store) error {
	t.Helper()
	o, err := c.Stat(t.Context(), bucket.Name{Bucket: s.Bucket, Key: "vm.core"})
	if err != nil {
		return err
	}
	body, err := o.Range(t.Context(), 0, 4)
	if err != nil {
		return err
	}
	defer body.Close()
	p, err := io.ReadAll(body)
	if err == nil && string(p) != "core" {
		t.Errorf("%q", p)
	}
	return err
}

// TestCredentials: where the usual tools look, in their order; none: unsigned.
func TestCredentials(t *testing.T) {
	s := buckettest.Start(t)
	s.Put(t, "vm.core", strings.NewReader("core"), 4)
	path := filepath.Join(t.TempDir(), "credentials")
	profile(t, path, buckettest.AccessKey)
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"AccessKeyId": %q, "SecretAccessKey": %q, "Expiration": %q, "Code": "Success"}`, buckettest.AccessKey, buckettest.SecretKey, time.Now().Add(time.Hour).Format(time.RFC3339))
	}))
	defer role.Close()
	for _, row := range []struct {
		name     string
		set      map[string]string
		unsigned bool
	}{
		{"environment", map[string]string{"AWS_ACCESS_KEY_ID": buckettest.AccessKey, "AWS_SECRET_ACCESS_KEY": buckettest.SecretKey}, false},
		{"profile", map[string]string{"AWS_SHARED_CREDENTIALS_FILE": path, "AWS_PROFILE": "other"}, false},
		{"role of a container", map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": role.URL}, false},
		{"none", nil, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			withoutKeys(t)
			for name, value := range row.set {
				t.Setenv(name, value)
			}
			c, err := bucket.Open(bucket.Options{Endpoint: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			signed := false
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				signed = r.Header.Get("Authorization") != ""
				return buckettest.Fault{}
			})
			defer s.Reset()
			err = look(t, c, s)
			if signed == row.unsigned {
				t.Errorf("signed: %v", signed)
			}
			if row.unsigned {
				wantCode(t, err, fault.StoreDenied, "s3://cores/vm.core", "without credentials")
				for _, err := range c.List(t.Context(), bucket.Name{Bucket: s.Bucket}) {
					wantCode(t, err, fault.StoreDenied, "s3://cores/", "without credentials")
				}
			} else if err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEndpointOfTheEnvironment: as other tools have it; what is named goes first.
func TestEndpointOfTheEnvironment(t *testing.T) {
	s := buckettest.Start(t)
	s.Put(t, "vm.core", strings.NewReader("core"), 4)
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, s.URL)
			c, err := bucket.Open(bucket.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := look(t, c, s); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCredentialsThatExpire: new ones are taken where they came from, and nothing is
// noticed; where there are none, that is said.
func TestCredentialsThatExpire(t *testing.T) {
	s := buckettest.Start(t)
	s.Put(t, "vm.core", strings.NewReader("core"), 4)
	for name, renewed := range map[string]bool{"renewed": true, "not renewed": false} {
		t.Run(name, func(t *testing.T) {
			withoutKeys(t)
			path := filepath.Join(t.TempDir(), "credentials")
			profile(t, path, "before")
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
			t.Setenv("AWS_PROFILE", "other")
			c, err := bucket.Open(bucket.Options{Endpoint: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			s.Reset()
			refused := 0
			etag := fmt.Sprintf(`"%x"`, md5.Sum([]byte("core")))
			s.Act(func(_ int, r *http.Request) buckettest.Fault {
				switch {
				case !strings.Contains(r.Header.Get("Authorization"), "=before/"):
					return buckettest.Fault{}
				case r.Method == http.MethodHead: // then they still hold
					return buckettest.Fault{Status: http.StatusOK, Header: http.Header{"Content-Length": {"4"}, "Etag": {etag}, "Last-Modified": {time.Now().UTC().Format(http.TimeFormat)}}}
				}
				refused++
				if renewed {
					profile(t, path, buckettest.AccessKey)
				}
				return buckettest.Fault{Status: http.StatusBadRequest, Code: "ExpiredToken"}
			})
			defer s.Reset()
			err = look(t, c, s)
			if refused == 0 {
				t.Error("nothing was refused")
			}
			if renewed && err != nil {
				t.Error(err)
			}
			if !renewed {
				wantCode(t, err, fault.StoreDenied, "expired")
			}
		})
	}
}

// TestCredentialsThatExpireBeforeALook: a HEAD that is refused has no text to say why.
func TestCredentialsThatExpireBeforeALook(t *testing.T) {
	s := buckettest.Start(t)
	s.Put(t, "vm.core", strings.NewReader("core"), 4)
	withoutKeys(t)
	path := filepath.Join(t.TempDir(), "credentials")
	profile(t, path, "before")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
	t.Setenv("AWS_PROFILE", "other")
	c, err := bucket.Open(bucket.Options{Endpoint: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	s.Act(func(_ int, r *http.Request) buckettest.Fault {
		if !strings.Contains(r.Header.Get("Authorization"), "=before/") {
			return buckettest.Fault{}
		}
		profile(t, path, buckettest.AccessKey)
		return buckettest.Fault{Status: http.StatusBadRequest, Code: "ExpiredToken"}
	})
	if err := look(t, c, s); err != nil {
		t.Error(err)
	}
}
