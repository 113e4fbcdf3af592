//go:build js && wasm

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall/js"

	"coredrop/core/fault"
)

// method makes a JavaScript function that runs f in a goroutine of its own and
// gives a promise: f may wait for other promises, which a callback must not.
// It rejects as errorValue words it. This is the one recover.
func method(f func(args []js.Value) (any, error)) js.Func {
	return js.FuncOf(func(_ js.Value, args []js.Value) any {
		var settle js.Func
		settle = js.FuncOf(func(_ js.Value, ends []js.Value) any {
			defer settle.Release()
			go func() {
				defer func() {
					if r := recover(); r != nil {
						ends[1].Invoke(errorValue(fault.Wrap(asError(r), fault.Internal, "something broke in the tool itself; nothing left this machine: %v", r), ""))
					}
				}()
				v, err := f(args)
				if err != nil {
					ends[1].Invoke(errorValue(err, ""))
					return
				}
				ends[0].Invoke(v)
			}()
			return nil
		})
		return js.Global().Get("Promise").New(settle)
	})
}

// asError keeps a panic's value as the cause where it is one.
func asError(r any) error {
	if err, ok := r.(error); ok {
		return err
	}
	return fmt.Errorf("%v", r)
}

// errorValue is an error as JavaScript gets it: {code, text, remedy}, the remedy a
// list of {text, command, for}. The file is named in it, "" where it is not known.
func errorValue(err error, file string) js.Value {
	if errors.Is(err, context.Canceled) && !fault.Is(err, fault.Cancelled) {
		err = fault.Wrap(err, fault.Cancelled, "")
	}
	f := fault.As(err)
	remedy := []any{}
	for _, step := range f.Steps(file) {
		on := []any{}
		for _, surface := range step.For {
			on = append(on, string(surface))
		}
		remedy = append(remedy, map[string]any{"text": step.Text, "command": step.Command, "for": on})
	}
	return js.ValueOf(map[string]any{"code": string(f.Code), "text": f.Text, "remedy": remedy})
}

// catalogue gives the one list of errors, so that the page words its own (a
// dead worker, a full disk) by it: an object from code to {text, remedy}.
func catalogue([]js.Value) (any, error) {
	list := map[string]any{}
	for _, code := range fault.Codes() {
		list[string(code)] = errorValue(fault.New(code, ""), "")
	}
	return js.ValueOf(list), nil
}

// await waits for a promise. The error of a rejection is a js.Error. The
// context ends the waiting, not what is waited for.
func await(ctx context.Context, promise js.Value) (js.Value, error) {
	type outcome struct {
		v  js.Value
		ok bool
	}
	done := make(chan outcome, 1)
	first := func(args []js.Value) js.Value {
		if len(args) == 0 {
			return js.Undefined()
		}
		return args[0]
	}
	good := js.FuncOf(func(_ js.Value, args []js.Value) any { done <- outcome{first(args), true}; return nil })
	bad := js.FuncOf(func(_ js.Value, args []js.Value) any { done <- outcome{first(args), false}; return nil })
	promise.Call("then", good, bad)
	select {
	case o := <-done:
		good.Release()
		bad.Release()
		if !o.ok {
			return js.Undefined(), js.Error{Value: o.v}
		}
		return o.v, nil
	case <-ctx.Done():
		// The promise may still settle: its functions must stay callable.
		return js.Undefined(), context.Cause(ctx)
	}
}

// try turns an exception thrown by JavaScript into an error.
func try(f func() js.Value) (v js.Value, err error) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(js.Error)
			if !ok {
				panic(r)
			}
			err = e
		}
	}()
	return f(), nil
}
