package main

import (
	"errors"
	"io"
	"os"
	"sync"
	"syscall"
)

// How a large range is copied past the page cache: the input's bytes are copied
// once, into a buffer that the disk takes as it is, where copying inside the kernel
// costs two passes over each page, because core and dump are not aligned to each
// other. A dump of a guest's memory would fill the cache with what nobody reads
// again on this machine, too.
const (
	directBytes   = 4 << 20 // of one write
	directWorkers = 4       // some read while others write
)

// direct is an output that is written past the page cache.
type direct struct {
	out     *os.File
	buffers [][]byte // one a worker
}

// openDirect opens an output a second time, to write past the page cache; nil
// where its file system does not know how.
func openDirect(file outFile) *direct {
	f, ok := file.(*os.File)
	if !ok {
		return nil
	}
	out, err := os.OpenFile(f.Name(), os.O_WRONLY|syscall.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	d := &direct{out: out}
	if !sameOpen(f, out) {
		d.close()
		return nil
	}
	for range directWorkers {
		// Memory that the kernel gives is aligned to pages.
		p, err := syscall.Mmap(-1, 0, directBytes, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
		if err != nil {
			d.close()
			return nil
		}
		d.buffers = append(d.buffers, p)
	}
	return d
}

// sameOpen reports whether two open files are one.
func sameOpen(a, b *os.File) bool {
	x, err1 := a.Stat()
	y, err2 := b.Stat()
	return err1 == nil && err2 == nil && os.SameFile(x, y)
}

func (d *direct) close() {
	d.out.Close() // what was written is synced by the other descriptor
	for _, p := range d.buffers {
		syscall.Munmap(p)
	}
	d.buffers = nil
}

// copy copies n bytes of in from a place on; to and n are whole blocks. A
// *writeError is final, and so is a fault of reading; after any other error
// nothing is known of the range, and it is to be copied another way.
func (d *direct) copy(in io.ReaderAt, from, to, n int64) error {
	var wait sync.WaitGroup
	errs := make([]error, len(d.buffers))
	for i, buffer := range d.buffers {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for at := int64(i) * directBytes; at < n && errs[i] == nil; at += int64(len(d.buffers)) * directBytes {
				p := buffer[:min(directBytes, n-at)]
				if errs[i] = readFull(in, p, from+at); errs[i] == nil {
					_, errs[i] = d.out.WriteAt(p, to+at)
				}
			}
		}()
	}
	wait.Wait()
	for _, err := range errs {
		if noRoom(err) {
			return &writeError{err}
		}
	}
	return errors.Join(errs...)
}
