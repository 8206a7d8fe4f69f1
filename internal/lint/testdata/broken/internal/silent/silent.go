// Package silent has its comment in the wrong file.
package silent
