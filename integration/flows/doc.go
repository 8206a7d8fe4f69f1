// Package flows proves a whole cluster on a running Kafka: flows of the example application are started through REST
// while three worker processes, each with all worker types, are killed, frozen and robbed of their disks; afterwards
// every record that was written is read and judged.
//
// The topics are those that `fairlead topics apply` makes, for production; virtual nodes, application and administrator
// are those of `fairlead dev`; the processes are the built binary. Clients do what clients should: they ask again, with
// the same client request id, when they get no answer or are told that the cluster is busy; some ask two workers at
// once. [Check] is the judge and is pure: it gets what was asked for and what was found, and names every difference. Its
// own test shows that it notices each kind of fault.
//
// What never changes: a run prints its seed; nothing is judged by time except that after the last fault every flow must
// end within a generous bound.
//
// Called by `make test` with 400 flows; FAIRLEAD_FLOWS=10000 makes it a long run.
package flows
