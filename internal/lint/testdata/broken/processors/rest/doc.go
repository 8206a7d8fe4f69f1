// Package rest may load its own certificate.
package rest
