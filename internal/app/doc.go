// Package app puts workers together: the only place that knows all of them.
//
// [New] builds the workers of a process from a [config.Config] and a list of types; [App.Run] checks the cluster's
// topics, runs the workers until its context ends, and drains them. Views of the same topic are shared by the
// workers of a process, and so are local storage and the sandbox.
//
// Always true: nothing is created in Kafka; a missing or unsafe topic stops the start and is named; when one worker
// fails, the process stops, so that its supervisor starts it again; every goroutine has ended when Run returns.
//
// internal/cli calls it for `fairlead worker`, internal/devenv for `fairlead dev`.
package app
