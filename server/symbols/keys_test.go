package symbols

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/hack-pad/hackpadfs"
	"github.com/hack-pad/hackpadfs/mem"

	"coredrop/core/demo"
	"coredrop/core/fault"
	"coredrop/core/symstore"
)

// spellings are ways to write one key.
func spellings(t *testing.T) []string {
	k := key(t)
	id, age := k.ID[:32], k.ID[32:]
	return []string{
		k.String(),
		strings.ToLower(k.String()),
		"NTKRNLMP.PDB/" + k.ID + "/NTKRNLMP.PDB",
		"NtKrnlMp.pdb/" + strings.ToLower(id) + age + "/ntkrnlmp.PDB",
		k.Name + "/" + id + "0" + age + "/" + k.Name,
		k.Name + "/" + id + "0000000" + age + "/" + k.Name,
	}
}

// One file has one miss, one download and one place, however its key is written.
func TestSpellingsAreOneKey(t *testing.T) {
	for _, there := range []bool{false, true} {
		var asked []string
		dir := t.TempDir()
		h := &Handler{Cache: cacheAt(t, dir), Upstreams: []Upstream{fake(func(_ context.Context, k symstore.Key) ([]byte, error) {
			asked = append(asked, k.String())
			if !there {
				return nil, fault.New(fault.SymbolsNotFound, "")
			}
			return pdbBytes(t), nil
		})}}
		tag := ""
		for _, s := range spellings(t) {
			w := ask(h, "/"+s)
			if want := map[bool]int{true: 200, false: 404}[there]; w.Code != want {
				t.Errorf("%s: %d", s, w.Code)
			}
			if tag == "" {
				tag = w.Header().Get("ETag")
			}
			if w.Header().Get("ETag") != tag {
				t.Errorf("%s: tag %s, not %s", s, w.Header().Get("ETag"), tag)
			}
		}
		if len(asked) != 1 || asked[0] != demo.PDBKey {
			t.Errorf("asked for %q", asked)
		}
		if root := names(t, dir); there && len(root) != 1 || !there && len(root) != 0 {
			t.Errorf("the cache has %v", root)
		}
	}
}

// A store that was filled under other names has the file all the same.
func TestStoreInMixedCase(t *testing.T) {
	k := key(t)
	for _, dir := range []string{"NtKrnlMp.pdb", "NTKRNLMP.PDB", "NT/ntkrnlmp.pdb", "nt/NtKrnlMp.pdb"} {
		files, err := mem.NewFS()
		if err != nil {
			t.Fatal(err)
		}
		name := dir[strings.LastIndexByte(dir, '/')+1:]
		if err := hackpadfs.MkdirAll(files, dir+"/"+strings.ToLower(k.ID), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := hackpadfs.WriteFullFile(files, dir+"/"+strings.ToLower(k.ID)+"/"+name, pdbBytes(t), 0o644); err != nil {
			t.Fatal(err)
		}
		if name != dir {
			if err := hackpadfs.WriteFullFile(files, "index2.txt", nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		h := &Handler{Stores: []Store{symstore.NewFS(files)}}
		for _, s := range spellings(t) {
			if w := ask(h, "/"+s); w.Code != 200 || !bytes.Equal(w.Body.Bytes(), pdbBytes(t)) {
				t.Errorf("%s, asked as %s: %d", dir, s, w.Code)
			}
		}
	}
}
