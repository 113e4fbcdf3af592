package main

import (
	"crypto/tls"
	"sync/atomic"

	"coredrop/core/fault"
)

// certificate is the server's TLS certificate, which can be loaded anew while
// clients are served.
type certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// newCertificate loads a certificate chain and its key, both PEM.
func newCertificate(certFile, keyFile string) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile}
	if err := c.reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// reload loads the files again. On an error the certificate that was loaded
// before stays.
func (c *certificate) reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fault.Wrap(err, fault.BadOption, "could not use the certificate %s with the key %s: %v", c.certFile, c.keyFile, reasonOf(err))
	}
	c.current.Store(&pair)
	return nil
}

// config gives each connection the certificate of that moment.
func (c *certificate) config() *tls.Config {
	return &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil }}
}
