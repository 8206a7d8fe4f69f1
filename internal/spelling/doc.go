// Package spelling finds the words that somebody may have meant, for messages that say so. It is pure; package config
// and the command line use it.
package spelling
