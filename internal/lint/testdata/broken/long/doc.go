// Package long has a file that is too long.
package long
