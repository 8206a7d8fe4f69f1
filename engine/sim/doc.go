// Package sim runs the engine in virtual time: three brokers (franz-go's kfake), three instances of one group and
// everything between them in one process, inside a bubble of testing/synctest, under faults drawn from a seed. After
// the storm a judge compares what a read-committed reader sees with what the input says should be there.
//
// It holds tests only; nothing imports it. Product code is used as it is and reached through the doors it has
// anyway: [engine.Outside] and [engine.DB]. README.md says how to run it and what a seed's fault list means.
package sim
