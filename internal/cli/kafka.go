package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
)

// Kafka connects to the cluster of the settings. The caller closes it.
func (g *Globals) Kafka(ctx context.Context) (*kafkaadmin.Admin, Settings, error) {
	s, err := g.Settings()
	if err != nil {
		return nil, s, err
	}
	c, err := s.Connection(g)
	if err != nil {
		return nil, s, err
	}
	a, err := kafkaadmin.New(c)
	if err != nil {
		return nil, s, err
	}
	if err := a.Ping(ctx); err != nil {
		a.Close()
		away := &unreachableError{brokers: c.Brokers, err: err}
		if len(g.flags.brokers) == 0 {
			away.gone = goneDev(s)
		}
		return nil, s, away
	}
	return a, s, nil
}

// unreachableError tells that no broker answers.
type unreachableError struct {
	brokers []string
	// gone is what is known of a development cluster that does not run any more, and how to start it.
	gone string
	err  error
}

func (e *unreachableError) Error() string {
	at := strings.Join(e.brokers, ",")
	if e.gone != "" {
		return fmt.Sprintf("reach Kafka at %s: %s: %v", at, e.gone, e.err)
	}
	return fmt.Sprintf("reach Kafka at %s: %v: %s", at, e.err, e.remedy())
}

func (e *unreachableError) Unwrap() error { return e.err }

// remedy says what to do about it.
func (e *unreachableError) remedy() string {
	if e.gone != "" {
		return e.gone
	}
	return "check --brokers and --kafka-config"
}

// audit writes an entry about this command.
func (g *Globals) audit(ctx context.Context, a *kafkaadmin.Admin, e *auditv1.Entry) error {
	e.AtUs, e.By, e.Tool = g.now().UnixMicro(), g.by(), "fairlead "+g.version()
	if err := a.Audit(ctx, e); err != nil {
		return fmt.Errorf("write the audit entry: %w", err)
	}
	return nil
}

func (g *Globals) by() string {
	if g.By == "" {
		return "unknown"
	}
	return g.By
}
