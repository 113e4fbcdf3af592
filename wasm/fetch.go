//go:build js && wasm

package main

import (
	"context"
	"strconv"
	"strings"
	"syscall/js"

	"coredrop/core/fault"
	"coredrop/core/progress"
)

// maxDownload bounds a PDB; kernels' have about 11 MB.
const maxDownload = 512 << 20

// download gets an address of the page's own origin as a Blob: the bytes stay
// with the browser. Errors are those of the catalogue, the server's own where it
// names one.
func download(ctx context.Context, url, name string, sink progress.Sink) (js.Value, error) {
	abort := js.Global().Get("AbortController").New()
	stop := context.AfterFunc(ctx, func() { abort.Call("abort") })
	defer stop()
	answer, err := await(ctx, js.Global().Call("fetch", url, map[string]any{
		"signal": abort.Get("signal"), "cache": "no-store", "credentials": "omit", "referrerPolicy": "no-referrer",
	}))
	if err != nil {
		return js.Undefined(), offline(ctx, err, url)
	}
	if !answer.Get("ok").Bool() {
		return js.Undefined(), refused(ctx, answer, url)
	}
	total := int64(0)
	if length := answer.Get("headers").Call("get", "Content-Length"); length.Type() == js.TypeString {
		if n, err := strconv.ParseInt(length.String(), 10, 64); err == nil && answer.Get("headers").Call("get", "Content-Encoding").IsNull() {
			total = n
		}
	}
	reader := answer.Get("body").Call("getReader")
	chunks := js.Global().Get("Array").New()
	var done int64
	for {
		got, err := await(ctx, reader.Call("read"))
		if err != nil {
			return js.Undefined(), offline(ctx, err, url)
		}
		if got.Get("done").Bool() {
			break
		}
		chunks.Call("push", got.Get("value"))
		done += int64(got.Get("value").Get("byteLength").Int())
		sink.Report("fetching "+name, done, total)
		if done > maxDownload {
			abort.Call("abort")
			return js.Undefined(), fault.New(fault.SymbolsNotAPDB, "the server gives more for %s than a PDB may have", name)
		}
	}
	if total > 0 && done != total {
		return js.Undefined(), fault.New(fault.SymbolsOffline, "the server ended %s after %d of %d bytes", name, done, total)
	}
	sink.Logf("symbols: fetched %d bytes", done)
	return js.Global().Get("Blob").New(chunks), nil
}

// offline words a request that gave no whole answer.
func offline(ctx context.Context, err error, url string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fault.Wrap(err, fault.SymbolsOffline, "this server could not be reached for the PDB").Hint("the address asked: %s", url)
}

// refused reads the server's error. A host that is no symbol server answers
// with a page of its own.
func refused(ctx context.Context, answer js.Value, url string) error {
	status := answer.Get("status").Int()
	if kind := answer.Get("headers").Call("get", "Content-Type"); kind.Type() == js.TypeString && strings.HasPrefix(kind.String(), "application/json") {
		if said, err := await(ctx, answer.Call("json")); err == nil && said.Type() == js.TypeObject {
			code := fault.Code(textOf(said.Get("code")))
			if _, known := fault.Lookup(code); known {
				refusal := fault.New(code, "%s", textOf(said.Get("text")))
				for _, line := range linesOf(said.Get("remedy")) {
					refusal.Hint("%s", line)
				}
				return refusal
			}
		}
	}
	code := fault.SymbolsNotFound
	if status == 429 || status == 503 {
		code = fault.ServerBusy
	}
	return fault.New(code, "this server answered %d for the PDB", status).
		Hint("the address asked: %s", url).
		Hint("get the file by other means and drop it on this page")
}

// textOf gives what is text; of anything else "".
func textOf(v js.Value) string {
	if v.Type() != js.TypeString {
		return ""
	}
	return v.String()
}

// linesOf gives what an array has of text.
func linesOf(v js.Value) []string {
	if !v.InstanceOf(js.Global().Get("Array")) {
		return nil
	}
	var list []string
	for i := range v.Length() {
		if line := textOf(v.Index(i)); line != "" {
			list = append(list, line)
		}
	}
	return list
}
