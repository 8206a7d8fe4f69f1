package kafkaadmin

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// Connection says how to reach a cluster.
type Connection struct {
	// Brokers are bootstrap addresses, host:port.
	Brokers []string
	// Prefix is before the name of every topic of this fairlead cluster.
	Prefix string
	// ClientID is what brokers log; empty for "fairlead".
	ClientID string
	// TLS is nil for plain text.
	TLS *tls.Config
	// SASL is nil for no authentication.
	SASL *SASL
	// Dial opens connections; nil for TCP. With TLS it must return plain connections.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// SASL is a user's name and password, and how they are proven.
type SASL struct {
	// Mechanism is PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string
	User      string
	Password  string
}

// Options are the connection as options of a Kafka client.
func (c Connection) Options() ([]kgo.Opt, error) {
	if len(c.Brokers) == 0 {
		return nil, fmt.Errorf("no brokers are known: name them with --brokers, FAIRLEAD_BROKERS or a context")
	}
	id := c.ClientID
	if id == "" {
		id = "fairlead"
	}
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(id)}
	switch {
	case c.TLS != nil && c.Dial != nil:
		opts = append(opts, kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := c.Dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			config := c.TLS.Clone()
			if config.ServerName == "" {
				if host, _, err := net.SplitHostPort(address); err == nil {
					config.ServerName = host
				}
			}
			return tls.Client(conn, config), nil
		}))
	case c.TLS != nil:
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	case c.Dial != nil:
		opts = append(opts, kgo.Dialer(c.Dial))
	}
	if c.SASL != nil {
		switch c.SASL.Mechanism {
		case "PLAIN":
			opts = append(opts, kgo.SASL(plain.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsMechanism()))
		case "SCRAM-SHA-256":
			opts = append(opts, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsSha256Mechanism()))
		case "SCRAM-SHA-512":
			opts = append(opts, kgo.SASL(scram.Auth{User: c.SASL.User, Pass: c.SASL.Password}.AsSha512Mechanism()))
		default:
			return nil, fmt.Errorf("sasl.mechanism %q is not supported: use PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512", c.SASL.Mechanism)
		}
	}
	return opts, nil
}
