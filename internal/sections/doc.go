// Package sections knows the sections of the cluster's dynamic configuration (corda.flow, corda.messaging, …): their
// names, their JSON schemas and their defaults, which are Corda 5.2's.
//
// Always true: what [Check] accepts has every value within its schema; the value with defaults is complete; no secret
// is in anything that is meant to be shown. The database worker checks with it what PUT /config brings; rest shows the
// defaults of sections that nobody changed; processors/database takes the routes of external
// channels from here.
package sections
