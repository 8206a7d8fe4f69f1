package app

import (
	"github.com/fairleadio/fairlead/processors/tokens"
	"github.com/fairleadio/fairlead/schemas"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	"github.com/fairleadio/fairlead/topics"
)

func (a *App) buildTokens() error {
	metrics, err := tokens.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	worker, err := tokens.NewWorker(tokens.Deps{Log: a.log, Metrics: metrics})
	if err != nil {
		return err
	}
	settings, err := a.views.get(topics.Config, schemas.Codec[*configv1.Configuration]())
	if err != nil {
		return err
	}
	settings.OnChange(func(section string, msg any) {
		if section != tokens.SettingsSection {
			return
		}
		c, _ := msg.(*configv1.Configuration) // nil for one that is gone
		if err := worker.Configure(c); err != nil {
			a.log.Error("a changed setting has no effect", "error", err)
		}
	})
	_, err = a.addGroup(Tokens, worker.Graph())
	return err
}
