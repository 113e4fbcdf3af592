//go:build !lean

package core

import (
	"context"
	"errors"
	"strings"

	"coredrop/core/fault"
	"coredrop/core/kcsan"
	"coredrop/core/linux"
	"coredrop/core/races"
	"coredrop/core/source"
	"coredrop/core/srcline"
	"coredrop/core/summary"
)

// debugFile is debugging information of the kernel or of one of its modules.
type debugFile struct {
	*srcline.File
	name   string
	module string // "" for the kernel itself
}

// notUsed makes a warning of why a file is not used; one that cannot be read at
// all stays an error.
func (c *Case) notUsed(err error) error {
	e := fault.As(err)
	if e.Code == fault.InputUnreadable {
		return err
	}
	c.warn(e.Code, "%s", e.Text)
	return nil
}

// debugOf opens a file with debugging information and tells what of the kernel it
// is for.
func debugOf(k *linux.Kernel, s source.Source) (f *srcline.File, module string, err error) {
	if f, err = openDebug(s); err == nil {
		module, err = belongs(k, f.BuildID(), s.Name)
	}
	return f, module, err
}

func openDebug(s source.Source) (*srcline.File, error) {
	f, err := srcline.Open(s, s.Size)
	if errors.Is(err, srcline.ErrNotELF) {
		return nil, fault.New(fault.NoDebugInfo, "the file %s is no vmlinux and no module: %v", s.Name, err)
	}
	return f, err
}

// belongs tells what a build ID is of: "" the kernel, or a module. Without one, or
// with another, the file is refused.
func belongs(k *linux.Kernel, id, name string) (module string, err error) {
	own := k.BuildID()
	if id == "" {
		return "", fault.New(fault.DebugMismatch, "the file %s has no build ID, so nothing tells whether it belongs to this kernel; it was not used", name)
	}
	if id == own {
		return "", nil
	}
	for i := range k.Modules {
		if k.ModuleBuildID(&k.Modules[i]) == id {
			return k.Modules[i].Name, nil
		}
	}
	if own == "" {
		return "", fault.New(fault.DebugMismatch, "the kernel in this core does not tell its build ID, so nothing tells whether %s belongs to it; it was not used", name)
	}
	return "", fault.New(fault.DebugMismatch, "the file %s has the build ID %s, the kernel's is %s; it was not used", name, id, own)
}

// findLines looks up the source lines of all stacks and reports that are known by
// now.
func (c *Case) findLines(ctx context.Context) error {
	if len(c.debug) == 0 {
		return nil
	}
	k, lines := c.facts.Linux, races.Lines{}
	c.facts.Lines = map[uint64][]srcline.Frame{}
	look := func(lookup uint64, sym linux.Symbol, module string) ([]srcline.Frame, error) {
		for _, d := range c.debug {
			if d.module != module {
				continue
			}
			frames, err := d.lookup(ctx, lookup, lookup-k.Slide, sym)
			if ctx.Err() != nil {
				return nil, err
			} else if err != nil { // of one unit: the others are not touched
				f := fault.As(err)
				c.warn(f.Code, "%s", f.Text)
			}
			return frames, nil
		}
		return nil, nil
	}
	for _, cpu := range c.facts.State.CPUs {
		for _, p := range cpu.Stack {
			frames, err := look(p.Lookup(), p.Symbol, p.Module)
			if err != nil {
				return err
			}
			c.facts.Lines[p.Addr] = frames
		}
	}
	if c.facts.Races != nil {
		for i := range c.facts.Races.Reports {
			for _, f := range c.facts.Races.Reports[i].Frames() {
				if _, done := lines[f.String()]; done {
					continue
				}
				at, sym, ok := frameAddr(k, f)
				if !ok {
					continue
				}
				frames, err := look(at, sym, f.Symbol.Module)
				if err != nil {
					return err
				}
				lines[f.String()] = frames
			}
		}
		c.facts.Races.Lines = lines
	}
	c.facts.Debug = nil
	for _, d := range c.debug {
		c.facts.Debug = append(c.facts.Debug, summary.DebugFile{Name: d.name, BuildID: d.BuildID(), Module: d.module, BytesRead: d.BytesRead()})
	}
	return nil
}

// lookup gives the source lines of an address: linked is it as the kernel was
// linked; in a module it is told by its function.
func (d *debugFile) lookup(ctx context.Context, addr, linked uint64, sym linux.Symbol) ([]srcline.Frame, error) {
	if d.module == "" {
		return d.Frames(ctx, linked)
	}
	name, _, _ := strings.Cut(sym.Name, " ")
	places, err := d.Places(name)
	if err != nil || len(places) != 1 {
		return nil, err // several functions of that name: none is guessed
	}
	return d.Frames(ctx, places[0].Addr+addr-sym.Addr)
}

// frameAddr finds where a report's frame is: its address, by which it is looked
// up, and its function. A text has only names, and sizes that tell functions of
// one name apart.
func frameAddr(k *linux.Kernel, f kcsan.Frame) (lookup uint64, sym linux.Symbol, ok bool) {
	sym = linux.Symbol{Name: f.Symbol.Name, Size: f.Symbol.Size}
	if f.Symbol.Name == "" {
		return 0, sym, false
	}
	if f.Addr != 0 {
		sym.Addr = f.Addr - f.Symbol.Offset
	} else if sym.Addr, ok = k.Find(sym.Name, f.Symbol.Module, sym.Size); !ok {
		return 0, sym, false
	}
	lookup = sym.Addr + f.Symbol.Offset
	if f.Symbol.Offset > 0 { // it stands behind the call
		lookup--
	}
	return lookup, sym, true
}
