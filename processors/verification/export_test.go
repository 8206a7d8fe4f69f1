package verification

import "context"

// Run gives tests what a worker does between a request's two steps.
func Run(ctx context.Context, w *Worker, need RunContracts) Outcome { return w.run(ctx, need) }
