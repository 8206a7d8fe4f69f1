// Package access proves the threat model (docs/security/threat-model.md) on a broker that refuses what no rule allows,
// with the rules that `fairlead topics acl` prints and one Kafka user for each worker type: whoever has a worker's
// password can do with every topic what the document says and nothing else, and seven workers that have no other rights
// run an application to its end and refuse hostile packages that come by REST.
package access
