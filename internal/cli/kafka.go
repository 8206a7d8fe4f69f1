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
		if gone := goneDev(s); gone != "" && len(g.flags.brokers) == 0 {
			return nil, s, fmt.Errorf("reach Kafka at %s: %s: %w", strings.Join(c.Brokers, ","), gone, err)
		}
		return nil, s, fmt.Errorf("reach Kafka at %s: %w: check --brokers and --kafka-config", strings.Join(c.Brokers, ","), err)
	}
	return a, s, nil
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
