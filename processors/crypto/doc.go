// Package crypto makes keys in Vault and signs with them, for the workers that may ask for it.
//
// Each class of requester has an input of its own, for access rules on topics are the only proof of who asks:
// crypto.requests (flows), crypto.admin (administrators), crypto.tls (gateways), crypto.link (link managers),
// crypto.members (membership). Its store "keys" holds each tenant's keys by alias and by key id; the compacted topic
// crypto.keys publishes their public halves, and a view of it finds the key of a signature, wherever that key was made.
//
// Always true: what a requester may ask for is one table ([Rules]), and the rest is refused and audited before its bytes
// are looked at; bytes are signed only in the form of their purpose (package signing), so that nobody's signature passes
// for another purpose's; an alias of a tenant has one key, and asking again returns it; a key's name in Vault comes from
// the place of the request that made it, so that a step that is run again finds the key that it made before, and two
// clusters never share one; nothing secret leaves unsealed. While Vault is away nothing is fetched: requests wait in
// Kafka, and those whose deadline passes are dropped and counted.
//
// Nothing else holds a token for Vault. [Step] is the whole decision and touches nothing; [Worker] asks Vault between a
// request's two steps, the signatures of one poll together; [Worker.Graph] is the goka group. internal/app runs it.
package crypto
