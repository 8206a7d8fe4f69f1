package app

import (
	"context"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/schemas"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// breakpointTime is how long a native flow may stand at a breakpoint before its step begins anew: the longest time that
// brokers let a transaction take by default.
const breakpointTime = 15 * time.Minute

func (a *App) buildFlow(ctx context.Context) error {
	vnodes, err := a.views.get(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]())
	if err != nil {
		return err
	}
	packages, err := a.views.get(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]())
	if err != nil {
		return err
	}
	chunks, err := a.views.get(topics.CpiChunks, schemas.Codec[*cpiv1.Chunk]())
	if err != nil {
		return err
	}
	keys, err := a.views.get(topics.CryptoKeys, schemas.Codec[*cryptov1.Key]())
	if err != nil {
		return err
	}
	directory := flow.NewDirectory()
	vnodes.OnChange(directory.VirtualNode)
	keys.OnChange(directory.Key)
	if told := a.opts.FlowSees; told != nil { // after the directory, in whose order changes come
		vnodes.OnChange(func(key string, _ any) { told(topics.VirtualNodeInfo, key) })
		keys.OnChange(func(key string, _ any) { told(topics.CryptoKeys, key) })
	}
	packages.OnChange(directory.Package)
	var sandbox flow.Sandbox
	if a.opts.Native != nil {
		sandbox = flow.FromNative(a.opts.Native)
	} else {
		runtime, err := a.sandbox(ctx)
		if err != nil {
			return err
		}
		sandbox = flow.FromSandbox(runtime)
	}
	metrics, err := flow.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	worker, err := flow.NewWorker(flow.Config{
		LiveCount: a.cfg.Flow.LiveInstances, LiveBytes: a.cfg.Flow.LiveBytes, Keep: a.cfg.Flow.Keep,
	}, flow.Deps{
		VirtualNodes: vnodes, Packages: packages, Chunks: chunks, Directory: directory, Sandbox: sandbox, Log: a.log, Metrics: metrics,
	})
	if err != nil {
		return err
	}
	a.onClose(func() error { worker.Close(); return nil })
	settings, err := a.views.get(topics.Config, schemas.Codec[*configv1.Configuration]())
	if err != nil {
		return err
	}
	settings.OnChange(func(section string, msg any) {
		if section != flow.SettingsSection {
			return
		}
		c, _ := msg.(*configv1.Configuration) // nil for one that is gone
		if err := worker.Configure(c); err != nil {
			a.log.Error("a changed setting has no effect", "error", err)
		}
	})
	packages.OnChange(func(_ string, msg any) {
		cpi, _ := msg.(*cpiv1.Cpi) // nil for one that is gone
		worker.Changed(cpi)
	})
	chunks.OnChange(func(string, any) { worker.Part() })
	_, err = a.addGroup(Flow, worker.Graph(), func(e *engine.Config) {
		if a.opts.Native != nil {
			e.TransactionTimeout = breakpointTime
		}
	})
	if err == nil {
		a.preparedBy(worker.Prepare)
	}
	return err
}
