// Package hello is a guest, and has no main.
package hello

func init() {}
