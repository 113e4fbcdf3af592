package main

import (
	"io"

	"coredrop/core/source"
)

// inOrder reads a source from its beginning to its end, by its stream where it has
// one. Whoever closes it early ends that.
func inOrder(s source.Source) io.ReadCloser {
	if s.Stream == nil {
		return io.NopCloser(io.NewSectionReader(s, 0, s.Size))
	}
	out, in := io.Pipe()
	go func() {
		in.CloseWithError(s.Scan(0, s.Size, make([]byte, bufferBytes), func(p []byte) error {
			_, err := in.Write(p)
			return err
		}))
	}()
	return out
}
