package main

import (
	"bufio"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// operateDir has the files for those who leave the server running. Each is
// checked by the program that it is for; where that is missing the test says so.
var operateDir = filepath.Join("..", "docs", "operate")

// tool gives a program's path.
func tool(t *testing.T, name string) string {
	t.Helper()
	// Debian has servers' programs where only root's path leads.
	for _, dir := range []string{"", "/usr/sbin/", "/sbin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	t.Skipf("there is no %s here", name)
	return ""
}

func operateFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(operateDir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// operateCopies writes files changed for this machine to a new directory.
func operateCopies(t *testing.T, change *strings.Replacer, files ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(change.Replace(operateFile(t, name))), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestUnitsAreValid(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	self, err := os.Executable() // stands for a program that is not installed here
	if err != nil {
		t.Fatal(err)
	}
	units := []string{"coredrop.service", "coredrop.socket", "coredrop-admin.socket"}
	dir := operateCopies(t, strings.NewReplacer("/usr/local/bin/coredrop", self), units...)
	c := exec.Command(analyze, "verify", "--man=no", "--recursive-errors=yes")
	for _, u := range units {
		c.Args = append(c.Args, filepath.Join(dir, u))
	}
	c.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":") // then the system's
	// It warns of what it does not know, and exits with 0.
	if out, err := c.CombinedOutput(); err != nil || len(strings.TrimSpace(string(out))) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

func TestNginxConfigurationIsValid(t *testing.T) {
	nginx := tool(t, "nginx")
	cert := t.TempDir()
	certFile, keyFile := filepath.Join(cert, "c"), filepath.Join(cert, "k")
	writeCertificate(t, "symbols.example.com", certFile, keyFile)
	dir := operateCopies(t, strings.NewReplacer("/etc/ssl/private/symbols.example.com.crt", certFile, "/etc/ssl/private/symbols.example.com.key", keyFile), "nginx.conf")
	main := filepath.Join(dir, "main.conf")
	around := "error_log stderr;\npid " + filepath.Join(dir, "pid") + ";\nevents {}\nhttp {\naccess_log off;\ninclude " + filepath.Join(dir, "nginx.conf") + ";\n}\n"
	if err := os.WriteFile(main, []byte(around), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(nginx, "-t", "-p", dir, "-c", main).CombinedOutput(); err != nil || strings.Contains(string(out), "[warn]") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestCaddyfileIsValid(t *testing.T) {
	caddy := tool(t, "caddy")
	c := exec.Command(caddy, "validate", "--adapter", "caddyfile", "--config", filepath.Join(operateDir, "Caddyfile"))
	home := t.TempDir()
	c.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "Valid configuration") {
		t.Errorf("%v: %s", err, out)
	}
}

// Every command line of the files and of docs/operate.md has flags that serve has.
func TestOperateFlagsExist(t *testing.T) {
	known := map[string]bool{}
	var f serveFlags
	set := flag.NewFlagSet("serve", flag.ContinueOnError)
	f.define(set)
	set.VisitAll(func(x *flag.Flag) { known[x.Name] = true })
	image := operateImage(t)
	lines := []string{strings.Join(append(image.entrypoint, image.cmd...), " ")}
	guide, err := os.ReadFile(filepath.Join("..", "docs", "operate.md"))
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewScanner(io.MultiReader(strings.NewReader(operateFile(t, "coredrop.service")), strings.NewReader("\n"), strings.NewReader(string(guide))))
	for r.Scan() {
		lines = append(lines, r.Text())
	}
	flags := regexp.MustCompile(`(?:^|[ \x60])-([a-z][a-z0-9-]+)`)
	found := 0
	for _, line := range lines {
		_, args, ok := strings.Cut(line, "coredrop serve ")
		if !ok {
			continue
		}
		for _, m := range flags.FindAllStringSubmatch(" "+args, -1) {
			found++
			if !known[m[1]] {
				t.Errorf("serve has no -%s: %s", m[1], line)
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d flags are found", found)
	}
}
