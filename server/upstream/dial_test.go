package upstream

import (
	"context"
	"encoding/binary"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"coredrop/core/fault"
)

// names is a resolver whose answer is the test's: an A record for every name.
func names(t *testing.T, answer func() netip.Addr) *net.Resolver {
	t.Helper()
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	go func() {
		packet := make([]byte, 1500)
		for {
			n, from, err := server.ReadFrom(packet)
			if err != nil {
				return
			}
			server.WriteTo(reply(packet[:n], answer()), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
}

// reply answers a question for an A record, and says of others that there are
// none (RFC 1035, 4.1).
func reply(question []byte, address netip.Addr) []byte {
	const head = 12
	end := head
	for end < len(question) && question[end] != 0 {
		end += int(question[end]) + 1
	}
	end += 5 // the root, type, class
	if end > len(question) {
		return nil
	}
	be := binary.BigEndian
	out := append([]byte(nil), question[:end]...)
	be.PutUint16(out[2:], 0x8180) // a response
	be.PutUint16(out[6:], 0)
	be.PutUint16(out[8:], 0)
	be.PutUint16(out[10:], 0)
	if be.Uint16(question[end-4:]) != 1 {
		return out
	}
	be.PutUint16(out[6:], 1)
	out = append(out, 0xc0, head, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	four := address.As4()
	return append(out, four[:]...)
}

// A name that leads to another address than before is followed, but not to this
// machine or to the link, whatever is there; what was named as near is.
func TestNameThatChangesItsAddress(t *testing.T) {
	data, key := pdbBytes(t)
	var connections atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	defer s.Close()
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	var now atomic.Pointer[netip.Addr]
	set := func(text string) {
		a := netip.MustParseAddr(text)
		now.Store(&a)
	}
	resolver := names(t, func() netip.Addr { return *now.Load() })
	// Over http only hosts that were named are asked: the guard is looked at
	// below them.
	c := &Client{URL: "http://symbols.example:" + port, AllowHTTP: []string{"symbols.example"}, resolver: resolver, AnyCase: true}
	set("127.0.0.1")
	if _, err := download(t.Context(), c, key); err != nil || connections.Load() != 1 {
		t.Fatalf("named as near: %v", err)
	}
	c.client.CloseIdleConnections()
	public := &Client{URL: "https://symbols.example:" + port, resolver: resolver, AnyCase: true}
	for _, address := range []string{"127.0.0.1", "127.9.9.9", "169.254.169.254", "0.0.0.0", "224.0.0.1", "255.255.255.255"} {
		before := connections.Load()
		set(address)
		_, err := download(t.Context(), public, key)
		wantCode(t, err, fault.SymbolsOffline)
		if !strings.Contains(err.Error(), "leads to this machine") || strings.Contains(said(err), address) || connections.Load() != before {
			t.Errorf("%s: %v, %d connections", address, err, connections.Load()-before)
		}
	}
}

// A proxy of this network is dialled as the environment has it.
func TestProxyOnThisMachineIsDialled(t *testing.T) {
	c := &Client{URL: "https://symbols.example"}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := c.dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestReserved(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "169.254.169.254": true, "fe80::1": true, "0.0.0.0": true, "::": true, "ff02::1": true,
		"10.0.0.1": false, "192.168.1.1": false, "fd00::1": false, "8.8.8.8": false, "2001:db8::1": false,
	} {
		if reserved(netip.MustParseAddr(address)) != want {
			t.Errorf("%s: %v", address, !want)
		}
	}
}
