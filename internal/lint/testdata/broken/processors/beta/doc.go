// Package beta keeps the rules.
package beta

// X is something.
const X = 1
