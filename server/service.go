package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"

	"coredrop/core/fault"
	"coredrop/server/admin"
	"coredrop/server/conns"
)

// The server's limits: no answer here needs a long request.
const (
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
	stalled           = 30 * time.Second // of a client that takes nothing
)

const (
	// defaultDrain is how long what was begun may go on when the server is told
	// to end.
	defaultDrain = 5 * time.Second
	// cleanUp is how long downloads that were cut off have for their temporary
	// files.
	cleanUp = 2 * time.Second
)

const (
	// defaultClients is the cap of connections. Each takes some 20 KB.
	defaultClients = 4096
	// ownDescriptors are for what is no client: stores, upstreams, the log.
	ownDescriptors = 64
)

// adminSocket is the FileDescriptorName= of the socket unit for the admin
// listener; any other socket is the site's.
const adminSocket = "admin"

// service is a site with the addresses it is served on, and how it ends. Only
// site and addr are needed.
type service struct {
	site    site
	addr    string
	tls     *certificate   // nil: plain http
	admin   string         // the admin listener's address; empty: none
	private *admin.Handler // what is served there
	clients int            // connections at once; 0: defaultClients
	drain   time.Duration  // how long what was begun may go on; 0: defaultDrain
	cut     func()         // ends the symbol server's downloads; nil: it has none
	log     *slog.Logger   // of reloads, and of what net/http says; nil: the standard one
}

// run serves until the context ends.
func (s *service) run(ctx context.Context, stdout, stderr io.Writer) int {
	h, err := s.site.handler()
	if err != nil {
		return fail(stderr, err)
	}
	public, private, err := s.listen()
	if err != nil {
		return fail(stderr, err)
	}
	server := newServer(conns.Guard(h, stalled))
	if private != nil {
		defer private.Close()
		go newServer(s.private).Serve(private) // until it is closed, at the very end
	}
	if s.log != nil {
		server.ErrorLog = serverLog(s.log)
	}
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
		server.TLSConfig = s.tls.config()
	}
	defer s.reloads()() // before anybody is told where we are
	for _, l := range public {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok && !tcp.IP.IsLoopback() {
			fmt.Fprintf(stderr, "coredrop: warning: %s can be reached from other machines: they get the page and symbol files, nothing of yours\n", l.Addr())
		}
		fmt.Fprintf(stdout, "coredrop: serving on %s\n", address(scheme, l.Addr(), s.site.base))
	}
	if private != nil {
		fmt.Fprintf(stdout, "coredrop: admin on %s\n", address("http", private.Addr(), "/"))
	}
	daemon.SdNotify(false, daemon.SdNotifyReady) // without a supervisor it does nothing
	return s.serve(ctx, server, public, stderr)
}

// listen opens the addresses: the sockets that systemd passes, else -addr.
func (s *service) listen() (public []net.Listener, private net.Listener, err error) {
	passed, err := activation.ListenersWithNames()
	if err != nil {
		return nil, nil, fault.Wrap(err, fault.BadOption, "could not use the sockets that were passed: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(passed)) {
		if name == adminSocket {
			private = passed[name][0]
		} else {
			public = append(public, passed[name]...)
		}
	}
	if len(public) == 0 {
		l, err := net.Listen("tcp", s.addr)
		if err != nil {
			reason := err
			var op *net.OpError
			if errors.As(err, &op) {
				reason = op.Err // without the address once more
			}
			return nil, nil, fault.Wrap(err, fault.BadOption, "could not listen on %s: %v", s.addr, reason).Hint("-addr 127.0.0.1:0 takes a port that is free")
		}
		public = []net.Listener{l}
	}
	if private == nil && s.admin != "" {
		if private, err = admin.Listen(s.admin); err != nil {
			return nil, nil, fault.Wrap(err, fault.BadOption, "could not open the admin listener: %v", err)
		}
	}
	return public, private, nil
}

// address gives what to open in a browser on this machine.
func address(scheme string, a net.Addr, base string) string {
	switch tcp, ok := a.(*net.TCPAddr); {
	case !ok:
		return a.Network() + ":" + a.String()
	case tcp.IP.IsUnspecified():
		return scheme + "://" + net.JoinHostPort("localhost", strconv.Itoa(tcp.Port)) + base
	}
	return scheme + "://" + a.String() + base
}

// newServer sets the limits. There is none for the whole answer: a PDB may be
// large and the way to the client slow.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            readHeaderTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		ConnContext:                  conns.Context,
		DisableGeneralOptionsHandler: true, // OPTIONS * gets our headers too
	}
}

// clientLimit gives how many connections there may be: a client whose file is
// being sent takes two descriptors.
func clientLimit(asked, descriptors int) int {
	if asked <= 0 {
		asked = defaultClients
	}
	return max(1, min(asked, (descriptors-ownDescriptors)/2))
}

// serve runs a server until the context ends, and then until what was begun has
// ended or its time is over.
func (s *service) serve(ctx context.Context, server *http.Server, listeners []net.Listener, stderr io.Writer) int {
	crowd := conns.NewCrowd(server, clientLimit(s.clients, descriptors()))
	failed := make(chan error, len(listeners))
	for _, l := range listeners {
		l = crowd.Listener(l)
		go func() {
			if s.tls != nil {
				failed <- server.ServeTLS(l, "", "")
			} else {
				failed <- server.Serve(l)
			}
		}()
	}
	select {
	case err := <-failed:
		s.end(server)
		return fail(stderr, fault.Wrap(err, fault.Internal, "the server stopped: %v", err))
	case <-ctx.Done():
		s.end(server)
		return exitDone
	}
}

// end ends a server: no new clients, then the answers that were begun, then the
// downloads that nobody waits for and what is to be written to the shared store, all
// within the drain time; then what is left is cut off.
func (s *service) end(server *http.Server) {
	s.site.ready.Drain()
	daemon.SdNotify(false, daemon.SdNotifyStopping)
	limit := s.drain
	if limit <= 0 {
		limit = defaultDrain
	}
	deadline := time.Now().Add(limit)
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	err := server.Shutdown(ctx)
	if s.cut != nil {
		s.site.symbols.Wait(time.Until(deadline))
		s.cut()
		s.site.symbols.Wait(cleanUp)
	}
	if err != nil {
		server.Close() // a client that does not end must not keep us
	}
}

// reloads makes SIGHUP load the certificate again. Where there is none, the
// signal ends the program as it does any other, unless a supervisor asked for
// reloads by the way it started us.
func (s *service) reloads() (stop func()) {
	if supervised, _ := daemon.SdNotify(false, ""); s.tls == nil && !supervised {
		return func() {}
	}
	return onHangUp(func() {
		daemon.SdNotify(false, daemon.SdNotifyReloading)
		defer daemon.SdNotify(false, daemon.SdNotifyReady)
		if s.tls == nil {
			return
		}
		err := s.tls.reload()
		switch {
		case s.log == nil:
		case err != nil:
			s.log.Error("the certificate was not loaded again: the one from before stays", "error", fault.As(err).Text)
		default:
			s.log.Info("the certificate was loaded again")
		}
	})
}
