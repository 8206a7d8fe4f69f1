// Package flowmapper decides which flow a start request belongs to, and when it may run.
//
// It consumes flow.mapper.start, keyed by "<client request id>-<virtual node's short hash>", so that each client
// request id has one decision maker. Its table holds the mapping (flow id, status, expiry); its store "admission"
// counts the running flows of each virtual node in the partition and holds the queues of those that wait.
//
// Always true: a client request id starts one flow, whatever is repeated, for as long as its status is kept (seven
// days after the end, then mapping and status go together); the flow id is derived from the place of the start that
// was accepted; flow.status and flow.events are written in the transaction that accepts; at most so many flows of a
// virtual node run at once in a partition, the others wait visibly and are taken in the order they came, virtual
// node by virtual node, and can be killed while they wait; a place that is taken is given back exactly once.
//
// [Step] is the whole decision and touches nothing; [Graph] is the goka group around it. Starts come from rest and
// from flows, commands for flows that have not begun from rest; the flow worker sends FlowEnded. internal/app runs the
// graph.
package flowmapper
