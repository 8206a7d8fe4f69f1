// Package sim runs in virtual time.
package sim
