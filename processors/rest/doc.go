// Package rest is the worker of type rest: the HTTPS surface that operators and applications hold.
//
// It reads views of flow.status, config, operation.status, cpi.info, virtual.node.info, crypto.keys and rbac.*, and
// writes flow.mapper.start and flow.commands through an idempotent producer. What changes the cluster it asks of the
// database worker (db.requests, cpi.upload) and of the crypto worker (crypto.admin); their answers come back through
// one partition of rpc.replies ([requests.go]), and a caller is answered when the views show what was changed. It
// keeps no state of its own. Two interfaces stand on one set of
// strict handlers: Corda's under /api/v5_2 (and /api/v5_1), whose leniency is an adapter in front ([body.go],
// [router.go]), and fairlead's own under /api/fairlead/v1, strict, with RFC 9457 errors.
//
// Always true: nobody starts a flow without a credential and a permission for the call and for the class; a start
// is answered 202 only when the flow that runs is the one that this very request wrote; who waits for a command hears
// what became of this very command; nothing is decided here
// that another replica could decide differently, for the flow mapper alone gives a client request id to a flow.
//
// The pure decisions are in start.go, status.go, command.go, history.go and package rbac; the rest is HTTP.
// internal/app builds the server and hands it its views, producer and journal reader.
package rest
