// Package cli is the command fairlead: what operators and developers type.
//
// [Run] takes a command line to an exit code; [New] builds the command tree. Each command lies in a file of its own, as
// a function newXCommand(*Globals) *cobra.Command that [commands] lists. [Globals] gives them the settings (flags
// before environment before context), the connection to Kafka, confirmation and output.
//
// Always true: exit codes are 0 done, 1 error, 2 changes pending or threshold exceeded, 3 refused, 4 not found, 5 timed
// out; -o json is stable; a command that changes something shows its plan, asks, takes --yes, and writes to the audit
// topic; payloads of tenants are masked unless --reveal, which is audited; everything from outside (arguments, streams,
// environment, time, network) comes through [IO], so tests run commands in their own process.
package cli
