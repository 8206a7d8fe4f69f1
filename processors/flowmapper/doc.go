// Package flowmapper decides which flow a start request belongs to, and when it may run.
//
// It consumes flow.mapper.start, keyed by "<client request id>-<virtual node's short hash>", so that each client
// request id has one decision maker. Its table holds the mapping (flow id, status, expiry); its store "admission"
// counts the running flows of each virtual node in the partition and holds the queues of those that wait, and what is
// kept of sessions whose peer is not known yet.
//
// It also carries the messages of sessions: it consumes flow.mapper.session, keyed by the session id of one side, holds
// which flow that side belongs to, begins a responder's flow with the first message that names none, and hands every
// message on, to the flow or to the other side's mapping.
//
// Always true: a client request id starts one flow, whatever is repeated, for as long as its status is kept (seven
// days after the end, then mapping and status go together); the flow id is derived from the place of the start that
// was accepted; flow.status and flow.events are written in the transaction that accepts; at most so many flows of a
// virtual node run at once in a partition, the others wait visibly and are taken in the order they came, virtual
// node by virtual node, and can be killed while they wait; a place that is taken is given back exactly once.
//
// Of sessions: each side has one flow; a message of a side that is over is dropped, or its sender is told; nothing is
// put in order or freed of repetitions here (sequence numbers do that in the flows). Responders' flows neither wait for
// admission nor count: an initiator holds a place while it waits for its responder, so virtual nodes whose places are
// all taken by initiators would wait for each other for ever. Over a bound for each virtual node and partition their
// initiators are told to try again.
//
// [Step] is the whole decision and touches nothing; [Graph] is the goka group around it. Starts come from rest and
// from flows, commands for flows that have not begun from rest; the flow worker sends FlowEnded. internal/app runs the
// graph.
package flowmapper
