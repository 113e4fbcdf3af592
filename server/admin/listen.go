package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"
)

// socketPrefix marks the path of a Unix socket; an absolute path needs none.
const socketPrefix = "unix:"

// socketMode lets nobody connect but the server's own user and root.
const socketMode fs.FileMode = 0o600

// Listen opens an admin address: HOST:PORT where HOST is this machine, or the
// path of a Unix socket, absolute or behind "unix:". A socket that a killed
// server left is replaced; one that is answered is not, nor is any other file.
func Listen(address string) (net.Listener, error) {
	path, socket := strings.CutPrefix(address, socketPrefix)
	if socket || strings.HasPrefix(address, "/") {
		return listenUnix(path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%q is neither HOST:PORT nor the path of a socket", address)
	}
	if !Loopback(host) {
		return nil, fmt.Errorf("%q can be reached from other machines, and whoever reaches it is asked nothing: take 127.0.0.1 or a Unix socket", address)
	}
	return net.Listen("tcp", address)
}

func listenUnix(path string) (net.Listener, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s exists and is no socket", path)
	default:
		if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
			c.Close()
			return nil, fmt.Errorf("another program answers on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}
