package app

import "github.com/fairleadio/fairlead/processors/uniqueness"

func (a *App) buildUniqueness() error {
	metrics, err := uniqueness.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	worker, err := uniqueness.NewWorker(uniqueness.Deps{Metrics: metrics})
	if err != nil {
		return err
	}
	_, err = a.addGroup(Uniqueness, worker.Graph(), uniqueness.Tune)
	return err
}
