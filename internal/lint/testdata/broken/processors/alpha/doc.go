// Package alpha breaks rules for workers.
package alpha
