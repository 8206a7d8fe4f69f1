// Package channels joins what a package declares about its external channels with where a virtual node routes them.
//
// Always true: a channel without a route leads nowhere; a route that names no declared channel counts for nothing; a
// route to one of fairlead's own topics is none. Nothing here reads a topic: the caller brings the records of
// virtual.node.info and cpi.info.
//
// Called by the flow worker (emits), by the flow mapper's edge (records that start flows), and by the tools that plan
// topics.
package channels
