package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/config"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// connection makes the Kafka connection of the configuration.
func connection(k config.Kafka, clientID string) (kafkaadmin.Connection, error) {
	c := kafkaadmin.Connection{Brokers: k.Brokers, Prefix: k.Prefix, ClientID: clientID}
	if k.TLS {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		if k.CAFile != "" {
			pem, err := os.ReadFile(k.CAFile)
			if err != nil {
				return c, fmt.Errorf("kafka.ca_file: %w", err)
			}
			c.TLS.RootCAs = x509.NewCertPool()
			if !c.TLS.RootCAs.AppendCertsFromPEM(pem) {
				return c, fmt.Errorf("kafka.ca_file: %s holds no PEM certificate", k.CAFile)
			}
		}
		if k.CertFile != "" {
			cert, err := tls.LoadX509KeyPair(k.CertFile, k.KeyFile)
			if err != nil {
				return c, fmt.Errorf("kafka.cert_file: %w", err)
			}
			c.TLS.Certificates = []tls.Certificate{cert}
		}
	}
	if k.SASL != "" {
		password, err := k.SASLPassword()
		if err != nil {
			return c, err
		}
		c.SASL = &kafkaadmin.SASL{Mechanism: k.SASL, User: k.User, Password: password}
	}
	return c, nil
}

// TopicsError tells what the cluster's topics lack for the workers of this process.
type TopicsError struct {
	Workers  []string
	Findings []topics.Finding
}

// Error names every topic, what is wrong and what to do.
func (e *TopicsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "FL-APP-001: %d topic settings keep %s from starting; `fairlead topics plan` shows what to do, `fairlead topics apply` does it:",
		len(e.Findings), strings.Join(e.Workers, ", "))
	for _, f := range e.Findings {
		b.WriteString("\n  " + f.String())
	}
	return b.String()
}

// checkTopics compares the cluster with the catalogue, for the topics of these worker types. It waits while the
// brokers are away. Without unsafe, topics that hold state must be safe; missing ones are never accepted.
func checkTopics(ctx context.Context, admin *kafkaadmin.Admin, workers []string, unsafe bool, log *slog.Logger) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		cluster, err := admin.Cluster(ctx)
		if err == nil {
			return judgeTopics(cluster, workers, unsafe, log)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		log.Warn("brokers cannot be reached yet", "error", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// judgeTopics is the pure part of checkTopics.
func judgeTopics(cluster topics.Cluster, workers []string, unsafe bool, log *slog.Logger) error {
	profile := topics.Production()
	if unsafe {
		profile = topics.Dev()
	}
	wanted, err := wantedTopics(workers)
	if err != nil {
		return err
	}
	var fatal []topics.Finding
	for _, f := range topics.Lint(topics.All(), profile, cluster, wanted) {
		switch {
		case f.ID == topics.FoundMissing, f.ID == topics.FoundPartitions, f.HoldsState:
			fatal = append(fatal, f)
		default:
			log.Warn("topic setting", "finding", f.String())
		}
	}
	if len(fatal) == 0 {
		return nil
	}
	return &TopicsError{Workers: workers, Findings: fatal}
}

// wantedTopics are the topics that the worker types use.
func wantedTopics(workers []string) ([]string, error) {
	var out []string
	for _, w := range workers {
		groups, err := groupsOf(w)
		if err != nil {
			return nil, err
		}
		for _, joined := range groups {
			for _, e := range joined {
				if e.Kind != engine.EdgeDynamic { // those topics are checked when they are used
					out = append(out, e.Topic)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// outside adds the connection's options to those of the caller.
func outside(c kafkaadmin.Connection, o engine.Outside) (engine.Outside, error) {
	c.Dial = o.Dial
	if c.TLS == nil && c.SASL == nil {
		return o, nil
	}
	opts, err := c.Options()
	if err != nil {
		return o, err
	}
	// The connection's own dialer does TLS on top of the caller's.
	return engine.Outside{KgoOpts: append(slices.Clone(o.KgoOpts), opts...)}, nil
}
