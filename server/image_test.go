package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/demo"
)

// containerImage is what the last stage of the Containerfile makes.
type containerImage struct {
	copies          [][2]string // from, to
	env             []string
	user            string
	entrypoint, cmd []string
}

// operateImage reads the Containerfile, of which it knows what is in it.
func operateImage(t *testing.T) (image containerImage) {
	t.Helper()
	list := func(text string) (l []string) {
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return l
	}
	_, last, found := strings.Cut(operateFile(t, "Containerfile"), "\nFROM scratch\n")
	if !found {
		t.Fatal("the image is not made from scratch")
	}
	for line := range strings.Lines(last) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "COPY":
			words := strings.Fields(rest)
			image.copies = append(image.copies, [2]string{words[len(words)-2], words[len(words)-1]})
		case "ENV":
			image.env = append(image.env, rest)
		case "USER":
			image.user = rest
		case "ENTRYPOINT":
			image.entrypoint = list(rest)
		case "CMD":
			image.cmd = list(rest)
		case "VOLUME", "EXPOSE", "STOPSIGNAL":
		default:
			t.Errorf("the test does not know %s", word)
		}
	}
	return image
}

// The image by its own means: its files in an empty root, its user, its command.
// There it serves, verifies an upstream by the roots of the image, and keeps what
// it fetched.
func TestImageRunsInAnEmptyRoot(t *testing.T) {
	chroot := tool(t, "chroot")
	if os.Geteuid() != 0 {
		t.Skip("an empty root takes root")
	}
	if testing.Short() {
		t.Skip("it builds the program")
	}
	pdb, err := demo.PDB()
	if err != nil {
		t.Fatal(err)
	}
	up := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(pdb) }))
	defer up.Close()
	image := operateImage(t)
	// Not below t.TempDir, which other users cannot enter.
	root, err := os.MkdirTemp("", "coredrop-image-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	uid, gid, _ := strings.Cut(image.user, ":")
	for _, c := range image.copies {
		to := filepath.Join(root, c[1])
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch c[0] {
		case "build/coredrop":
			build := exec.Command("go", "build", "-o", to, ".")
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			var out []byte
			if out, err = build.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		case "/etc/ssl/certs/ca-certificates.crt":
			roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
			err = os.WriteFile(to, roots, 0o644)
		case "/cache":
			if err = os.Mkdir(to, 0o755); err == nil {
				err = exec.Command("chown", uid+":"+gid, to).Run()
			}
		default:
			t.Fatalf("the test does not know %s", c[0])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(chroot, "--userspec="+image.user, "--groups=", root)
	c.Args = append(append(c.Args, image.entrypoint...), image.cmd...)
	c.Args = append(c.Args, "-addr", "127.0.0.1:0", "-upstream", up.URL) // of flags given twice the last one counts
	c.Env = image.env
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	c.Stderr = &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, _ := out.Read(line)
	_, url, found := strings.Cut(strings.TrimSpace(string(line[:n])), "serving on ")
	if !found {
		c.Wait()
		t.Fatalf("it says %q, %s", line[:n], &log)
	}
	go io.Copy(io.Discard, out)
	status, body := fetch(t, url+"symbols/"+demo.PDBKey)
	c.Process.Signal(os.Interrupt)
	c.Wait()
	if status != http.StatusOK || !bytes.Equal(body, pdb) {
		t.Errorf("%d, %d bytes; %s", status, len(body), &log)
	}
	if kept, err := os.ReadFile(filepath.Join(root, "cache", filepath.FromSlash(demo.PDBKey))); err != nil || !bytes.Equal(kept, pdb) {
		t.Errorf("kept: %d bytes, %v", len(kept), err)
	}
}
