package symstore

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/pdb"
)

// Verify checks that a file is what its key says: a PDB with the key's GUID and
// age, or an image with the key's time stamp and size. It fails with a
// *fault.Error: symbols-not-a-pdb, symbols-compressed, pdb-damaged,
// symbols-mismatch, symbols-unreadable.
func Verify(f File, k Key) error {
	if !k.IsPDB() {
		return verifyImage(f, k)
	}
	p, err := pdb.Open(f, f.Size())
	if err != nil {
		return err
	}
	guid, age, ok := k.GUIDAge()
	if !ok {
		return fault.New(fault.SymbolsMismatch, "the key %s has no GUID, but this PDB has", k.ID)
	}
	if !p.Matches(guid, age) {
		return mismatch(k, guidText(p.GUID())+fmt.Sprintf("%X", p.Age()))
	}
	return nil
}

func mismatch(k Key, got string) error {
	return fault.New(fault.SymbolsMismatch, "this %s belongs to another build: %s is wanted, this is %s", k.Name, k.ID, got)
}

// Offsets of what identifies an image (Microsoft's "PE Format" document).
const (
	imageMagic  = "MZ"
	imageHead   = 4096
	imageLfanew = 0x3c // u32: where the NT headers are
	imageStamp  = 0x08 // from there: u32
	imageSize   = 0x50 // u32
	imageNeeded = 0x54
)

func verifyImage(f File, k Key) error {
	head := make([]byte, min(imageHead, max(f.Size(), 0)))
	if n, err := f.ReadAt(head, 0); n < len(head) {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return unreadable(err, "%s could not be read", k)
	}
	if strings.HasPrefix(string(head), pdb.CabMagic) {
		return fault.New(fault.SymbolsCompressed, "")
	}
	notImage := fault.New(fault.SymbolsNotAPDB, "this %s is not a Windows image", k.Name)
	if len(head) < imageLfanew+4 || string(head[:2]) != imageMagic {
		return notImage
	}
	le := binary.LittleEndian
	at := int64(le.Uint32(head[imageLfanew:]))
	if at+imageNeeded > int64(len(head)) || string(head[at:at+4]) != "PE\x00\x00" {
		return notImage
	}
	if got := fmt.Sprintf("%08X%x", le.Uint32(head[at+imageStamp:]), le.Uint32(head[at+imageSize:])); !strings.EqualFold(got, k.ID) {
		return mismatch(k, got)
	}
	return nil
}

// Verified opens a store's file for a key and verifies it. A file that is not
// what the key says is closed again.
func Verified(ctx context.Context, s Store, k Key) (File, error) {
	f, err := s.Get(ctx, k)
	if err != nil {
		return nil, err
	}
	if err := Verify(f, k); err != nil {
		f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}
