// Package config reads the configuration of a worker process: one YAML file, the environment, and flags, each
// stronger than the one before.
//
// Always true: an unknown key is an error that names the key and its line; every value knows where it came from;
// a secret is never printed. [Keys] is the reference of all keys, made from the struct itself.
//
// internal/app builds workers from a [Config]; internal/devenv makes one for `fairlead dev`; internal/cli reads
// one for `fairlead worker`.
package config
