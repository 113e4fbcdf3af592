//go:build !(js && wasm)

// Command wasm is the boundary between a browser's worker and core; it is built
// with GOOS=js GOARCH=wasm. It publishes one frozen object, globalThis.coredrop,
// whose methods give promises. Built for another system it only says so.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "this is the page's program: build it with GOOS=js GOARCH=wasm go build ./wasm")
	os.Exit(2)
}
