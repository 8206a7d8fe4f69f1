package app

import (
	"context"

	"github.com/fairleadio/fairlead/processors/verification"
	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"github.com/fairleadio/fairlead/topics"
)

func (a *App) buildVerification(ctx context.Context) error {
	packages, err := a.views.get(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]())
	if err != nil {
		return err
	}
	chunks, err := a.views.get(topics.CpiChunks, schemas.Codec[*cpiv1.Chunk]())
	if err != nil {
		return err
	}
	code, err := a.views.get(topics.CpkInfo, schemas.Codec[*cpiv1.Code]())
	if err != nil {
		return err
	}
	runtime, err := a.sandbox(ctx)
	if err != nil {
		return err
	}
	metrics, err := verification.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	c := a.cfg.Verification
	worker, err := verification.NewWorker(verification.Config{
		Concurrency: c.Concurrency, CacheEntries: c.CacheEntries, PackageWait: c.PackageWait,
	}, verification.Deps{
		Packages: packages, Code: code, Chunks: chunks, Sandbox: verification.FromSandbox(runtime), Log: a.log, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	a.onClose(func() error { worker.Close(); return nil })
	chunks.OnChange(func(string, any) { worker.Part() })
	if _, err = a.addGroup(Verification, worker.Graph(), verification.Tune); err == nil {
		a.preparedBy(worker.Prepare)
	}
	return err
}
