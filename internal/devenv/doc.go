// Package devenv is a whole cluster on one machine: `fairlead dev`.
//
// It keeps a data directory (an embedded Kafka, local tables, certificates, credentials), publishes what the
// database worker will own later (virtual nodes, a package, an administrator) on the compacted topics, and runs
// the workers of internal/app in its own process.
//
// Always true: a directory is used by one process at a time, which its lock names; a directory of another format is
// refused with advice and not touched; what was accepted before a stop, a kill or a power cut of the process goes on
// at the next start; credentials and keys are readable by their owner alone; facts are written only when they
// differ from those published.
//
// internal/cli calls it for `fairlead dev` and `fairlead demo`.
package devenv
