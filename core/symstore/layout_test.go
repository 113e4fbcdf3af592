package symstore_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"coredrop/core/symstore"
	"coredrop/core/symstore/storetest"
)

func TestLayouts(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	lower := strings.ToLower(k.ID)
	mixed := k.ID[:32] + strings.ToLower(k.ID[32:]) // as symsrv.dll writes it
	for name, path := range map[string]string{
		"upper":          k.Name + "/" + k.ID + "/" + k.Name,
		"lower":          k.Name + "/" + lower + "/" + k.Name,
		"mixed":          k.Name + "/" + mixed + "/" + k.Name,
		"two tiers":      "nt/" + k.Name + "/" + k.ID + "/" + k.Name,
		"two, lower":     "nt/" + k.Name + "/" + lower + "/" + k.Name,
		"mixed the file": k.Name + "/" + lower + "/NTKRNLMP.pdb",
		"mixed the name": "NtKrnlMp.pdb/" + k.ID + "/NtKrnlMp.pdb",
		"mixed the tier": "Nt/NtKrnlMp.pdb/" + k.ID + "/ntkrnlmp.PDB",
		"upper the tier": "NT/" + k.Name + "/" + k.ID + "/" + k.Name,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if path[2] == '/' {
				write(t, filepath.Join(dir, "index2.txt"), nil)
			}
			write(t, filepath.Join(dir, filepath.FromSlash(path)), data)
			asked := k
			for _, asked.Name = range []string{k.Name, "NTKRNLMP.pdb"} {
				f, err := symstore.NewFS(dirFS(t, dir)).Get(context.Background(), asked)
				if err != nil {
					t.Fatalf("asked for %s: %v", asked, err)
				}
				if f.Size() != int64(len(data)) {
					t.Error(f.Size())
				}
				f.Close()
			}
		})
	}
}

// Two directories that differ in case are two chances.
func TestLayoutsInSeveralCases(t *testing.T) {
	k, data := storetest.PDB(1, 100)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "NTKRNLMP.PDB", "0"+k.ID[1:], k.Name), nil)
	write(t, filepath.Join(dir, "NtKrnlMp.pdb", k.ID, k.Name), data)
	f, err := symstore.NewFS(dirFS(t, dir)).Get(context.Background(), k)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
