// Package pay proves the ledger on real servers: money is neither lost nor made. Members issue, pay, redeem and exchange
// tokens (example application tokens) and spend some twice, while worker processes, each with all worker types, are killed,
// frozen and robbed of their disks, and Postgres is killed and comes back. Then every member repairs what is unfinished, and
// [Judge], a pure function, compares all vaults, the pools of tokens and the notary's memory with each other and with what
// the flows said.
//
// Called by `make test`; FAIRLEAD_PAYMENTS=5000 makes it a long run. It runs only where Kafka, Postgres and Vault are real.
package pay
