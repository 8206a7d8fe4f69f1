// Package exact reads payloads of which each value has one text.
//
// JSON leaves much open: members may come in any order, twice, or in other letters, text may be escaped in many ways, and
// what stands behind the value is somebody's mistake or somebody's trick. Two readers may so find two values in the same
// bytes. A contract that asks for the one text that encoding/json writes for the value refuses all of it at once: unknown
// members, members that are there twice or in other letters, white space, needless escapes, invalid UTF-8, base64 with
// stray bits, and trailing data.
//
// The price is that every program that makes such states has to write them so, and that a new member is a new version of
// the state's type. For what only informs, contract.Payload is the better choice.
package exact
