package main

import (
	"crypto/sha1"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdx/v2/v2_3"
)

const noAssertion = "NOASSERTION"

// part is a thing of somebody else's that is in what is released.
type part struct{ name, version, purl string }

// materials writes the list of what is in the release, as SPDX 2.3: every file
// with its sums, every Go module that a binary was really linked with (as the
// binary says it), the Go tree itself, and the page's package of npm.
func (r *release) materials() error {
	parts, err := r.parts()
	if err != nil {
		return err
	}
	top := common.ElementID("Package-coredrop")
	doc := &v2_3.Document{
		SPDXVersion: v2_3.Version, DataLicense: v2_3.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName:      "coredrop-" + r.number(),
		DocumentNamespace: "https://spdx.org/spdxdocs/coredrop-" + r.number() + "-" + r.commit,
		CreationInfo: &v2_3.CreationInfo{
			Created:  r.time.Format("2006-01-02T15:04:05Z"),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "coredrop-release"}},
		},
	}
	own := &v2_3.Package{
		PackageName: "coredrop", PackageSPDXIdentifier: top, PackageVersion: r.number(),
		PackageDownloadLocation: noAssertion, FilesAnalyzed: true, IsFilesAnalyzedTagPresent: true,
		PackageLicenseConcluded: "Apache-2.0", PackageLicenseDeclared: "Apache-2.0", PackageLicenseInfoFromFiles: []string{noAssertion},
		PackageCopyrightText: noAssertion,
	}
	doc.Packages = append(doc.Packages, own)
	doc.Relationships = append(doc.Relationships, relation("DOCUMENT", "DESCRIBES", top))
	if own.PackageVerificationCode, err = r.files(doc, top); err != nil {
		return err
	}
	for _, p := range parts {
		id := common.ElementID("Package-" + plain(p.name+"-"+p.version))
		doc.Packages = append(doc.Packages, &v2_3.Package{
			PackageName: p.name, PackageSPDXIdentifier: id, PackageVersion: p.version,
			PackageDownloadLocation: noAssertion, IsFilesAnalyzedTagPresent: true,
			PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
			PackageComment:            "its licence is in NOTICE",
			PackageExternalReferences: []*v2_3.PackageExternalReference{{Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: p.purl}},
		})
		doc.Relationships = append(doc.Relationships, relation(top, "DEPENDS_ON", id))
	}
	return create(r.file(".spdx.json"), func(w io.Writer) error { return spdxjson.Write(doc, w, spdxjson.Indent("  ")) })
}

func relation(a common.ElementID, is string, b common.ElementID) *v2_3.Relationship {
	return &v2_3.Relationship{RefA: common.DocElementID{ElementRefID: a}, Relationship: is, RefB: common.DocElementID{ElementRefID: b}}
}

// files adds what is released. The code is the one of SPDX 2.3, 7.9: the SHA-1 of
// the sorted SHA-1s of all files.
func (r *release) files(doc *v2_3.Document, top common.ElementID) (*common.PackageVerificationCode, error) {
	names, err := r.released()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return nil, err
		}
		one, two := sha1.Sum(data), sha256.Sum256(data)
		all = append(all, hex.EncodeToString(one[:]))
		id := common.ElementID("File-" + plain(name))
		doc.Files = append(doc.Files, &v2_3.File{
			FileName: "./" + name, FileSPDXIdentifier: id, FileTypes: []string{"ARCHIVE"},
			Checksums: []common.Checksum{
				{Algorithm: common.SHA1, Value: hex.EncodeToString(one[:])},
				{Algorithm: common.SHA256, Value: hex.EncodeToString(two[:])},
			},
			LicenseConcluded: noAssertion, LicenseInfoInFiles: []string{noAssertion}, FileCopyrightText: noAssertion,
		})
		doc.Relationships = append(doc.Relationships, relation(top, "CONTAINS", id))
	}
	slices.Sort(all)
	code := sha1.Sum([]byte(strings.Join(all, "")))
	return &common.PackageVerificationCode{Value: hex.EncodeToString(code[:])}, nil
}

// parts reads from the binaries and from npm's lock what they are made of.
func (r *release) parts() ([]part, error) {
	seen := map[part]bool{}
	for _, name := range r.binaries {
		info, err := buildinfo.ReadFile(name)
		if err != nil {
			return nil, err
		}
		goVersion := strings.TrimPrefix(info.GoVersion, "go")
		seen[part{"go", goVersion, "pkg:generic/go@" + goVersion}] = true
		for _, m := range info.Deps {
			if m.Replace != nil {
				m = m.Replace
			}
			seen[part{m.Path, m.Version, "pkg:golang/" + m.Path + "@" + m.Version}] = true
		}
	}
	lock, err := os.ReadFile(filepath.Join(r.root, "package-lock.json"))
	if err != nil {
		return nil, err
	}
	var npm struct {
		Packages map[string]struct {
			Version string `json:"version"`
			Dev     bool   `json:"dev"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(lock, &npm); err != nil {
		return nil, err
	}
	for path, p := range npm.Packages {
		if name, ok := strings.CutPrefix(path, "node_modules/"); ok && !p.Dev {
			seen[part{name, p.Version, "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + p.Version}] = true
		}
	}
	var list []part
	for p := range seen {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b part) int { return strings.Compare(a.purl, b.purl) })
	if len(list) < 5 {
		return nil, fmt.Errorf("only %d parts were found", len(list))
	}
	return list, nil
}

// plain makes an identifier of SPDX: letters, digits, points and dashes.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-' {
			return c
		}
		return '-'
	}, s)
}
