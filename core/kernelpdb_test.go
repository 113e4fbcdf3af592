package core

import (
	"bytes"
	"io"
	"testing"

	"coredrop/core/demo"
	"coredrop/core/dmp"
	"coredrop/core/fault"
	"coredrop/core/source"
	"coredrop/core/symstore"
)

// A dump says which PDB its kernel needs, also one with what Windows' drivers
// write behind the pages; a part of one says so or says why not.
func TestKernelPDBOfADump(t *testing.T) {
	for _, example := range demo.All {
		guest, err := example.Core()
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{dmp.TypeFull, dmp.TypeBitmap, dmp.TypeKernel} {
			im, _, err := Convert(t.Context(), source.Source{ReaderAt: bytes.NewReader(guest), Size: int64(len(guest))}, Options{Type: kind})
			if err != nil {
				t.Fatal(kind, err)
			}
			dump, err := io.ReadAll(io.NewSectionReader(im, 0, im.Size()))
			if err != nil {
				t.Fatal(kind, err)
			}
			for name, file := range map[string][]byte{"dump": dump, "dump with more": append(bytes.Clone(dump), "DUMPBLOB"...)} {
				cv, err := dmp.KernelPDB(bytes.NewReader(file), int64(len(file)))
				if err != nil {
					t.Errorf("%s %s: %v", kind, name, err)
					continue
				}
				if key, err := symstore.PDBKey(cv.Name, cv.GUID, cv.Age); err != nil || key.String() != example.PDBKey {
					t.Errorf("%s %s: %v, %v", kind, name, key, err)
				}
			}
			for n := 0; n < len(dump); n += 1 + len(dump)/97 {
				if cv, err := dmp.KernelPDB(bytes.NewReader(dump[:n]), int64(n)); err == nil || !fault.Is(err, fault.NoCodeView) {
					t.Errorf("%s cut to %d: %v, %v", kind, n, cv, err)
				}
			}
		}
	}
}
