package verification

import "context"

// Prepare installs the modules of all packages that the views have, and returns when that is done or ctx ends; underway tells
// how many are still being compiled. A worker that takes partitions before it has their modules lets requests wait for it,
// while others could answer them.
func (w *Worker) Prepare(ctx context.Context) (underway int) {
	w.modules.set.Complete()
	return w.modules.set.Await(ctx)
}

// Part is called when a part of a module has come, or has gone.
func (w *Worker) Part() { w.modules.set.Complete() }
