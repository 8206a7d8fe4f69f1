// Package enginetest runs groups of package engine in one process against an embedded broker, for tests: a cluster,
// its topics, engines that stop with the test, and readers that wait for what should be there.
//
// It also holds the conformance suite that every group passes. Tests of workers and of programs outside fairlead
// use it; nothing else does.
package enginetest
