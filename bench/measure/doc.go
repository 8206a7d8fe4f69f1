// Package measure is what benchmarks share: percentiles, the processor time of processes and of those that they started,
// bar charts for pages, the line that says which machine it was, and where results are kept.
//
// Always true: percentiles are values that were seen, not between two of them; processor time is user and system time as
// Linux tells it, in hundredths of a second; a chart is XML whatever its words are.
//
// Called by the commands in bench.
package measure
