// Package persistence answers for the data that applications keep in the databases of their virtual nodes.
//
// Two groups. persistence consumes persistence.requests, keyed by flow id: it runs requests beside each other, those of one
// flow too, waits a little for each virtual node, looks again later at what takes long, and answers on
// flow.replies.persistence; internal/ledgerstore decides on those of the ledger. persistence.feed consumes
// persistence.drain, keyed by virtual node: it is the only reader of a virtual node's outbox and emits its changes to the
// topics of its channels of kind FEED.
//
// Always true: what a request changes commits in one transaction of Postgres with the row that remembers its answer, so
// that a request that comes again, from wherever, has no second effect and gets the first answer (for eight days);
// reading has no effect, so it is simply done again; a request whose deadline has passed has no effect at all; a change
// of a table with a feed has the next number of its virtual node, numbers are the order of commits, and each is emitted
// once, in that order, in the transaction that remembers it; a change leaves the outbox only when that transaction has
// committed; no text of a request becomes SQL.
//
// [Step] and [FeedStep] decide and touch nothing; [Worker] is the groups around them, and [Vault] what they do in
// Postgres. internal/app runs the groups.
package persistence
