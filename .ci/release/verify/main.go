// Command verify reads the SPDX list of a release with SPDX's own library and holds
// it against the folder that it describes: the form, every file's sums, the code
// over all of them, and that nothing is there of which it does not speak.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	"github.com/spdx/tools-golang/spdxlib"
	"github.com/spdx/tools-golang/utils"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: verify DIRECTORY")
		os.Exit(2)
	}
	if err := verify(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(1)
	}
}

func verify(dir string) error {
	list, err := filepath.Glob(filepath.Join(dir, "*.spdx.json"))
	if err != nil || len(list) != 1 {
		return fmt.Errorf("%s has %d lists (%v)", dir, len(list), err)
	}
	f, err := os.Open(list[0])
	if err != nil {
		return err
	}
	defer f.Close() // only read
	doc, err := json.Read(f)
	if err != nil {
		return err
	}
	if err := spdxlib.ValidateDocument(doc); err != nil {
		return err
	}
	known := map[string]bool{filepath.Base(list[0]): true, "SHA256SUMS": true} // made after it, or of it
	for _, file := range doc.Files {
		name := strings.TrimPrefix(file.FileName, "./")
		one, two, _, err := utils.GetHashesForFilePath(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		for _, sum := range file.Checksums {
			if sum.Value != map[common.ChecksumAlgorithm]string{common.SHA1: one, common.SHA256: two}[sum.Algorithm] {
				return fmt.Errorf("%s has another %s", name, sum.Algorithm)
			}
		}
		known[name] = true
	}
	there, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range there {
		if !known[e.Name()] {
			return fmt.Errorf("the list does not have %s", e.Name())
		}
	}
	described, err := spdxlib.GetDescribedPackageIDs(doc)
	if err != nil || len(described) != 1 {
		return fmt.Errorf("it describes %v (%v)", described, err)
	}
	for _, p := range doc.Packages {
		if p.PackageSPDXIdentifier != described[0] {
			continue
		}
		code, err := utils.GetVerificationCode(doc.Files, "")
		if err != nil {
			return err
		}
		if p.PackageVerificationCode == nil || code.Value != p.PackageVerificationCode.Value {
			return fmt.Errorf("the code over all files is %s", code.Value)
		}
	}
	fmt.Printf("%d files and %d parts\n", len(doc.Files), len(doc.Packages)-1)
	return nil
}
