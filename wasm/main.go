//go:build js && wasm

// Command wasm is the boundary between a browser's worker and core. It
// publishes one frozen object, globalThis.coredrop, whose methods give
// promises; a panic becomes an error with the code "internal". It holds no
// knowledge of cores: it carries bytes in, descriptions out, and stops there.
package main

import "syscall/js"

// more are the methods that a program built with the tag lean lacks: the page
// starts with that one, and fetches the whole one when it needs them.
var more = map[string]func(*session, []js.Value) (any, error){}

func main() {
	s := &session{}
	api := map[string]any{
		"identify":     method(s.identify),
		"readPDB":      method(s.readPDB),
		"cached":       method(s.cached),
		"forget":       method(s.forget),
		"open":         method(s.open),
		"proof":        method(s.proof),
		"recall":       method(s.recall),
		"give":         method(s.give),
		"inspect":      method(s.inspect),
		"fetchSymbols": method(s.fetchSymbols),
		"convert":      method(s.convert),
		"parts":        method(s.parts),
		"read":         method(s.read),
		"sha256":       method(s.sha256),
		"hashRate":     method(s.hashRate),
		"unchanged":    method(s.unchanged),
		"cancel":       method(s.cancel),
		"statistics":   method(s.statistics),
		"catalogue":    method(catalogue),
	}
	for name, call := range more {
		api[name] = method(func(args []js.Value) (any, error) { return call(s, args) })
	}
	js.Global().Set("coredrop", js.Global().Get("Object").Call("freeze", api))
	select {} // the worker ends the program by ending itself
}
