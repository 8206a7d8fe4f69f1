package rest

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a TLS certificate in two files, read again when they change, so that it can be renewed without a
// restart.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]fileStamp
	checked time.Time
}

type fileStamp struct {
	changed time.Time
	bytes   int64
}

// certificateCheck is how often the files are looked at.
const certificateCheck = 5 * time.Second

// LoadCertificate reads certificate chain and key, both PEM.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	stamp, err := c.stamps()
	if err != nil {
		return nil, err
	}
	if err := c.load(stamp); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificate) stamps() (s [2]fileStamp, err error) {
	for i, f := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(f)
		if err != nil {
			return s, fmt.Errorf("rest.certificate_file and rest.key_file must name PEM files: %w", err)
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

func (c *Certificate) load(stamp [2]fileStamp) error {
	cert, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading the TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.stamp, c.checked = &cert, stamp, c.now()
	return nil
}

// TLS returns the server's configuration: TLS 1.2 or later, the newest certificate that could be read.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}
}

// get returns the certificate; files that cannot be read leave the one before in place and are told in the log.
func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		stamp, err := c.stamps()
		if err == nil && stamp != c.stamp {
			err = c.load(stamp)
		}
		if err != nil {
			c.log.LogAttrs(context.Background(), slog.LevelWarn, "the renewed TLS certificate cannot be read; the one before stays", slog.Any("error", err))
		}
	}
	return c.current
}
