//go:build linux

package conns

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// counter reads the kernel's counters of a TCP connection, below TLS; nil: it is
// another kind.
func counter(c net.Conn) func() (acknowledged, waiting uint64, ok bool) {
	if t, ok := c.(interface{ NetConn() net.Conn }); ok {
		c = t.NetConn()
	}
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return func() (acknowledged, waiting uint64, ok bool) {
		var queue int
		var info *unix.TCPInfo
		var failed error
		err := raw.Control(func(fd uintptr) {
			if info, failed = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); failed == nil {
				queue, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			}
		})
		if err != nil || failed != nil {
			return 0, 0, false
		}
		return info.Bytes_acked, uint64(max(queue, 0)), true
	}
}
