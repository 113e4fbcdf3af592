//go:build js && wasm

package main

import (
	"context"

	"github.com/hack-pad/hackpadfs/indexeddb"

	"coredrop/core/symstore"
)

// storeBlock is the size of the pieces a PDB is kept in: the browser's database
// gives whole records only, so a PDB in one record would be loaded whole.
const storeBlock = 256 << 10

// store is the browser's symbol cache.
type store interface {
	symstore.Store
	symstore.Inventory
}

// openStore opens the browser's symbol cache. It fails where the browser keeps
// no database (some private windows): the work goes on without a cache then.
func openStore(ctx context.Context) (store, error) {
	fs, err := indexeddb.NewFS(ctx, "coredrop-symbols", indexeddb.Options{})
	if err != nil {
		return nil, err
	}
	return symstore.NewFS(fs, symstore.Blocks(storeBlock)).(store), nil
}
