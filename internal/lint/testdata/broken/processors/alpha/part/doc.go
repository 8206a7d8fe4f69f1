// Package part may be imported by its own worker.
package part

// X is something.
const X = 1
